"""Twilio: each request byte for byte, with either kind of credentials, and the variants that the config selects."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from otp_service.domain.message import Balance
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.twilio import wire
from otp_service.providers.twilio.adapter import Twilio
from otp_service.sandbox.simulators.twilio import ACCOUNT_SID, TwilioSimulator
from tests.providers.twilio_provider import (
    RECEIPT_URL,
    SEND_PATH,
    TOKEN,
    outbound,
    responding,
    twilio,
    twilio_config,
    twilio_gateway,
)

SERVICE = "MG" + "0" * 32
TO_AND_BODY = ("To=%2B6281210100055", "Body=Acme%20%26%20S%C3%B6hne%3A%20kode%20123456%20%2B%20100%25")


@pytest.fixture
async def gateway() -> AsyncIterator[TwilioSimulator]:
    """A simulated gateway that accepts every message."""
    async with twilio_gateway() as running:
        yield running


def basic(user: str, password: str) -> str:
    """Return the `Authorization` header of Basic auth."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def test_message_is_a_form_with_basic_auth(gateway: TwilioSimulator) -> None:
    """The SID and the auth token authenticate; number, sender, text and lifetime are the only parameters."""
    async with twilio(gateway) as provider:
        result = await provider.send(outbound())

    [request], [message] = gateway.requests, gateway.messages
    assert (request.method, request.target) == ("POST", SEND_PATH)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["authorization"] == basic(ACCOUNT_SID, TOKEN)
    to, body = TO_AND_BODY
    assert request.body.decode() == f"{to}&From=Acme&{body}&ValidityPeriod=300"
    assert (result.outcome, result.provider_message_id) == (Outcome.ACCEPTED, message.sid)


async def test_api_key_replaces_the_auth_token() -> None:
    """With an API key, its SID and secret authenticate, and the path still names the account."""
    account: dict[str, Any] = {"api_key_sid": "SK1", "api_key_secret": Secret("key secret")}
    async with twilio_gateway(api_key=("SK1", "key secret")) as gateway, twilio(gateway, **account) as provider:
        assert (await provider.send(outbound())).outcome is Outcome.ACCEPTED

    [request] = gateway.requests
    assert request.headers["authorization"] == basic("SK1", "key secret")
    assert request.target == SEND_PATH


@pytest.mark.parametrize(
    ("sender", "expected"),
    [(None, f"MessagingServiceSid={SERVICE}"), ("Acme", f"MessagingServiceSid={SERVICE}&From=Acme")],
)
async def test_messaging_service(gateway: TwilioSimulator, sender: str | None, expected: str) -> None:
    """A messaging service chooses the sender, or sends from the given one."""
    async with twilio(gateway, sender=sender, messaging_service_sid=SERVICE) as provider:
        assert (await provider.send(outbound())).outcome is Outcome.ACCEPTED

    to, body = TO_AND_BODY
    assert gateway.requests[0].body.decode() == f"{to}&{expected}&{body}&ValidityPeriod=300"


@pytest.mark.parametrize(
    ("expires_in", "validity"), [(1, "1"), (5, "5"), (600, "600"), (36_000, "36000"), (36_001, "36000"), (0, "1")]
)
def test_validity_is_the_rest_of_the_lifetime(expires_in: int, validity: str) -> None:
    """It stays within 1 to 36,000 seconds, and is not rounded up to the recommended 5 seconds."""
    assert f"&ValidityPeriod={validity}" in wire.send_body(twilio_config(), outbound(expires_in=expires_in)).decode()


@pytest.mark.parametrize(
    ("account", "has_callback"),
    [
        ({}, True),
        ({"auth_token": None, "webhook_shared_key": Secret("k"), "api_key_sid": "SK1", "api_key_secret": TOKEN}, True),
        ({"auth_token": None, "api_key_sid": "SK1", "api_key_secret": TOKEN}, False),
    ],
)
def test_callback_is_requested_only_if_it_can_be_verified(account: dict[str, Any], has_callback: bool) -> None:
    """Without a key for its signature, or without a public URL, no status callback is requested."""
    body = wire.send_body(twilio_config(**account), outbound(receipt_url=RECEIPT_URL)).decode()
    url = "https%3A%2F%2Fotp.example.com%2Fv1%2Freceipts%2Ffirst%2Fv1-ABC_7.mac"
    assert body.endswith(f"&StatusCallback={url}") is has_callback
    assert "StatusCallback" not in wire.send_body(twilio_config(**account), outbound()).decode()


@pytest.mark.parametrize(("token", "poll_seconds", "reports"), [(None, 0, False), (None, 60, True), ("t", 0, True)])
def test_delivery_is_reported_or_queried(token: str | None, poll_seconds: float, reports: bool) -> None:
    """`sent` is the last status only if callbacks cannot be verified and the status is not queried."""
    secret = Secret(token) if token else None
    config = twilio_config(auth_token=secret, report_poll_seconds=poll_seconds)
    provider = Twilio("first", config, GatewayClient(1.0))
    assert (provider.reports_delivery, provider.first_report_seconds) == (reports, poll_seconds)
    assert not provider.idempotent_send


def test_region_is_the_host() -> None:
    """`base_url` names the host of another region, or a proxy with a path."""
    config = twilio_config(base_url="https://api.dublin.ie1.twilio.com/proxy")
    assert wire.account_url(config, "Balance") == (
        f"https://api.dublin.ie1.twilio.com/proxy/2010-04-01/Accounts/{ACCOUNT_SID}/Balance.json"
    )


@pytest.mark.parametrize(("funds", "shown"), [(None, "100.0"), (12.5, "12.5"), (-0.5, "-0.5")])
async def test_balance(funds: float | None, shown: str) -> None:
    """The balance has a currency, and may be negative."""
    async with twilio_gateway(funds=funds) as gateway, twilio(gateway) as provider:
        balance = await provider.fetch_balance()

    assert isinstance(balance, Balance)
    assert (str(balance.amount), balance.currency) == (shown, "USD")
    assert (gateway.requests[0].method, gateway.requests[0].target) == (
        "GET",
        f"/2010-04-01/Accounts/{ACCOUNT_SID}/Balance.json",
    )


async def test_balance_of_a_subaccount_is_unknown() -> None:
    """A subaccount has no balance of its own: its parent pays."""
    async with twilio_gateway(is_subaccount=True) as gateway, twilio(gateway) as provider:
        assert await provider.fetch_balance() is Outcome.AMBIGUOUS


@pytest.mark.parametrize(
    ("body", "status", "outcome"),
    [
        ('{"code":20003,"status":401}', 401, Outcome.CONFIG_ERROR),
        ('{"balance":"NaN","currency":"USD"}', 200, Outcome.AMBIGUOUS),
        ('{"balance":"x"}', 200, Outcome.AMBIGUOUS),
        ("[]", 200, Outcome.AMBIGUOUS),
        ("", 503, Outcome.AMBIGUOUS),
    ],
)
async def test_failed_balance_query(gateway: TwilioSimulator, body: str, status: int, outcome: Outcome) -> None:
    """A refusal has the outcome of a send; an amount that is not a number is no balance."""
    gateway.script(responding(body, status))
    async with twilio(gateway) as provider:
        assert await provider.fetch_balance() is outcome
