"""`otp-service unlock`, as an operator runs it beside a service that runs on the same store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.cli.service_config import SECRET_ENVIRON, ConfigWriter, api_client
from tests.service_process import ServiceProcess

NUMBER, MASKED, DIGITS = "0812-1010-0055", "+62812*****055", "81210100055"
DISABLING = "[tenants.acme.policy]\nmax_consecutive_failures = 2"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(store: EmbeddedServer) -> Run:
    """Run a command to its end, in a process of its own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("OTP_")}

    def command(*words: str, url: str = store.url) -> subprocess.CompletedProcess[str]:
        env = {**own, **SECRET_ENVIRON, "REDIS_URL": url}
        return subprocess.run(
            [sys.executable, "-m", "otp_service", *words], env=env, capture_output=True, text=True, check=False
        )

    return command


def unlock(path: Path, *words: str, tenant: str = "acme", phone: str = NUMBER) -> tuple[str, ...]:
    """Say which number is unlocked where."""
    return ("unlock", "--config", str(path), "--tenant", tenant, "--phone", phone, *words)


def audit_line(run_: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Read the one line on standard error, without when it was."""
    line: dict[str, Any] = json.loads(run_.stderr)
    assert line.pop("timestamp").endswith("Z")
    return {name: value for name, value in line.items() if name not in ("level", "logger")}


async def requested(client: httpx.AsyncClient, purpose: str) -> httpx.Response:
    """Request a code."""
    return await client.post("/v1/request-code", json={"phone": NUMBER, "purpose": purpose})


async def test_a_number_is_unlocked_from_the_command_line(
    run: Run, write_config: ConfigWriter, serve: Callable[..., ServiceProcess], gateway: EimsSimulator
) -> None:
    """What the service has disabled it serves again; the answer and the audit line name the number masked."""
    path = write_config(jakarta=DISABLING, gateway=gateway.url)
    async with api_client(await serve(path).url()) as client:
        verification_id = (await requested(client, "login")).json()["verification_id"]
        for _ in range(2):
            await client.post("/v1/verify-code", json={"verification_id": verification_id, "code": "0000000000"})
        assert (await requested(client, "registration")).json()["code"] == "recipient_locked"

        done = run(*unlock(path, phone="62812 1010 0055"))

        assert (done.returncode, done.stdout) == (0, f"{MASKED}: unlocked, 2 wrong codes cleared\n")
        line = {"event": "audit", "action": "unlock", "tenant": "acme", "actor": "cli", "phone": MASKED}
        assert audit_line(done) == {**line, "result": "unlocked"}
        assert (await requested(client, "registration")).status_code == 202
        again = run(*unlock(path))
        assert (again.returncode, again.stdout) == (0, f"{MASKED}: was not locked, 0 wrong codes cleared\n")
        assert audit_line(again) == {**line, "result": "not_locked"}


@pytest.mark.parametrize(
    ("words", "changes", "said"),
    [
        ((), {"tenant": "other"}, '--tenant: "other" is not a tenant; allowed: acme'),
        ((), {"phone": "0812"}, "--phone: "),
        (("--country", "XX"), {}, '--country: "XX" is not a country'),
        (("--country", "SG"), {}, "--phone: "),
    ],
)
def test_what_cannot_be_unlocked(
    run: Run, write_config: ConfigWriter, words: tuple[str, ...], changes: dict[str, str], said: str
) -> None:
    """Status 2 and one line, which does not repeat the number; nothing is looked up."""
    done = run(*unlock(write_config(), *words, **changes), url="redis://127.0.0.1:9")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert DIGITS not in done.stderr.replace("-", "")


def test_national_forms_are_read_by_the_option(run: Run, write_config: ConfigWriter) -> None:
    """The country may be another than the tenant's, whether or not it is served, in either case."""
    done = run(*unlock(write_config(), "--country", "sg", phone="9123 4567"))

    assert (done.returncode, done.stdout) == (0, "+6591****67: was not locked, 0 wrong codes cleared\n")


def test_a_store_that_is_away(run: Run, write_config: ConfigWriter) -> None:
    """Status 1; the audit line says that it is not known whether anything was done."""
    done = run(*unlock(write_config()), url="redis://127.0.0.1:9")

    assert (done.returncode, done.stdout) == (1, "")
    audit, error = done.stderr.splitlines()
    assert json.loads(audit)["result"] == "store_unavailable"
    assert error.startswith("Error: ")
    assert DIGITS not in done.stderr
