"""The signed variant of EIMS, the sender, and the balance: byte for byte, with one request for each call."""

from __future__ import annotations

import logging
from decimal import Decimal
from hashlib import md5
from typing import Any

import msgspec
import pytest

from otp_service.domain.message import Balance, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.base import BalanceProvider, PollingProvider
from otp_service.providers.eims.adapter import EimsAccount
from otp_service.providers.eims.wire import sign
from otp_service.sandbox.simulators.eims import refusing
from otp_service.sandbox.simulators.http_server import Behaviour, Cut, Hang
from tests.providers.eims_kit import ACCOUNT, DIGITS, NOW, PASSWORD, TEXT, eims, ejoin, outbound, said

AT = "20261130000000"
SIGN = md5(f"{ACCOUNT}{PASSWORD}{AT}".encode(), usedforsecurity=False).hexdigest()
WHO = f"account=acme%20%26%20sons&sign={SIGN}&datetime={AT}"
CHARSET = "application/json;charset=utf-8"


def test_the_signature_has_its_published_value() -> None:
    """The vector of the signed interface's document."""
    assert sign("test", Secret("123456"), "20190101120000") == "6ac4928d8d0c3c5ba75981b539c52152"


async def test_a_signed_get() -> None:
    """Account, signature and time stand in the query; the time is GMT+8's, which is already tomorrow."""
    async with ejoin() as gateway, eims(gateway, variant="v2") as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.ACCEPTED, "1620443")

    [request] = gateway.requests
    content = "Caf%C3%A9%3A%20kode%20123456%20%2B%20100%25"
    assert (request.method, request.body) == ("GET", b"")
    assert request.target == f"/sendsmsV2?{WHO}&numbers={DIGITS}&content={content}"
    assert request.headers["content-type"] == CHARSET
    assert gateway.messages[0].text == TEXT


async def test_a_signed_post() -> None:
    """Who we are stays in the query; the message is JSON, and no password is anywhere."""
    async with ejoin() as gateway, eims(gateway, variant="v2", post=True, sender_id="ACME") as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.ACCEPTED, "1620443")

    [request] = gateway.requests
    assert (request.method, request.target) == ("POST", f"/sendsmsV2?{WHO}")
    assert request.headers["content-type"] == CHARSET
    assert request.body == msgspec.json.encode({"senderid": "ACME", "numbers": DIGITS, "content": TEXT})


@pytest.mark.parametrize(("variant", "name"), [("v1", "sender"), ("v2", "senderid")])
@pytest.mark.parametrize("post", [False, True])
async def test_the_sender_has_another_name_in_each_variant(variant: str, name: str, post: bool) -> None:
    """And none stands there when none is configured."""
    async with ejoin() as gateway:
        async with eims(gateway, variant=variant, post=post, sender_id="AC ME") as provider:
            await provider.send(outbound())
        async with eims(gateway, variant=variant, post=post) as provider:
            await provider.send(outbound())

    assert [message.sender for message in gateway.messages] == ["AC ME", ""]
    asked = [f"{request.target} {request.body.decode()}" for request in gateway.requests]
    assert f"{name}=AC%20ME" in asked[0] or f'"{name}":"AC ME"' in asked[0]
    assert "sender" not in asked[1]


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({"password": "another"}, Outcome.CONFIG_ERROR),
        ({"now": NOW + 30 * 60}, Outcome.ACCEPTED),
        ({"now": NOW - 30 * 60 - 1}, Outcome.CONFIG_ERROR),
        ({"now": NOW + 8 * 3600}, Outcome.CONFIG_ERROR),
    ],
)
async def test_the_gateway_refuses_a_wrong_signature_and_a_wrong_time(
    changed: dict[str, Any], outcome: Outcome
) -> None:
    """Half an hour of difference is borne; a time in another zone is not."""
    async with ejoin() as gateway, eims(gateway, variant="v2", **changed) as provider:
        assert (await provider.send(outbound())).outcome is outcome


@pytest.mark.parametrize("silence", [Hang(), Cut()])
@pytest.mark.parametrize("post", [False, True])
async def test_silence_is_ambiguous_and_is_not_asked_again(silence: Behaviour, post: bool) -> None:
    """The signed variant knows messages by no id of ours either."""
    async with ejoin() as gateway:
        gateway.always = silence
        async with eims(gateway, variant="v2", post=post, seconds=0.25) as provider:
            assert not provider.idempotent_send
            assert await provider.send(outbound()) == SendResult(Outcome.AMBIGUOUS)
    assert len(gateway.requests) == 1


async def test_the_time_to_wait_of_a_proxy_is_handed_on() -> None:
    """A 429 that is not the gateway's own."""
    async with ejoin() as gateway, eims(gateway) as provider:
        gateway.script(said("", 429))
        assert await provider.send(outbound()) == SendResult(Outcome.THROTTLED)


@pytest.mark.parametrize("variant", ["v1", "v2"])
async def test_the_balance_is_real_money_and_the_bonus(variant: str) -> None:
    """Decimals as strings, in a currency that nobody names."""
    async with ejoin(balance=("499740.000000", "0.250000")) as gateway, eims(gateway, variant=variant) as provider:
        assert isinstance(provider, BalanceProvider)
        assert await provider.fetch_balance() == Balance(Decimal("499740.25"))

    [request] = gateway.requests
    plain = "account=acme%20%26%20sons&password=p%25s%2Bw%26rd%3D100%25%20%C3%BC"
    assert (request.method, request.body) == ("GET", b"")
    assert request.target == (f"/getbalance?{plain}" if variant == "v1" else f"/getbalanceV2?{WHO}")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (said('{"status":0,"balance":"1.5"}'), Balance(Decimal("1.5"))),
        (said('{"status":"0","balance":2,"gift":"-0.5"}'), Balance(Decimal("1.5"))),
        (said('{"status":0}'), Outcome.AMBIGUOUS),
        (said('{"status":0,"balance":"much"}'), Outcome.AMBIGUOUS),
        (said('{"status":0,"balance":"NaN"}'), Outcome.AMBIGUOUS),
        (said('{"status":0,"balance":"1","gift":null}'), Outcome.AMBIGUOUS),
        (refusing(-1), Outcome.CONFIG_ERROR),
        (refusing(-15), Outcome.THROTTLED),
        (said("<html>", 404), Outcome.CONFIG_ERROR),
        (Cut(), Outcome.AMBIGUOUS),
    ],
)
async def test_a_balance_that_is_not_told(answer: Behaviour, expected: Balance | Outcome) -> None:
    """It is the outcome that a send would have."""
    async with ejoin() as gateway, eims(gateway) as provider:
        gateway.script(answer)
        assert await provider.fetch_balance() == expected
    assert len(gateway.requests) == 1


async def test_an_account_is_still_made_as_before() -> None:
    """V1, GET, and no questions about reports, unless the config says otherwise."""
    account = EimsAccount("http://x", "a", Secret("p"), post=True)
    assert (account.variant, account.sender_id, account.first_report_seconds, account.zero_is_delivered) == (
        "v1",
        None,
        0,
        False,
    )
    async with ejoin() as gateway, eims(gateway) as silent, eims(gateway, first_report_seconds=30) as telling:
        assert (silent.reports_delivery, telling.reports_delivery) == (False, True)
        assert isinstance(telling, PollingProvider)


@pytest.mark.parametrize("variant", ["v1", "v2"])
async def test_secrets_are_seen_nowhere_else(variant: str, caplog: pytest.LogCaptureFixture) -> None:
    """No log line, no repr and no answer holds the password, the signature, the text or the number."""
    caplog.set_level(logging.DEBUG)
    for noisy in ("httpx", "httpcore"):  # as `configure_logging` leaves them
        logging.getLogger(noisy).setLevel(logging.WARNING)
    async with ejoin() as gateway, eims(gateway, variant=variant, first_report_seconds=30) as provider:
        answers = [
            await provider.send(outbound()),
            await provider.fetch_report("1620443"),
            await provider.fetch_balance(),
        ]
        seen = f"{answers} {provider!r} {vars(provider)!r} {caplog.text}"

    for secret in (PASSWORD, "p%25s", SIGN, DIGITS, "123456"):
        assert secret not in seen
