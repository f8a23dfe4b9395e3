"""`check-config`, `new-key` and `normalize`, the options that commands share, and the help."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from otp_service.cli import main
from tests.cli.service_config import SECRET_ENVIRON, CommandStarter, ConfigWriter
from tests.running_service import ServiceFactory

ROOT = Path(__file__).parents[2]
ENVIRON = {**SECRET_ENVIRON, "REDIS_URL": "redis://127.0.0.1:6379/0"}


def ran(*words: str, **environ: str | None) -> Result:
    """Run a command in this process, and return its result."""
    return CliRunner().invoke(main, words, env={"OTP_CONFIG": None, **ENVIRON, **environ})


def test_a_valid_config_is_summarized(write_config: ConfigWriter) -> None:
    """Status 0 and a summary, with the file from `--config` or from `OTP_CONFIG`."""
    path = str(write_config())
    by_option, by_variable = ran("check-config", "--config", path), ran("check-config", OTP_CONFIG=path)

    for result in (by_option, by_variable):
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout == f"{path}: good (1 tenants, 1 providers, 1 routes)\n"


def test_keys_without_effect_are_named(write_config: ConfigWriter) -> None:
    """The config is valid; unused keys and likely slips are named on standard error."""
    path = write_config(jakarta='[tenants.acme.policy]\ncurrency = "IDR"\n[guard]\nburst = 30')
    path.write_text(path.read_text() + '[providers.idle]\ntype = "inbox"\n')
    result = ran("check-config", "--config", str(path))

    assert result.exit_code == 0
    assert "tenants.acme.policy.currency: this key has no effect" in result.stderr
    assert "guard.burst: this key has no effect" in result.stderr
    assert "providers.idle: no route uses it" in result.stderr


def test_the_attackers_chance_is_printed(write_config: ConfigWriter) -> None:
    """`--security` prints the bound of each tenant; a config below it is warned of, with or without the option."""
    good = ran("check-config", "--security", "--config", str(write_config()))
    assert (good.exit_code, good.stderr) == (0, "")
    rows = good.stdout.splitlines()
    assert rows[0].split() == [
        "TENANT",
        "DIGITS",
        "A",
        "DAY",
        "CHANCE",
        "WITH",
        "LOGINS",
        "CHANCE",
        "UNTIL",
        "DISABLED",
        "CHANCE",
    ]
    assert rows[1].split() == ["acme", "6", "20", "2.0e-05", "65", "6.5e-05", "100", "1.0e-04", "good"]

    path = str(write_config(jakarta="[tenants.acme.policy]\ncode_length = 4\nallow_short_codes = true"))
    short, plain = ran("check-config", "--security", "--config", path), ran("check-config", "--config", path)
    assert "acme    4       20     2.0e-03" in short.stdout
    assert "more than 100 attempts or 1e-04 a day" in short.stdout
    for result in (short, plain):
        assert result.exit_code == 0
        assert result.stderr.startswith(
            "tenants.acme.policy: 20 attempts a day at one number guess a code with a chance"
        )


def test_limits_are_proposed_from_the_caps(write_config: ConfigWriter) -> None:
    """A cap without hourly limits is valid, and fitting limits are proposed on standard error."""
    path = write_config(jakarta="[tenants.acme.policy]\ndaily_message_cap = 5000")
    result = ran("check-config", "--config", str(path))

    assert (result.exit_code, result.stdout) == (0, f"{path}: good (1 tenants, 1 providers, 1 routes)\n")
    assert result.stderr.splitlines() == [
        f'limits.{name}: none; the caps of tenants.acme (5000 messages a day) suggest "417/3600"'
        for name in ("country", "tenant", "global")
    ]


def test_an_invalid_config_has_a_line_for_each_error(write_config: ConfigWriter) -> None:
    """Status 2 and a line with the path for each error, nothing on standard output, and no secret in the output."""
    path = write_config(server="workers = 0\nhots = 1", jakarta='daily_spend_cap = "much"')
    result = ran("check-config", "--config", str(path), GATEWAY_PASSWORD=None, KEY_K1="not-a-key")

    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert sorted(line.split(":")[0] for line in lines) == [
        "keys.k1",
        "providers.jakarta.daily_spend_cap",
        "providers.jakarta.password",
        "server.hots",
        "server.workers",
    ]
    assert "not-a-key" not in result.stderr


@pytest.mark.parametrize("verb", ["check-config", "serve"])
def test_a_missing_config_is_an_error(verb: str) -> None:
    """Without a config the error says how to give one; an unreadable file is named."""
    nameless, missing = ran(verb), ran(verb, "--config", "/nowhere/otp.toml")

    assert (nameless.exit_code, missing.exit_code) == (2, 2)
    assert "--config" in nameless.stderr
    assert "OTP_CONFIG" in nameless.stderr
    assert "/nowhere/otp.toml" in missing.stderr


async def test_serve_rejects_an_invalid_config(start: CommandStarter, write_config: ConfigWriter) -> None:
    """`serve` prints a line for each error and exits with status 2 before it opens anything."""
    path = write_config(server="workers = 0\nhots = 1")
    service = start("serve", "--config", str(path), environ=ENVIRON)

    assert await service.status() == 2
    assert sorted(line.split(":")[0] for line in service.log.splitlines()) == ["server.hots", "server.workers"]


def test_a_plain_secret_is_rejected(write_config: ConfigWriter) -> None:
    """A config file may not contain secrets, and the error does not repeat the secret."""
    path = write_config()
    path.write_text(path.read_text().replace("env:GATEWAY_PASSWORD", "hunter2"))
    result = ran("check-config", "--config", str(path))

    assert result.exit_code == 2
    assert "hunter2" not in result.stderr


async def test_a_new_key_works_in_a_config(make_service: ServiceFactory) -> None:
    """The key is printed with its hash; a config with the hash accepts the key, and each key is different."""
    result = ran("new-key")
    found = re.fullmatch(r"key +(\S+)\nsha256 +([0-9a-f]{64})\nconfig +(\{.+\})\n", result.stdout)
    assert found, result.stdout
    key, digest, entry = found.groups()
    assert key.startswith("otp_sk_")
    assert tomllib.loads(f"entry = {entry}")["entry"] == {"id": "web", "sha256": digest}
    assert digest == hashlib.sha256(key.encode()).hexdigest()
    assert ran("new-key").stdout != result.stdout

    service = await make_service({"tenants": {"demo": {"api_keys": [{"id": "new", "sha256": digest}]}}})
    response = await service.caller(key).post("/v1/normalize-phone", json={"phone": "081210100055"})
    assert response.status_code == 200


def new_key(*words: str) -> tuple[str, dict[str, Any]]:
    """Return the key that `new-key` prints with these options, and its entry for the config."""
    result = ran("new-key", *words)
    assert result.exit_code == 0, result.stderr
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    entry: dict[str, Any] = tomllib.loads(f"entry = {lines['config']}")["entry"]
    assert entry["sha256"] == lines["sha256"] == hashlib.sha256(lines["key"].encode()).hexdigest()
    return lines["key"], {name: value for name, value in entry.items() if name != "sha256"}


async def test_a_new_publishable_key_works_in_a_config(make_service: ServiceFactory) -> None:
    """The entry is complete: the config takes it as it is printed, and the key has the form of a publishable one."""
    key, entry = new_key("--publishable", "--id", "app", "--scope", "request", "--expires-in-days", "1")
    assert key.startswith("otp_pk_")
    assert (entry["id"], entry["scopes"], entry["publishable"]) == ("app", ["request"], True)
    digest = hashlib.sha256(key.encode()).hexdigest()
    service = await make_service({"tenants": {"demo": {"api_keys": [{**entry, "sha256": digest}]}}})
    for seconds, status in ((0, 200), (86390, 200), (11, 401)):
        await service.advance(seconds)
        response = await service.caller(key).post("/v1/normalize-phone", json={"phone": "081210100055"})
        assert response.status_code == status


def test_the_options_of_a_new_key() -> None:
    """Scopes and a time are written into the entry."""
    _, entry = new_key("--scope", "read", "--scope", "admin", "--expires-at", "2999-12-31T00:00:00+07:00")
    assert entry == {"id": "web", "scopes": ["read", "admin"], "expires_at": "2999-12-31T00:00:00+07:00"}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--id", "a b"), 'id: "a b" is not allowed'),
        (("--publishable", "--scope", "admin"), 'scopes[0]: "admin" is not allowed for a publishable key'),
        (("--expires-at", "tomorrow"), 'expires_at: "tomorrow" is not allowed; allowed: a time with its offset'),
        (("--expires-at", "2020-01-01T00:00:00Z"), "allowed: a time in the future"),
        (("--expires-at", "2999-01-01T00:00:00Z", "--expires-in-days", "3"), "Use either"),
        (("--expires-in-days", "0"), "0 is not in the range 1<=x<=3650"),
        (("--scope", "root"), "'root' is not one of"),
    ],
)
def test_a_key_that_no_config_takes_is_not_made(words: tuple[str, ...], error: str) -> None:
    """The mistake is named, and no key is printed."""
    result = ran("new-key", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert error in result.stderr


@pytest.mark.parametrize("number", ["0812-1010-0055", "+62 812 1010 0055", "6281210100055", "00628 1210100055"])
def test_a_number_is_normalized(number: str) -> None:
    """Every format gives the same number; `--country` applies to national numbers."""
    result = ran("normalize", number, "--country", "id")

    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "e164": "+6281210100055",
        "national": "0812-1010-0055",
        "country": "ID",
        "type": "mobile",
        "mobile": True,
    }


def test_an_address_is_normalized() -> None:
    """The domain is in lower case and ASCII."""
    result = ran("normalize", "Ann@BÜCHER.example")

    assert json.loads(result.stdout) == {"email": "Ann@xn--bcher-kva.example", "domain": "xn--bcher-kva.example"}


@pytest.mark.parametrize("recipient", ["+62123", "62123@localhost"])
def test_an_invalid_recipient_is_an_error(recipient: str) -> None:
    """The error has a reason and does not repeat the number or the address."""
    result = ran("normalize", recipient)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "62123" not in result.stderr


def test_help_lists_every_command() -> None:
    """`--help` has a line for each command."""
    result = ran("--help")

    for verb in ("dev", "serve", "check-config", "new-key", "send-test", "providers", "normalize"):
        assert re.search(rf"^  {verb} +\S", result.stdout, re.MULTILINE)


def test_make_lists_its_targets() -> None:
    """`make help` lists them; `make -n run` would set up and start `otp-service dev`."""
    own = {name: value for name, value in os.environ.items() if "MAKE" not in name}  # the tests may run under make
    options: Any = {"cwd": ROOT, "env": own, "capture_output": True, "text": True}
    shown = subprocess.run(["make", "help"], check=True, **options).stdout
    planned = subprocess.run(["make", "-n", "run"], check=True, **options).stdout

    assert {line.split()[1] for line in shown.splitlines()} >= {"setup", "run", "test", "lint", "fmt", "lock", "clean"}
    assert planned.rstrip().endswith(".venv/bin/otp-service dev")


def test_texts_are_printed(write_config: ConfigWriter) -> None:
    """`--texts` prints every text of the tenant's SMS at its longest, one in a row, with its encoding and segments."""
    texts = '[tenants.acme.templates.id]\nlogin = "{brand}: {code}"\n[tenants.acme.apps.web]\ndomain = "a.example"'
    result = ran("check-config", "--texts", "--config", str(write_config(jakarta=texts)))

    header, *rows, summary = result.stdout.splitlines()
    assert (result.exit_code, summary[-41:]) == (0, ": good (1 tenants, 1 providers, 1 routes)")
    assert header.split() == ["TENANT", "LOCALE", "PURPOSE", "APP", "CHARACTERS", "ENCODING", "SEGMENTS", "TEXT"]
    assert [row.split() for row in rows[:2]] == [
        ["acme", "id", "login", "-", "12", "GSM-7", "1", "Acme:", "888888"],
        ["acme", "id", "login", "web", "31", "GSM-7", "1", "Acme:", "888888", "/", "@a.example", "#888888"],
    ]
    assert len(rows) == 2 * 17 * 4  # 17 locales and 4 purposes, without and with the app
