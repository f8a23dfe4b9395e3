"""What goes out to Aurora SendCloud, byte for byte, and that its secrets stay where they belong."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.base import ReceiptProvider
from otp_service.providers.sendcloud.adapter import SendcloudAccount
from otp_service.providers.sendcloud.wire import signature
from otp_service.sandbox.simulators.http_server import Cut, Hang
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from tests.providers.sendcloud_kit import KEY, NOW, TEXT, TO, aurora, outbound, said, sendcloud


@pytest.fixture
async def gateway() -> AsyncIterator[SendcloudSimulator]:
    """One that takes everything that it may."""
    async with aurora() as running:
        yield running


async def test_a_template_goes_as_a_form(gateway: SendcloudSimulator) -> None:
    """Every byte that is not unreserved is %XX; the request's id and the reference to be echoed are ours."""
    async with sendcloud(gateway) as provider:
        delivered = await provider.send(outbound())

    [message] = gateway.messages
    assert delivered == SendResult(Outcome.ACCEPTED, message.sms_id.partition("$")[0])
    assert "6281210100055" not in delivered.provider_message_id
    [request] = gateway.requests
    assert (request.method, request.target) == ("POST", "/smsapi/send")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.body == (
        b"smsUser=acme_sms&smsKey=k%25y%26%2B%C3%BC&templateId=1234&phone=%2B6281210100055"
        b"&vars=%7B%22code%22%3A%22123456%22%7D&sendRequestId=v1-ABC_7"
        b"&customArgs=%7B%22message_id%22%3A%22v1-ABC_7%22%7D"
    )
    assert (message.to, message.values, message.text) == ("6281210100055", {"code": "123456"}, "")


async def test_a_text_goes_as_the_authentication_page_shows_it(gateway: SendcloudSimulator) -> None:
    """`to` and `message`, and no template; the request's id stays, or a repetition would be a second text."""
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


async def test_variables_are_the_templates_own() -> None:
    """Placeholders are filled in one pass: a brand that looks like one stays as it is."""
    variables = {"%otp%": "{code}", "who": "{brand}!", "for": "{minutes} min"}
    async with (
        aurora(templates={9: frozenset({"otp", "who", "for"})}) as gateway,
        sendcloud(gateway, template_id=9, variables=variables, sender_id="ACME") as provider,
    ):
        assert (await provider.send(outbound(brand="{code}"))).outcome is Outcome.ACCEPTED

    [message] = gateway.messages
    assert message.values == {"otp": "123456", "who": "{code}!", "for": "5 min"}
    assert message.sender == "ACME"


async def test_a_variable_that_is_too_long_is_not_even_sent() -> None:
    """32 characters fit; 33 are refused without a request, as the gateway would refuse them."""
    async with (
        aurora(templates={1234: frozenset({"b"})}) as gateway,
        sendcloud(gateway, variables={"b": "{brand}"}) as provider,
    ):
        assert (await provider.send(outbound(brand="é" * 32))).outcome is Outcome.ACCEPTED
        assert await provider.send(outbound(brand="é" * 33)) == SendResult(Outcome.CONTENT_REJECTED)

    assert len(gateway.requests) == 1


def test_the_signature_has_its_documented_form() -> None:
    """md5(key & sorted name=value & key), parameters as they are, and a value of md5sum(1)."""
    parameters = {"smsUser": "testuser", "templateId": "1", "phone": "18888888888", "vars": "{}"}
    plain = "KEY&phone=18888888888&smsUser=testuser&templateId=1&vars={}&KEY"
    assert signature(parameters, Secret("KEY")) == hashlib.md5(plain.encode(), usedforsecurity=False).hexdigest()
    assert signature(parameters, Secret("KEY")) == "ced4de12712670b5dd2611e2f02f5191"


async def test_a_signed_request_does_not_hold_the_key() -> None:
    """The signature is over what is sent, before it is encoded; numbers are digits, and international."""
    async with aurora(auth="signature") as gateway, sendcloud(gateway, auth="signature") as provider:
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


async def test_a_timestamp_of_the_other_unit_is_learnt_from_a_refusal() -> None:
    """Seconds are refused with 461 where milliseconds are meant; the next request, not a repetition, has them."""
    async with (
        aurora(auth="signature", milliseconds=True) as gateway,
        sendcloud(gateway, auth="signature") as provider,
    ):
        outcomes = [(await provider.send(outbound(f"v{number}"))).outcome for number in range(3)]

    assert outcomes == [Outcome.CONFIG_ERROR, Outcome.ACCEPTED, Outcome.ACCEPTED]
    assert len(gateway.requests) == 3
    assert b"timestamp=1796000000500" in gateway.requests[1].body


async def test_a_repetition_is_one_text(gateway: SendcloudSimulator) -> None:
    """After an answer that was lost the same id is asked for again: the same answer, and nothing more is sent."""
    gateway.script(Cut())
    async with sendcloud(gateway) as provider:
        assert provider.idempotent_send
        lost, found = await provider.send(outbound()), await provider.send(outbound())

    assert lost.outcome is Outcome.AMBIGUOUS
    assert found == SendResult(Outcome.ACCEPTED, gateway.messages[0].sms_id.partition("$")[0])
    assert (len(gateway.requests), len(gateway.messages)) == (2, 1)


@pytest.mark.parametrize("auth", ["parameters", "signature"])
@pytest.mark.parametrize(
    ("changed", "outcome"),
    [({"key": "another"}, "config_error"), ({"sms_user": ""}, "config_error"), ({"sms_user": "x"}, "config_error"),
     ({"template_id": 7}, "content_rejected"), ({"variables": {"x": "{code}"}}, "content_rejected")],
)  # fmt: skip
async def test_the_gateway_refuses_what_is_wrong(auth: str, changed: dict[str, Any], outcome: str) -> None:
    """Unknown user, key, template and variables: the simulator says so as the gateway does."""
    async with aurora(auth=auth) as gateway, sendcloud(gateway, auth=auth, **changed) as provider:
        assert (await provider.send(outbound())).outcome.value == outcome
    assert gateway.messages == []


STRICT = {
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


@pytest.mark.parametrize(("form", "code"), STRICT.items())
async def test_the_simulator_refuses_what_the_gateway_would(form: str, code: int) -> None:
    """Whatever an integration forgets, it hears the gateway's own code."""
    async with SendcloudSimulator(sms_key="K") as gateway, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{gateway.url}/smsapi/send?{form}")

    assert (answer.json()["result"], answer.json()["statusCode"]) == (False, code)
    assert gateway.messages == []


@pytest.mark.parametrize(
    "form", ["smsUser=a b", "smsUser=a&smsUser=b", "smsUser=a&phones=1", "smsUser=%FF", "smsUser=a&"]
)
async def test_the_simulator_refuses_what_is_no_request(form: str) -> None:
    """An unknown or doubled parameter and a form that is none: 400, and a line that says why."""
    async with SendcloudSimulator() as gateway, httpx.AsyncClient(trust_env=False) as client:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await client.post(f"{gateway.url}/smsapi/send", content=form, headers=headers)
        posted_json = await client.post(f"{gateway.url}/smsapi/send", json={})

    assert (answer.status_code, posted_json.status_code) == (400, 400)
    assert answer.text


async def test_a_request_is_remembered_for_an_hour() -> None:
    """After it, the same id is another text: a code does not live as long."""
    now = [NOW]
    async with aurora(clock=lambda: now[0]) as gateway, sendcloud(gateway) as provider:
        for at in (NOW, NOW + 3599, NOW + 3600):
            now[0] = at
            await provider.send(outbound())

    assert (len(gateway.requests), len(gateway.messages)) == (3, 2)


async def test_the_gateway_refuses_a_number_that_is_none(gateway: SendcloudSimulator) -> None:
    """It is the recipient's fault, and nobody else is asked."""
    async with sendcloud(gateway) as provider:
        assert (await provider.send(outbound(to="+0812"))).outcome is Outcome.RECIPIENT_INVALID


def test_a_template_needs_its_number() -> None:
    """An account that cannot send is not made."""
    with pytest.raises(ValueError, match="template_id"):
        SendcloudAccount("http://x", "u", Secret("k"))


async def test_it_tells_only_with_a_key_for_its_hooks(gateway: SendcloudSimulator) -> None:
    """Without one no hook is believed, so nothing is to be waited for."""
    async with sendcloud(gateway) as without, sendcloud(gateway, hook_key=Secret("app key")) as with_key:
        assert (without.reports_delivery, with_key.reports_delivery) == (False, True)
        assert isinstance(with_key, ReceiptProvider)


@pytest.mark.parametrize("auth", ["parameters", "signature"])
async def test_secrets_are_seen_nowhere_else(auth: str, caplog: pytest.LogCaptureFixture) -> None:
    """No log line, no repr and no outcome holds the keys, the text, the code or the number."""
    caplog.set_level(logging.DEBUG)
    for noisy in ("httpx", "httpcore"):  # as `configure_logging` leaves them
        logging.getLogger(noisy).setLevel(logging.WARNING)
    async with aurora(auth=auth) as gateway:
        gateway.script(None, said(f"<html>{TEXT}", 500), Hang())
        async with sendcloud(gateway, auth=auth, seconds=0.2, hook_key=Secret("app key")) as provider:
            outcomes = [await provider.send(outbound()) for _ in range(3)]
            seen = f"{outcomes} {provider!r} {vars(provider)!r} {outbound()!r} {caplog.text}"

    assert [one.outcome.value for one in outcomes] == ["accepted", "ambiguous", "ambiguous"]
    for secret in (KEY, "app key", "k%25y", TO[1:], "123456", "kode"):
        assert secret not in seen
