"""`send-test`, with simulated gateways and a real store."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from otp_service.sandbox.simulators.http_server import Hang
from tests.cli.command_runs import DIGITS, KEDA_AND_HTTP, MASKED, Run, provider_row, send_test_words
from tests.cli.service_config import PASSWORD, ConfigWriter
from tests.cli.test_config_commands import ran
from tests.cli.test_provider_commands import ABNORMAL_NUMBER, AUTHENTICATION_ERROR
from tests.message_waits import code_in


async def test_a_message_is_sent_and_reported(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """The message arrives with its text, the output has no code and no number, and the message is counted."""
    path = config()
    result = await run(*send_test_words(path))

    assert (result.status, result.err) == (0, "")
    took = result.fields.pop("took")
    assert re.fullmatch(r"\d{1,4} ms", took)
    assert result.fields | {"took": took} == {
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
    assert (await provider_row(run, path))["today"]["messages"] == 1


async def test_tenant_and_locale_select_the_template(
    run: Run, config: Callable[..., Path], gateway: EimsSimulator
) -> None:
    """The message has the given language, the tenant's brand and the line of its app."""
    tenant = '[tenants.other]\nbrand = "Other"\ncountry = "ID"\napi_keys = [{ id = "a", sha256 = "%s" }]\n' % ("b" * 64)
    app = '[tenants.other.apps.web]\ndomain = "a.example"\n'
    words = ("--tenant", "other", "--locale", "en-GB", "--app", "web")
    result = await run(*send_test_words(config(more=tenant + app), *words))

    assert result.status == 0
    assert re.match(r"Other: (\d{6}) is your verification code.*\n@a\.example #\1$", gateway.messages[0].text)


async def test_a_rejection_is_reported(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """Status 1 and the outcome; a rejected message is not counted."""
    gateway.script(refusal(ABNORMAL_NUMBER))
    path = config()
    result = await run(*send_test_words(path))

    assert (result.status, result.fields["outcome"], result.fields["gateway id"]) == (1, "recipient_invalid", "-")
    today = (await provider_row(run, path))["today"]
    assert (today["messages"], today["spend"]) == (0, "0")


async def test_a_timeout_is_ambiguous(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """Without a response until the timeout, the outcome is ambiguous, and the message counts as sent."""
    gateway.script(Hang())
    path = config("max_concurrent = 2")
    path.write_text(path.read_text().replace("timeout_seconds = 2", "timeout_seconds = 0.5"))
    result = await run(*send_test_words(path))

    assert (result.status, result.fields["outcome"]) == (1, "ambiguous")
    assert 500 <= int(result.fields["took"].removesuffix(" ms")) < 1500
    found = await provider_row(run, path)
    assert (found["calls"], found["today"]["spend"]) == (0, "0.015")


async def test_an_open_circuit_is_reported(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """A failed test opens the circuit, so that the next test is not sent; `providers` shows why and how long."""
    gateway.script(refusal(AUTHENTICATION_ERROR))
    path = config()
    started = time.monotonic()
    first, second = await run(*send_test_words(path)), await run(*send_test_words(path))

    assert (first.status, first.fields["outcome"]) == (1, "config_error")
    assert second.status == 1
    found = re.fullmatch(r"its circuit is open; try again in (\d+) s", second.fields["not sent"])
    assert found and 30 - (time.monotonic() - started) <= int(found[1]) <= 30
    assert [request.path for request in gateway.requests] == ["/sendsms"]
    shown = await run("providers", "--config", str(path))
    found = re.search(r"^jakarta +eims +open \(config_error, (\d+) s\)  0/16 ", shown.out, re.MULTILINE)
    assert found and 30 - (time.monotonic() - started) <= int(found[1]) <= 30


async def test_a_cap_applies(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """A test is not sent when the daily cap is reached."""
    path = config("daily_message_cap = 1")
    first, second = await run(*send_test_words(path)), await run(*send_test_words(path))

    assert (first.status, second.status, len(gateway.messages)) == (0, 1, 1)
    assert re.fullmatch(r"the provider's cap for today is reached; try again in \d+ s", second.fields["not sent"])


async def test_the_rate_limit_applies(run_process: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """At one message a second, the tests of two concurrent processes are sent a second apart."""
    path = config("max_per_second = 1")
    results = await asyncio.gather(run_process(*send_test_words(path)), run_process(*send_test_words(path)))

    assert [result.status for result in results] == [0, 0]
    first, second = sorted(message.at for message in gateway.messages)
    assert (second - first).total_seconds() >= 0.8


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--provider", "nobody"), '--provider: "nobody" is not a provider; allowed: jakarta, keda, own'),
        (("--tenant", "nobody"), '--tenant: "nobody" is not a tenant; allowed: acme'),
        (("--app", "web"), '--app: "web" is not an app; allowed: none is configured'),
        (
            ("--to", "12345"),
            "--to: The phone number is not valid. Check its digits, or send it with + and its country code.",
        ),
        (
            ("--to", "ann@example.com"),
            "--to: the provider does not send to such a recipient; its channels: sms",
        ),
        (("--to", "+6221 1234567"), "--to: The number has the type `fixed_line`. Send a mobile number."),
        (("--to", "+65 9123 4567"), "--to: The number must belong to a country that the tenant allows."),
    ],
)
def test_invalid_options_are_rejected(write_config: ConfigWriter, words: tuple[str, str], expected: str) -> None:
    """One line and status 2, before any connection is opened."""
    path = write_config()
    path.write_text(path.read_text() + KEDA_AND_HTTP)
    result = ran(*send_test_words(path), *words)

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"{expected}\n")
