"""EIMS variant V2 (signed requests), the sender id and the balance, byte for byte."""

from __future__ import annotations

import logging
from decimal import Decimal
from hashlib import md5
from typing import Any

import msgspec
import pytest
from structlog.typing import EventDict

from otp_service.domain.message import Balance, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.base import BalanceProvider, PollingProvider
from otp_service.providers.eims.config import EimsConfig
from otp_service.providers.eims.wire import sign
from otp_service.sandbox.simulators.eims import refusal
from otp_service.sandbox.simulators.http_server import Behavior, Cut, Hang
from tests.providers.eims_provider import ACCOUNT, DIGITS, NOW, PASSWORD, TEXT, eims, eims_gateway, outbound, responding

TIMESTAMP = "20261130000000"
SIGNATURE = md5(f"{ACCOUNT}{PASSWORD}{TIMESTAMP}".encode(), usedforsecurity=False).hexdigest()
CREDENTIALS = f"account=acme%20%26%20sons&sign={SIGNATURE}&datetime={TIMESTAMP}"
CHARSET = "application/json;charset=utf-8"


def test_signature_matches_the_published_example() -> None:
    """The signature matches the example of the vendor's document."""
    assert sign("test", Secret("123456"), "20190101120000") == "6ac4928d8d0c3c5ba75981b539c52152"


async def test_signed_get_request() -> None:
    """The query has account, signature and time in GMT+8, whose date is already the next day."""
    async with eims_gateway() as gateway, eims(gateway, variant="v2") as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.ACCEPTED, "1620443")

    [request] = gateway.requests
    content = "Caf%C3%A9%3A%20kode%20123456%20%2B%20100%25"
    assert (request.method, request.body) == ("GET", b"")
    assert request.target == f"/sendsmsV2?{CREDENTIALS}&numbers={DIGITS}&content={content}"
    assert request.headers["content-type"] == CHARSET
    assert gateway.messages[0].text == TEXT


async def test_signed_post_request() -> None:
    """The credentials stay in the query, the message is JSON, and the password is not sent."""
    async with eims_gateway() as gateway, eims(gateway, variant="v2", post=True, sender_id="ACME") as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.ACCEPTED, "1620443")

    [request] = gateway.requests
    assert (request.method, request.target) == ("POST", f"/sendsmsV2?{CREDENTIALS}")
    assert request.headers["content-type"] == CHARSET
    assert request.body == msgspec.json.encode({"senderid": "ACME", "numbers": DIGITS, "content": TEXT})


@pytest.mark.parametrize(("variant", "name"), [("v1", "sender"), ("v2", "senderid")])
@pytest.mark.parametrize("post", [False, True])
async def test_sender_parameter_of_each_variant(variant: str, name: str, post: bool) -> None:
    """The sender is `sender` in V1 and `senderid` in V2, and is omitted if none is configured."""
    async with eims_gateway() as gateway:
        async with eims(gateway, variant=variant, post=post, sender_id="AC ME") as provider:
            await provider.send(outbound())
        async with eims(gateway, variant=variant, post=post) as provider:
            await provider.send(outbound())

    assert [message.sender for message in gateway.messages] == ["AC ME", ""]
    requests = [f"{request.target} {request.body.decode()}" for request in gateway.requests]
    assert f"{name}=AC%20ME" in requests[0] or f'"{name}":"AC ME"' in requests[0]
    assert "sender" not in requests[1]


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({"password": "another"}, Outcome.CONFIG_ERROR),
        ({"now": NOW + 30 * 60}, Outcome.ACCEPTED),
        ({"now": NOW - 30 * 60 - 1}, Outcome.CONFIG_ERROR),
        ({"now": NOW + 8 * 3600}, Outcome.CONFIG_ERROR),
    ],
)
async def test_wrong_signature_or_time_is_refused(changed: dict[str, Any], outcome: Outcome) -> None:
    """The gateway accepts a time difference of half an hour, and refuses a time in another zone."""
    async with eims_gateway() as gateway, eims(gateway, variant="v2", **changed) as provider:
        assert (await provider.send(outbound())).outcome is outcome


@pytest.mark.parametrize("behavior", [Hang(), Cut()])
@pytest.mark.parametrize("post", [False, True])
async def test_missing_response_is_ambiguous_and_not_repeated(behavior: Behavior, post: bool) -> None:
    """Variant V2 has no idempotency key either, so a lost response is not repeated."""
    async with eims_gateway() as gateway:
        gateway.always = behavior
        async with eims(gateway, variant="v2", post=post, seconds=0.25) as provider:
            assert not provider.idempotent_send
            assert await provider.send(outbound()) == SendResult(Outcome.AMBIGUOUS)
    assert len(gateway.requests) == 1


async def test_429_of_a_proxy_is_throttled() -> None:
    """A 429 that does not come from the gateway itself is throttled."""
    async with eims_gateway() as gateway, eims(gateway) as provider:
        gateway.script(responding("", 429))
        assert await provider.send(outbound()) == SendResult(Outcome.THROTTLED)


@pytest.mark.parametrize("variant", ["v1", "v2"])
async def test_balance_includes_the_bonus(variant: str) -> None:
    """The balance is the sum of balance and bonus, decimals in strings, without a currency."""
    async with (
        eims_gateway(balance=("499740.000000", "0.250000")) as gateway,
        eims(gateway, variant=variant) as provider,
    ):
        assert isinstance(provider, BalanceProvider)
        assert await provider.fetch_balance() == Balance(Decimal("499740.25"))

    [request] = gateway.requests
    plain = "account=acme%20%26%20sons&password=p%25s%2Bw%26rd%3D100%25%20%C3%BC"
    assert (request.method, request.body) == ("GET", b"")
    assert request.target == (f"/getbalance?{plain}" if variant == "v1" else f"/getbalanceV2?{CREDENTIALS}")


@pytest.mark.parametrize(
    ("behavior", "expected"),
    [
        (responding('{"status":0,"balance":"1.5"}'), Balance(Decimal("1.5"))),
        (responding('{"status":"0","balance":2,"gift":"-0.5"}'), Balance(Decimal("1.5"))),
        (responding('{"status":0}'), Outcome.AMBIGUOUS),
        (responding('{"status":0,"balance":"much"}'), Outcome.AMBIGUOUS),
        (responding('{"status":0,"balance":"NaN"}'), Outcome.AMBIGUOUS),
        (responding('{"status":0,"balance":"1","gift":null}'), Outcome.AMBIGUOUS),
        (refusal(-1), Outcome.CONFIG_ERROR),
        (refusal(-15), Outcome.THROTTLED),
        (responding("<html>", 404), Outcome.CONFIG_ERROR),
        (Cut(), Outcome.AMBIGUOUS),
    ],
)
async def test_response_to_a_balance_query(behavior: Behavior, expected: Balance | Outcome) -> None:
    """A response without a readable balance has the outcome that a send would have, after a single request."""
    async with eims_gateway() as gateway, eims(gateway) as provider:
        gateway.script(behavior)
        assert await provider.fetch_balance() == expected
    assert len(gateway.requests) == 1


async def test_defaults_of_an_account() -> None:
    """An account uses V1 and GET, and queries reports after 30 seconds, unless configured otherwise."""
    config = EimsConfig(base_url="http://x", account="a", password=Secret("p"))
    assert (config.variant, config.sender_id, config.report_poll_seconds, config.zero_is_delivered) == (
        "v1",
        None,
        30,
        False,
    )
    async with (
        eims_gateway() as gateway,
        eims(gateway) as without_reports,
        eims(gateway, report_poll_seconds=30) as with_reports,
    ):
        assert (without_reports.reports_delivery, with_reports.reports_delivery) == (False, True)
        assert isinstance(with_reports, PollingProvider)


@pytest.mark.parametrize("variant", ["v1", "v2"])
async def test_secrets_do_not_appear_in_logs_or_reprs(
    variant: str, caplog: pytest.LogCaptureFixture, log_events: list[EventDict]
) -> None:
    """No log line, repr or result contains the password, the signature, the text or the number."""
    caplog.set_level(logging.DEBUG)
    for library in ("httpx", "httpcore"):  # as `configure_logging` sets them
        logging.getLogger(library).setLevel(logging.WARNING)
    async with eims_gateway() as gateway, eims(gateway, variant=variant, report_poll_seconds=30) as provider:
        results = [
            await provider.send(outbound()),
            await provider.fetch_report("1620443"),
            await provider.fetch_balance(),
        ]
        shown = f"{results} {provider!r} {vars(provider)!r} {caplog.text} {log_events}"

    for secret in (PASSWORD, "p%25s", SIGNATURE, DIGITS, "123456"):
        assert secret not in shown
