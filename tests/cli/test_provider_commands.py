"""`send-test` and `providers`, as an operator runs them, against simulated gateways and a real store."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from otp_service.sandbox.simulators.http_server import Hang, Respond, SimulatorResponse
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from tests.cli.service_config import PASSWORD, SECRET_ENVIRON, ConfigWriter
from tests.cli.test_config_commands import ran
from tests.message_waits import code_in

NUMBER, MASKED, DIGITS = "0812-1010-0055", "+62812*****055", "6281210100055"
PRICE = 'price = { ID = "0.015" }\ntimeout_seconds = 2'
AUTHENTICATION_ERROR, ABNORMAL_NUMBER, NO_FUNDS = -1, -9, -10

KEDA_AND_TWILIO = """
[providers.keda]
type = "kedasms"
api_key = "env:GATEWAY_PASSWORD"
encryption_key = "env:KEY_K1"
max_per_second = 2.5
daily_message_cap = 10
[providers.later]
type = "twilio"
account_sid = "AC1"
auth_token = "env:GATEWAY_PASSWORD"
from = "Acme"
"""


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, str]:
        """What stands behind each word of `send-test`."""
        return {line[:12].strip(): line[12:] for line in self.out.splitlines()}


Run = Callable[..., Coroutine[Any, Any, Ran]]


@pytest.fixture
def run(store: EmbeddedServer) -> Run:
    """Run a command to its end, in a process of its own, while the gateway goes on in ours."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("OTP_")}

    async def command(*words: str, url: str = store.url) -> Ran:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "otp_service", *words),
            env={**own, **SECRET_ENVIRON, "REDIS_URL": url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())

    return command


@pytest.fixture
def config(write_config: ConfigWriter, gateway: EimsSimulator) -> Callable[..., Path]:
    """Write a config whose provider `jakarta` is the simulated gateway, with a price."""

    def written(*lines: str, more: str = "") -> Path:
        path = write_config(gateway=gateway.url, jakarta="\n".join((PRICE, *lines)))
        text = path.read_text().replace("timeout_seconds = 0.5\n", "")
        path.write_text(text + more)
        return path

    return written


def to(path: Path, *words: str, provider: str = "jakarta") -> tuple[str, ...]:
    """Say whom to send a test to, and through whom."""
    return ("send-test", "--config", str(path), "--to", NUMBER, "--provider", provider, *words)


async def row(run: Run, path: Path, name: str = "jakarta") -> dict[str, Any]:
    """Ask how a provider stands."""
    result = await run("providers", "--json", "--config", str(path))
    assert (result.status, result.err) == (0, "")
    [found] = [one for one in json.loads(result.out)["providers"] if one["name"] == name]
    return dict(found)


async def test_a_text_is_sent_and_told(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """It arrives as a recipient would read it, is told without its code, and is counted as any other."""
    path = config()
    result = await run(*to(path))

    assert (result.status, result.err) == (0, "")
    took = result.told.pop("took")
    assert re.fullmatch(r"\d{1,4} ms", took)
    assert result.told | {"took": took} == {
        "provider": "jakarta (eims)",
        "to": MASKED,
        "outcome": "accepted",
        "gateway id": str(gateway.messages[0].id),
        "took": took,
        "segments": "1",
        "cost": "0.015 USD",
    }
    [message] = gateway.messages
    assert message.to == DIGITS
    assert message.text.startswith("Acme: kode verifikasi Anda ")
    for secret in (code_in(message.text), PASSWORD, DIGITS, DIGITS[2:]):
        assert secret not in result.out
    assert (await row(run, path))["today"]["messages"] == 1


async def test_a_text_has_a_language_and_a_tenant(
    run: Run, config: Callable[..., Path], gateway: EimsSimulator
) -> None:
    """Those that are asked for; the tenant's brand stands in the text."""
    tenant = '[tenants.other]\nbrand = "Other"\ncountry = "ID"\napi_keys = [{ id = "a", sha256 = "%s" }]\n' % ("b" * 64)
    result = await run(*to(config(more=tenant), "--tenant", "other", "--locale", "en-GB"))

    assert result.status == 0
    assert re.match(r"Other: \d{6} is your verification code", gateway.messages[0].text)


async def test_a_refusal_is_told(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """Status 1 and the outcome's name; what was not sent is not counted."""
    gateway.script(refusal(ABNORMAL_NUMBER))
    path = config()
    result = await run(*to(path))

    assert (result.status, result.told["outcome"], result.told["gateway id"]) == (1, "recipient_invalid", "-")
    today = (await row(run, path))["today"]
    assert (today["messages"], today["spend"]) == (0, "0")


async def test_silence_is_ambiguous(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """After the provider's timeout; it may have been sent, so it counts."""
    gateway.script(Hang())
    path = config("max_concurrent = 2")
    path.write_text(path.read_text().replace("timeout_seconds = 2", "timeout_seconds = 0.5"))
    result = await run(*to(path))

    assert (result.status, result.told["outcome"]) == (1, "ambiguous")
    assert 500 <= int(result.told["took"].removesuffix(" ms")) < 1500
    found = await row(run, path)
    assert (found["calls"], found["today"]["spend"]) == (0, "0.015")


async def test_an_open_circuit_is_told_and_shown(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """A test opens it as a message does, and the next one is not sent; `providers` says why, and for how long."""
    gateway.script(refusal(AUTHENTICATION_ERROR))
    path = config()
    first, second = await run(*to(path)), await run(*to(path))

    assert (first.status, first.told["outcome"]) == (1, "config_error")
    assert second.status == 1
    assert re.fullmatch(r"its circuit is open; try again in (2\d|30) s", second.told["not sent"])
    assert [request.path for request in gateway.requests] == ["/sendsms"]
    shown = await run("providers", "--config", str(path))
    assert re.search(r"^jakarta +eims +open \(config_error, (2\d|30) s\)  0/16 ", shown.out, re.MULTILINE)


async def test_a_cap_is_kept(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """A test is no way around it."""
    path = config("daily_message_cap = 1")
    first, second = await run(*to(path)), await run(*to(path))

    assert (first.status, second.status, len(gateway.messages)) == (0, 1, 1)
    assert re.fullmatch(r"the provider's cap for today is reached; try again in \d+ s", second.told["not sent"])


async def test_a_test_waits_for_its_turn(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """At one text a second two tests at once are a second apart."""
    path = config("max_per_second = 1")
    results = await asyncio.gather(run(*to(path)), run(*to(path)))

    assert [result.status for result in results] == [0, 0]
    first, second = sorted(message.at for message in gateway.messages)
    assert (second - first).total_seconds() >= 0.8


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--provider", "nobody"), '--provider: "nobody" is not a provider; allowed: jakarta, keda, later'),
        (("--provider", "later"), "--provider: the provider type twilio is not supported yet"),
        (("--tenant", "nobody"), '--tenant: "nobody" is not a tenant; allowed: acme'),
        (
            ("--to", "12345"),
            "--to: The phone number is not valid. Check its digits, or send it with + and its country code.",
        ),
        (("--to", "+6221 1234567"), "--to: The number is of type fixed_line, not mobile."),
        (("--to", "+65 9123 4567"), "--to: Numbers of this country are not allowed."),
    ],
)
def test_what_cannot_be_sent_is_refused(write_config: ConfigWriter, words: tuple[str, str], said: str) -> None:
    """One line and status 2, before anything is connected."""
    path = write_config()
    path.write_text(path.read_text() + KEDA_AND_TWILIO)
    result = ran(*to(path), *words)

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"{said}\n")


@pytest.mark.parametrize("words", [("send-test", "--to", NUMBER, "--provider", "jakarta"), ("providers",)])
def test_a_bad_config_is_refused(write_config: ConfigWriter, words: tuple[str, ...]) -> None:
    """As by `check-config`; without one they say how to name it."""
    path = write_config(server="workers = 0")
    bad, nameless = ran(*words, "--config", str(path)), ran(*words)

    assert (bad.exit_code, nameless.exit_code) == (2, 2)
    assert bad.stderr.startswith("server.workers: 0 is not allowed")
    assert "--config" in nameless.stderr


async def test_providers_are_shown(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """One line for each, in the order of the config, with what it did today and what is left."""
    gateway.balance = ("499740.000000", "10.500000")
    path = config('daily_spend_cap = "20"', 'currency = "IDR"', more=KEDA_AND_TWILIO)
    await run(*to(path))
    shown = await run("providers", "--config", str(path))

    assert (shown.status, shown.err) == (0, "")
    assert [re.split(r" {2,}", line) for line in shown.out.splitlines()] == [
        ["PROVIDER", "TYPE", "CIRCUIT", "CALLS", "PACE", "WAITING", "MESSAGES", "SPEND", "BALANCE"],
        ["jakarta", "eims", "closed", "0/16", "-", "0", "1", "0.015/20 IDR", "499750.5"],
        ["keda", "kedasms", "closed", "0/16", "2.5/s", "0", "0/10", "0 USD", "-"],
        ["later", "twilio", "not served", "-", "-", "-", "-", "-", "-"],
    ]
    assert PASSWORD not in shown.out


async def test_providers_for_machines(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """The same as JSON, with nulls for what cannot be said, and money as decimal text."""
    gateway.script(refusal(NO_FUNDS))
    path = config('daily_spend_cap = "20"', more=KEDA_AND_TWILIO)
    await run(*to(path))
    result = await run("providers", "--json", "--config", str(path))
    jakarta, keda, later = json.loads(result.out)["providers"]

    assert 50 <= jakarta["circuit"].pop("seconds_left") <= 60
    assert jakarta == {
        "name": "jakarta",
        "type": "eims",
        "served": True,
        "circuit": {"state": "open", "why": "funds", "destinations": {}},
        "calls": 0,
        "max_concurrent": 16,
        "max_per_second": None,
        "waiting": 0,
        "today": {"messages": 0, "spend": "0", "currency": "USD", "message_cap": None, "spend_cap": "20"},
        "balance": {"amount": "499740", "currency": "", "error": None},
    }
    assert (keda["circuit"]["state"], keda["max_per_second"], keda["balance"]) == ("closed", 2.5, None)
    assert (later["served"], later["circuit"], later["today"], later["balance"]) == (False, None, None, None)


async def test_a_gateway_that_does_not_tell(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """In the place of the balance stands the outcome that a send would have had; the others are shown all the same."""
    path = config(more=KEDA_AND_TWILIO)
    gateway.script(refusal(AUTHENTICATION_ERROR))
    refused = await run("providers", "--config", str(path))
    await gateway.close()
    away = await run("providers", "--config", str(path))

    assert (refused.status, away.status) == (0, 0)
    assert refused.out.splitlines()[1].endswith(" config_error")
    assert away.out.splitlines()[1].endswith(" transient")
    assert len(away.out.splitlines()) == 4


async def test_without_a_store_nothing_is_sent(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """One line and status 1; no gateway is asked for anything."""
    path = config()
    for words in (to(path), ("providers", "--config", str(path))):
        result = await run(*words, url="redis://127.0.0.1:9")

        assert result.status == 1
        assert result.err == "Error: The store does not answer.\n"
    assert gateway.requests == []


async def test_limits_are_set_where_the_gateway_holds_some(run: Run, config: Callable[..., Path]) -> None:
    """The configured caps go to the account; a gateway that does not take them is named, with status 1."""
    async with KedasmsSimulator(PASSWORD, b"k" * 32) as keda:
        keda_too = f"""
[providers.keda]
type = "kedasms"
base_url = "{keda.url}"
status_base_url = "{keda.url}"
api_key = "env:GATEWAY_PASSWORD"
encryption_key = "env:KEY_K1"
daily_message_cap = 500
daily_spend_cap = "20.5"
alert_threshold = 0.7
price = {{ default = "0.05" }}
"""
        path = str(config(more=keda_too))
        done = await run("providers", "--config", path, "--set-limits")

        assert (done.status, done.err) == (0, "")
        assert keda.limits is not None
        assert (keda.limits.daily_sms_cap, keda.limits.daily_spend_cap, keda.limits.alert_threshold) == (500, 20.5, 0.7)
        assert keda.limits.block_on_limit

        keda.script(Respond(SimulatorResponse(b'{"code": "401", "message": "invalid apiKey"}', 401)))
        refused = await run("providers", "--config", path, "--set-limits")

        assert (refused.status, refused.err) == (1, "keda: the account limits could not be set (config_error)\n")
        assert "keda" in refused.out
