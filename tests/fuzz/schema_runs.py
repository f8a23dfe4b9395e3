"""Run schemathesis over a document, with all checks, against the service with its own Valkey server, over HTTP.

The service is `otp-service dev` with limits that no run reaches, cheap hashes and cooldowns of a second. Numbers,
purposes and codes that the service knows are mixed into the generated values, and schemathesis itself reuses the
verification ids of responses in other operations.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from otp_service.sandbox.config_writer import to_toml
from tests.config_parts import api_key
from tests.service_process import ServiceProcess

__all__ = ["CAMARA", "OWN", "Document", "Options", "Result", "fuzz"]

KEY: Final = "key-of-schemathesis"
"""The API key, and the secret of the hooks."""

KNOWN: Final = 40
"""This many verifications exist before the run, each with its code."""

PATTERN_OF_CAMARA: Final = r".*\{\{code\}\}.*"
EQUAL_PATTERN: Final = "[{][{]code[}][}]"
"""Schemathesis 4.32 joins the published pattern with `maxLength` to an expression that no library accepts."""

WIDE: Final = ["1000000/60"]
SERVICE: Final[dict[str, Any]] = {
    "captcha": {"ios": {"type": "app_attest", "app_ids": ["A1B2C3D4E5.com.example.app"], "required_for": "none"}},
    "hashing": {"time_cost": 1, "memory_kib": 8, "allow_weak": True},
    "tenants": {
        "demo": {
            "camara": {"enabled": True},
            "api_keys": [api_key(KEY, "request", "verify", "read", "server", "admin")],
            "hooks": {"courier": {"type": "kratos", "secret": KEY}, "realm": {"type": "keycloak", "secret": KEY}},
            "link_hosts": ["account.example.com"],
            "apps": {"web": {"domain": "login.example.com"}},
            "policy": {"captcha": "ios", "resend_cooldown_seconds": 1, "max_sends": 20, "lockout_seconds": 1},
        }
    },
    "limits": {
        **dict.fromkeys(("recipient", "client_ip", "verify_ip", "prefix", "country", "tenant", "global"), WIDE),
        "recipient_failures": ["100/86400"],
    },
}

_MOBILES: Final = [f"+62812101{number:05d}" for number in range(400)]
_DICTIONARIES: Final[dict[str, list[str]]] = {
    "phones": [*_MOBILES, "0812-1010-0055", "+62215551234", "+6591234567", "112"],
    "mobiles": [*_MOBILES, "+62215551234"],
    "emails": [f"user{number}@example.com" for number in range(50)],
    "purposes": ["login", "registration", "password_reset"],
    "countries": ["ID", "SG", "US"],
    "names": ["courier", "realm", "inbox", "none"],
}
_PARAMETERS: Final = {
    "body.phone": ("phones", 0.7),
    "body.email": ("emails", 0.7),
    "body.purpose": ("purposes", 0.8),
    "body.country": ("countries", 0.5),
    "body.code": ("codes", 0.6),
    "body.phoneNumber": ("mobiles", 0.8),
    "body.verification_id": ("ids", 0.8),
    "body.authenticationId": ("ids", 0.8),
    "path.verification_id": ("ids", 0.8),
    "path.name": ("names", 0.5),
    "path.provider": ("names", 0.5),
}
_ANSWERS: Final = re.compile(r'^otp_requests_total\{route="([^"]+)",status="(\d+)"\} (\S+)', re.MULTILINE)
_CASES: Final = re.compile(r"(\d+) generated")


@dataclass(frozen=True, slots=True)
class Document:
    """A document to run over.

    Attributes:
        name: Its name.
        location: Its path below the service's URL, or a file.
        base_path: Where its paths are, below the service's URL.
        refused_as_data: The statuses with which the service may answer data that is valid by the schema alone: a number
            that no operator has, a limit, an id or a code that is unknown.
    """

    name: str
    location: str
    base_path: str
    refused_as_data: tuple[int, ...]


OWN: Final = Document("own", "/schema/openapi.json", "", (400, 409, 410, 422, 429))
CAMARA: Final = Document(
    "camara", str(Path(__file__).with_name("camara_document.json")), "/one-time-password-sms/v1", (400, 429)
)


@dataclass(frozen=True, slots=True)
class Options:
    """How to run: requests for each operation, the phases of schemathesis, requests at once, and the seed."""

    examples: int
    phases: str = "examples,coverage,fuzzing,stateful"
    workers: int = 1
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The exit status of schemathesis (0: no failure), what it printed, and how many requests it generated.

    `answers`: how many responses the service gave, by route and status.
    """

    status: int
    output: str
    cases: int
    answers: Mapping[tuple[str, str], int]


async def fuzz(document: Document, options: Options, folder: Path) -> Result:
    """Run schemathesis over a document; `folder` is for files of the run.

    Raises:
        AssertionError: The service does not start, has ended, or has failed at a request.
    """
    config = folder / "service.toml"
    config.write_text(to_toml(SERVICE))
    service = ServiceProcess(folder, "dev", "--port", "0", "--config", str(config), module="tests.fuzz.unpaced_service")
    try:
        url = await service.ready()
        async with httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False
        ) as client:
            known = await _make_verifications(client)
            run = await asyncio.to_thread(_run, document, url, options, folder, known)
            page = (await client.get("/metrics")).text
        assert not service.ended and "unhandled_exception" not in service.log, service.log
    finally:
        service.end()
    output = run.stdout + run.stderr
    found = _CASES.search(output)
    answers = {(route, status): int(float(count)) for route, status, count in _ANSWERS.findall(page)}
    return Result(run.returncode, output, int(found[1]) if found else 0, answers)


async def _make_verifications(client: httpx.AsyncClient) -> dict[str, list[str]]:
    """Request codes, and return the ids and the codes."""
    ids = []
    for phone in _MOBILES[:KNOWN]:
        answer = await client.post("/v1/request-code", json={"phone": phone, "purpose": "password_reset"})
        ids.append(answer.json()["verification_id"])
    texts = [message["text"] for message in (await client.get("/dev/messages")).json()["messages"]]
    return {"ids": ids, "codes": [code for text in texts for code in re.findall(r"\d{6}", text)]}


def _run(
    document: Document, url: str, options: Options, folder: Path, known: dict[str, list[str]]
) -> subprocess.CompletedProcess[str]:
    settings = folder / "schemathesis.toml"
    settings.write_text(to_toml(_settings(document, known)))
    location = url + document.location
    if (published := Path(document.location)).is_file():
        copy = folder / published.name
        copy.write_text(_with_equal_pattern(published.read_text()))
        location = str(copy)
    words = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run", location]
    words += ["--url", url + document.base_path, "--phases", options.phases, "--continue-on-failure"]
    words += ["--max-examples", str(options.examples), "--workers", str(options.workers)]
    words += [] if options.seed is None else ["--seed", str(options.seed)]
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)


def _with_equal_pattern(document: str) -> str:
    """Write the pattern of CAMARA's `message` in another form, in YAML or JSON."""
    for published in (PATTERN_OF_CAMARA, PATTERN_OF_CAMARA.replace("\\", "\\\\")):
        document = document.replace(f'"{published}"', f'"{EQUAL_PATTERN}"')
    return document.replace(f"pattern: {PATTERN_OF_CAMARA}", f'pattern: "{EQUAL_PATTERN}"')


def _settings(document: Document, known: dict[str, list[str]]) -> dict[str, Any]:
    """Return the configuration of schemathesis: every check is on."""
    return {
        "headers": {"Authorization": f"Bearer {KEY}"},
        "dictionaries": {name: {"values": values} for name, values in {**_DICTIONARIES, **known}.items()},
        "parameters": {
            name: {"dictionary": values, "probability": probability}
            for name, (values, probability) in _PARAMETERS.items()
        },
        "checks": {
            "positive_data_acceptance": {
                "expected-statuses": ["2XX", 401, 403, 404, *document.refused_as_data],
            },
        },
    }
