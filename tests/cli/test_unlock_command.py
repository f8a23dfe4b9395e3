"""`otp-service unlock` on the store of a running service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from otp_service.cli import main
from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.cli.command_runs import CommandResult, Run
from tests.cli.service_config import SECRET_ENVIRON, ConfigWriter, api_client
from tests.service_process import ServiceProcess

NUMBER, MASKED, DIGITS = "0812-1010-0055", "+62812*****055", "81210100055"
DISABLING = "[tenants.acme.policy]\nmax_consecutive_failures = 2"


def unlock_words(path: Path, *words: str, tenant: str = "acme", phone: str = NUMBER) -> tuple[str, ...]:
    """Return the arguments of `unlock`."""
    return ("unlock", "--config", str(path), "--tenant", tenant, "--phone", phone, *words)


def audit_line(result: CommandResult) -> dict[str, Any]:
    """Return the only line on standard error, without its timestamp."""
    line: dict[str, Any] = json.loads(result.err)
    assert line.pop("timestamp").endswith("Z")
    return {name: value for name, value in line.items() if name not in ("level", "logger")}


async def request_code(client: httpx.AsyncClient, purpose: str) -> httpx.Response:
    """Request a code."""
    return await client.post("/v1/request-code", json={"phone": NUMBER, "purpose": purpose})


async def test_a_locked_number_is_unlocked(
    run: Run, write_config: ConfigWriter, serve: Callable[..., ServiceProcess], gateway: EimsSimulator
) -> None:
    """The service accepts a locked number again; output and audit line have the masked number."""
    path = write_config(jakarta=DISABLING, gateway=gateway.url)
    async with api_client(await serve(path).url()) as client:
        verification_id = (await request_code(client, "login")).json()["verification_id"]
        for _ in range(2):
            await client.post("/v1/verify-code", json={"verification_id": verification_id, "code": "0000000000"})
        assert (await request_code(client, "registration")).json()["code"] == "recipient_locked"

        done = await run(*unlock_words(path, phone="62812 1010 0055"))

        assert (done.status, done.out) == (0, f"{MASKED}: unlocked, 2 wrong codes cleared\n")
        line = {"event": "audit", "action": "unlock", "tenant": "acme", "actor": "cli", "phone": MASKED}
        assert audit_line(done) == {**line, "result": "unlocked"}
        assert (await request_code(client, "registration")).status_code == 202
        again = await run(*unlock_words(path))
        assert (again.status, again.out) == (0, f"{MASKED}: was not locked, 0 wrong codes cleared\n")
        assert audit_line(again) == {**line, "result": "not_locked"}


@pytest.mark.parametrize(
    ("words", "changes", "expected"),
    [
        ((), {"tenant": "other"}, '--tenant: "other" is not a tenant; allowed: acme'),
        ((), {"phone": "0812"}, "--phone: "),
        (("--country", "XX"), {}, '--country: "XX" is not a country'),
        (("--country", "SG"), {}, "--phone: "),
    ],
)
async def test_invalid_options_are_rejected(
    run: Run, write_config: ConfigWriter, words: tuple[str, ...], changes: dict[str, str], expected: str
) -> None:
    """Status 2 and one line without the number, before the store is used."""
    done = await run(*unlock_words(write_config(), *words, **changes), url="redis://127.0.0.1:9")

    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(expected)
    assert DIGITS not in done.err.replace("-", "")


async def test_the_country_option_applies_to_national_numbers(run: Run, write_config: ConfigWriter) -> None:
    """`--country` may differ from the tenant's country, need not be served, and may be in lower case."""
    done = await run(*unlock_words(write_config(), "--country", "sg", phone="9123 4567"))

    assert (done.status, done.out) == (0, "+6591****67: was not locked, 0 wrong codes cleared\n")


async def test_an_address_is_unlocked(run: Run, write_config: ConfigWriter) -> None:
    """`--email` takes the place of `--phone`; exactly one of them is given."""
    words = ("unlock", "--config", str(write_config()), "--tenant", "acme")
    done = await run(*words, "--email", "Ann.Lee@Example.com")

    assert (done.status, done.out) == (0, "A***@example.com: was not locked, 0 wrong codes cleared\n")
    assert audit_line(done)["email"] == "A***@example.com"
    environ = {**SECRET_ENVIRON, "REDIS_URL": "redis://127.0.0.1:9"}
    both = CliRunner().invoke(main, [*words, "--email", "a@b.co", "--phone", NUMBER], env=environ)
    bad = CliRunner().invoke(main, [*words, "--email", "Ann.Lee@"], env=environ)
    assert (both.exit_code, both.stderr) == (
        2,
        "--phone: give either a phone number, or an e-mail address with --email\n",
    )
    assert (bad.exit_code, bad.stderr[:9]) == (2, "--email: ")
    assert "Ann" not in bad.stderr


async def test_an_unavailable_store_is_an_error(run: Run, write_config: ConfigWriter) -> None:
    """Status 1, and the audit line has the result `store_unavailable`."""
    done = await run(*unlock_words(write_config()), url="redis://127.0.0.1:9")

    assert (done.status, done.out) == (1, "")
    audit, error = done.err.splitlines()
    assert json.loads(audit)["result"] == "store_unavailable"
    assert error.startswith("Error: ")
    assert DIGITS not in done.err
