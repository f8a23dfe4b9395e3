"""Requests to Aurora SendCloud, byte for byte, and that secrets do not leak."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from msgspec import structs
from structlog.typing import EventDict

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.base import ReceiptProvider
from otp_service.providers.sendcloud.config import SendcloudConfig
from otp_service.providers.sendcloud.wire import signature
from otp_service.sandbox.simulators.http_server import Cut, Hang
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from tests.providers.sendcloud_provider import KEY, NOW, TEXT, TO, outbound, responding, sendcloud, sendcloud_gateway


@pytest.fixture
async def gateway() -> AsyncIterator[SendcloudSimulator]:
    """A simulated gateway with default options."""
    async with sendcloud_gateway() as running:
        yield running


async def test_template_request_byte_for_byte(gateway: SendcloudSimulator) -> None:
    """A template message is a percent-encoded form, with our message id as idempotency key and custom argument."""
    async with sendcloud(gateway) as provider:
        result = await provider.send(outbound())

    [message] = gateway.messages
    assert result == SendResult(Outcome.ACCEPTED, message.sms_id.partition("$")[0])
    assert "6281210100055" not in result.provider_message_id
    [request] = gateway.requests
    assert (request.method, request.target) == ("POST", "/smsapi/send")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.body == (
        b"smsUser=acme_sms&smsKey=k%25y%26%2B%C3%BC&templateId=1234&phone=%2B6281210100055"
        b"&vars=%7B%22code%22%3A%22123456%22%7D&sendRequestId=v1-ABC_7"
        b"&customArgs=%7B%22message_id%22%3A%22v1-ABC_7%22%7D"
    )
    assert (message.to, message.values, message.text) == ("6281210100055", {"code": "123456"}, "")


@pytest.mark.parametrize(
    ("account", "outcome"),
    [({}, Outcome.CONTENT_REJECTED), ({"mode": "text", "template_id": None}, Outcome.ACCEPTED)],
    ids=["template", "text"],
)
async def test_a_text_that_must_be_read(gateway: SendcloudSimulator, account: dict[str, Any], outcome: Outcome) -> None:
    """A message that names a transaction is not sent as a template of the gateway, which would not name it."""
    async with sendcloud(gateway, **account) as provider:
        assert (await provider.send(structs.replace(outbound(), needs_text=True))).outcome is outcome
    assert len(gateway.messages) == (outcome is Outcome.ACCEPTED)


async def test_text_request_is_as_the_authentication_page_shows(gateway: SendcloudSimulator) -> None:
    """A text message has `to`, `message` and the idempotency key, and no template."""
    async with sendcloud(gateway, mode="text", template_id=None) as provider:
        assert (await provider.send(outbound())).outcome is Outcome.ACCEPTED

    form = dict(parse_qsl(gateway.requests[0].body.decode()))
    assert form == {
        "smsUser": "acme_sms",
        "smsKey": KEY,
        "to": TO,
        "message": TEXT,
        "sendRequestId": "v1-ABC_7",
        "customArgs": '{"message_id":"v1-ABC_7"}',
    }
    assert gateway.messages[0].text == TEXT


async def test_template_variables_are_filled() -> None:
    """Placeholders are replaced in one pass: a brand that looks like one stays as it is."""
    variables = {"%otp%": "{code}", "who": "{brand}!", "for": "{minutes} min"}
    async with (
        sendcloud_gateway(templates={9: frozenset({"otp", "who", "for"})}) as gateway,
        sendcloud(gateway, template_id=9, variables=variables, sender_id="ACME") as provider,
    ):
        assert (await provider.send(outbound(brand="{code}"))).outcome is Outcome.ACCEPTED

    [message] = gateway.messages
    assert message.values == {"otp": "123456", "who": "{code}!", "for": "5 min"}
    assert message.sender == "ACME"


async def test_too_long_variable_is_not_sent() -> None:
    """A variable of 32 characters is sent; one of 33 is refused without a request."""
    async with (
        sendcloud_gateway(templates={1234: frozenset({"b"})}) as gateway,
        sendcloud(gateway, variables={"b": "{brand}"}) as provider,
    ):
        assert (await provider.send(outbound(brand="é" * 32))).outcome is Outcome.ACCEPTED
        assert await provider.send(outbound(brand="é" * 33)) == SendResult(Outcome.CONTENT_REJECTED)

    assert len(gateway.requests) == 1


def test_signature_has_the_documented_form() -> None:
    """The signature is md5(key & sorted name=value & key), over values that are not encoded."""
    parameters = {"smsUser": "testuser", "templateId": "1", "phone": "18888888888", "vars": "{}"}
    plain = "KEY&phone=18888888888&smsUser=testuser&templateId=1&vars={}&KEY"
    assert signature(parameters, Secret("KEY")) == hashlib.md5(plain.encode(), usedforsecurity=False).hexdigest()
    assert signature(parameters, Secret("KEY")) == "ced4de12712670b5dd2611e2f02f5191"


async def test_signed_request_does_not_contain_the_key() -> None:
    """The signature covers all other parameters; the number is digits, with the international message type."""
    async with sendcloud_gateway(auth="signature") as gateway, sendcloud(gateway, auth="signature") as provider:
        assert (await provider.send(outbound())).outcome is Outcome.ACCEPTED

    form = dict(parse_qsl(gateway.requests[0].body.decode()))
    reference = '{"message_id":"v1-ABC_7"}'
    signed = {
        "smsUser": "acme_sms",
        "templateId": "1234",
        "phone": "6281210100055",
        "vars": '{"code":"123456"}',
        "sendRequestId": "v1-ABC_7",
        "customArgs": reference,
        "tag": reference,
        "timestamp": "1796000000",
        "msgType": "2",
    }
    plain = "&".join([KEY, *(f"{name}={signed[name]}" for name in sorted(signed)), KEY])
    assert form == signed | {"signature": hashlib.md5(plain.encode(), usedforsecurity=False).hexdigest()}
    assert KEY not in str(form)


async def test_unit_of_the_timestamp_changes_after_a_refusal() -> None:
    """After a 461 the next send has a timestamp in milliseconds; the refused send is not repeated."""
    async with (
        sendcloud_gateway(auth="signature", milliseconds=True) as gateway,
        sendcloud(gateway, auth="signature") as provider,
    ):
        outcomes = [(await provider.send(outbound(f"v{number}"))).outcome for number in range(3)]

    assert outcomes == [Outcome.CONFIG_ERROR, Outcome.ACCEPTED, Outcome.ACCEPTED]
    assert len(gateway.requests) == 3
    assert b"timestamp=1796000000500" in gateway.requests[1].body


async def test_repeated_send_is_one_message(gateway: SendcloudSimulator) -> None:
    """After a lost response, a send with the same id returns the same result and sends nothing more."""
    gateway.script(Cut())
    async with sendcloud(gateway) as provider:
        assert provider.idempotent_send
        lost, repeated = await provider.send(outbound()), await provider.send(outbound())

    assert lost.outcome is Outcome.AMBIGUOUS
    assert repeated == SendResult(Outcome.ACCEPTED, gateway.messages[0].sms_id.partition("$")[0])
    assert (len(gateway.requests), len(gateway.messages)) == (2, 1)


@pytest.mark.parametrize("auth", ["parameters", "signature"])
@pytest.mark.parametrize(
    ("changed", "outcome"),
    [({"key": "another"}, "config_error"), ({"sms_user": ""}, "config_error"), ({"sms_user": "x"}, "config_error"),
     ({"template_id": 7}, "content_rejected"), ({"variables": {"x": "{code}"}}, "content_rejected")],
)  # fmt: skip
async def test_wrong_credentials_and_templates_are_refused(auth: str, changed: dict[str, Any], outcome: str) -> None:
    """An unknown user, key, template or variable has the outcome of the gateway's code for it."""
    async with sendcloud_gateway(auth=auth) as gateway, sendcloud(gateway, auth=auth, **changed) as provider:
        assert (await provider.send(outbound())).outcome.value == outcome
    assert gateway.messages == []


REFUSED_FORMS = {
    "smsUser=&smsKey=K": 472,
    "smsUser=acme_sms": 40005,
    "smsUser=acme_sms&smsKey=K&phone=6281210100055": 433,
    "smsUser=acme_sms&smsKey=K&templateId=1234": 441,
    "smsUser=acme_sms&smsKey=K&templateId=1234&vars=%7B%22code%22%3A%221%22%7D": 411,
    "smsUser=acme_sms&smsKey=K&templateId=1234&vars=%7B%22code%22%3A1%7D&phone=6281210100055": 441,
    "smsUser=acme_sms&smsKey=K&templateId=1234&vars=%7B%22code%22%3A%22123%22%7D&phone=081210100055": 412,
    "smsUser=acme_sms&smsKey=K&templateId=1234&vars=%7B%22code%22%3A%22" + "1" * 33 + "%22%7D&phone=6281210100055": 483,
    "smsUser=acme_sms&smsKey=K&to=6281210100055&message=": 401,
}


@pytest.mark.parametrize(("form", "code"), REFUSED_FORMS.items())
async def test_simulator_refuses_with_the_gateways_code(form: str, code: int) -> None:
    """The simulator refuses an incomplete or wrong form with the code that the gateway uses."""
    async with SendcloudSimulator(sms_key="K") as gateway, httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(f"{gateway.url}/smsapi/send?{form}")

    assert (response.json()["result"], response.json()["statusCode"]) == (False, code)
    assert gateway.messages == []


@pytest.mark.parametrize(
    "form", ["smsUser=a b", "smsUser=a&smsUser=b", "smsUser=a&phones=1", "smsUser=%FF", "smsUser=a&"]
)
async def test_simulator_refuses_a_malformed_form(form: str) -> None:
    """An unknown or duplicate parameter or a malformed form is a 400 with an explanation."""
    async with SendcloudSimulator() as gateway, httpx.AsyncClient(trust_env=False) as client:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        response = await client.post(f"{gateway.url}/smsapi/send", content=form, headers=headers)
        json_response = await client.post(f"{gateway.url}/smsapi/send", json={})

    assert (response.status_code, json_response.status_code) == (400, 400)
    assert response.text


async def test_idempotency_key_is_valid_for_an_hour() -> None:
    """After an hour, a send with the same id is a second message; a code expires before that."""
    now = [NOW]
    async with sendcloud_gateway(clock=lambda: now[0]) as gateway, sendcloud(gateway) as provider:
        for at in (NOW, NOW + 3599, NOW + 3600):
            now[0] = at
            await provider.send(outbound())

    assert (len(gateway.requests), len(gateway.messages)) == (3, 2)


async def test_invalid_number_is_recipient_invalid(gateway: SendcloudSimulator) -> None:
    """A number that the gateway refuses as malformed makes the recipient invalid."""
    async with sendcloud(gateway) as provider:
        assert (await provider.send(outbound(to="+0812"))).outcome is Outcome.RECIPIENT_INVALID


def test_template_mode_needs_a_template_id() -> None:
    """An account in template mode without a template id is refused."""
    config = SendcloudConfig(base_url="http://x", sms_user="u", sms_key=Secret("k"))
    assert [path for path, _, _ in config.cross_check()] == [("template_id",)]


async def test_delivery_is_reported_only_with_a_webhook_key(gateway: SendcloudSimulator) -> None:
    """Without a webhook key no webhook is accepted, so the provider does not report deliveries."""
    async with sendcloud(gateway) as without, sendcloud(gateway, hook_key=Secret("app key")) as with_key:
        assert (without.reports_delivery, with_key.reports_delivery) == (False, True)
        assert isinstance(with_key, ReceiptProvider)


@pytest.mark.parametrize("auth", ["parameters", "signature"])
async def test_secrets_do_not_appear_in_logs_or_reprs(
    auth: str, caplog: pytest.LogCaptureFixture, log_events: list[EventDict]
) -> None:
    """No log line, repr or result contains the keys, the text, the code or the number."""
    caplog.set_level(logging.DEBUG)
    for library in ("httpx", "httpcore"):  # as `configure_logging` sets them
        logging.getLogger(library).setLevel(logging.WARNING)
    async with sendcloud_gateway(auth=auth) as gateway:
        gateway.script(None, responding(f"<html>{TEXT}", 500), Hang())
        async with sendcloud(gateway, auth=auth, seconds=0.2, hook_key=Secret("app key")) as provider:
            results = [await provider.send(outbound()) for _ in range(3)]
            shown = f"{results} {provider!r} {vars(provider)!r} {outbound()!r} {caplog.text} {log_events}"

    assert [one.outcome.value for one in results] == ["accepted", "ambiguous", "ambiguous"]
    for secret in (KEY, "app key", "k%25y", TO[1:], "123456", "kode"):
        assert secret not in shown
