"""`otp-service opt-outs` on the store of a service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from otp_service.cli import main
from otp_service.sandbox.embedded_server import EmbeddedServer
from tests.cli.command_runs import MASKED, NUMBER
from tests.cli.service_config import SECRET_ENVIRON, ConfigWriter


def run(path: Path, url: str, *words: str) -> Result:
    """Run a command of the group in this process."""
    environ = {**SECRET_ENVIRON, "REDIS_URL": url}
    return CliRunner().invoke(main, ["opt-outs", *words, "--config", str(path)], env=environ)


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
