"""`otp-service opt-outs` on the store of a service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from otp_service.cli import main
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.sandbox.simulators.smshub import SmshubSimulator
from tests.cli.command_runs import MASKED, NUMBER
from tests.cli.service_config import SECRET_ENVIRON, ConfigWriter


def run(path: Path, url: str, *words: str, environ: Mapping[str, str] | None = None) -> Result:
    """Run a command of the group in this process."""
    env = {**SECRET_ENVIRON, "REDIS_URL": url, **(environ or {})}
    return CliRunner().invoke(main, ["opt-outs", *words, "--config", str(path)], env=env)


def test_an_operator_opts_a_number_out_and_in(store: EmbeddedServer, write_config: ConfigWriter) -> None:
    """Each change is reported and audited without the number; repeating it changes nothing."""
    path = write_config()
    words = ("--phone", NUMBER)
    lines, audits = [], []
    for command in ("count", "check", "out", "out", "count", "check", "in", "in", "count", "check"):
        result = run(path, store.url, command, *(words if command != "count" else ()))
        assert result.exit_code == 0, result.output
        lines.append(result.stdout.strip().partition(" until")[0])
        audits += [json.loads(line) for line in result.stderr.splitlines()]

    out = f"{MASKED}: opted out"
    assert lines == [
        "0", f"{MASKED}: not opted out", out, f"{MASKED}: was opted out before", "1", out,
        f"{MASKED}: opted in", f"{MASKED}: was opted in before", "0", f"{MASKED}: not opted out",
    ]  # fmt: skip
    assert [(line["action"], line["actor"], line["result"]) for line in audits] == [
        ("opt_out", "cli", "changed"),
        ("opt_out", "cli", "unchanged"),
        ("opt_in", "cli", "changed"),
        ("opt_in", "cli", "unchanged"),
    ]
    assert "812" not in json.dumps([{**line, "timestamp": ""} for line in audits])


@pytest.mark.parametrize(
    ("words", "error"),
    [(("--phone", "08123456"), "--phone: "), (("--phone", NUMBER, "--country", "XX"), '--country: "XX"')],
)
def test_invalid_arguments(
    store: EmbeddedServer, write_config: ConfigWriter, words: tuple[str, ...], error: str
) -> None:
    """A number or country that is none ends the command with status 2."""
    result = run(write_config(), store.url, "out", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(error)
    assert NUMBER not in result.stderr


def test_store_that_does_not_answer(write_config: ConfigWriter) -> None:
    """Exit status 1, with what to do."""
    result = run(write_config(), "redis://127.0.0.1:9", "count")
    assert (result.exit_code, result.stdout) == (1, "")


async def test_gateways_that_keep_opt_outs_are_asked_to_end_one(
    store: EmbeddedServer, write_config: ConfigWriter
) -> None:
    """`in` asks SMS Hub, too, and says what it answered; an opt-out is not passed on."""
    async with SmshubSimulator() as hub:
        hub.stopped = {"6281210100055"}
        path = write_config()
        table = f'''
[providers.hub]
type = "smshub"
base_url = "{hub.url}"
program_sid = "env:HUB_SID"
program_key = "env:HUB_KEY"
'''
        path.write_text(path.read_text() + table)
        environ = {"HUB_SID": "hub-sid", "HUB_KEY": "hub-key"}
        out = await asyncio.to_thread(run, path, store.url, "out", "--phone", NUMBER, environ=environ)
        assert (out.exit_code, hub.requests) == (0, [])
        result = await asyncio.to_thread(run, path, store.url, "in", "--phone", NUMBER, environ=environ)
    assert result.stdout.splitlines() == [f"{MASKED}: opted in", "hub: accepted"]
    assert hub.stopped == set()
