"""Vonage's calls: the request byte for byte, its token, refusals, signed events and queried statuses."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import jwt
import msgspec
import pytest

from otp_service.domain.message import DeliveryReport, Receipt, ReceiptForged, ReceiptRequest
from otp_service.domain.outcomes import DeliveryStatus, HealthSignal, Outcome
from otp_service.domain.secret import Secret
from otp_service.domain.voice_texts import VOICE_LOCALES
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.vonage_voice import wire
from otp_service.providers.vonage_voice.adapter import VonageVoice
from otp_service.providers.vonage_voice.result_codes import CALL_STATUSES, DETAIL_OUTCOMES, LANGUAGES
from otp_service.providers.vonage_voice.webhook import parse_event
from otp_service.sandbox.simulators.http_server import Cut, Respond, SimulatorResponse
from otp_service.sandbox.simulators.receipt_sender import Webhook
from otp_service.sandbox.simulators.vonage_voice import APPLICATION_ID, VonageCall, VonageVoiceSimulator, refusal
from otp_service.sandbox.simulators.vonage_voice_key import simulated_key
from tests.providers.twilio_voice_provider import outbound_call
from tests.providers.vonage_voice_provider import SECRET, vonage_voice, vonage_voice_config

RECEIPT_URL = "https://otp.example.com/v1/receipts/first/v1-ABC_7.mac"
DELIVERED, UNDELIVERED = DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED
TRANSIENT = Outcome.TRANSIENT
NOW = 1_790_000_000.0


async def test_call_is_json_with_an_ncco() -> None:
    """The text is spoken twice in its language; the token names the application and is valid for five minutes."""
    async with vonage_voice() as (provider, gateway):
        result = await provider.send(outbound_call("id", receipt_url=RECEIPT_URL))

    [request], [call] = gateway.requests, gateway.messages
    assert (request.method, request.target, request.headers["content-type"]) == (
        "POST",
        "/v1/calls",
        "application/json",
    )
    assert request.body.decode() == (
        '{"to":[{"type":"phone","number":"6281210100055"}],"from":{"type":"phone","number":"447700900001"},'
        '"ncco":[{"action":"talk","text":"Halo. Ini Acme. Kode masuk Anda adalah: 1, 9, 0, 4, 6, 6. Sekali lagi: '
        '1, 9, 0, 4, 6, 6. Berlaku selama 5 menit. Jangan berikan kode ini kepada siapa pun.",'
        '"language":"id-ID","loop":2}],"ringing_timer":30,"length_timer":120,'
        f'"event_url":["{RECEIPT_URL}"],"event_method":"POST"}}'
    )
    scheme, _, token = request.headers["authorization"].partition(" ")
    claims = jwt.decode(token, simulated_key().public_key(), algorithms=["RS256"])
    assert (scheme, set(claims)) == ("Bearer", {"application_id", "iat", "exp", "jti"})
    assert (claims["application_id"], claims["exp"] - claims["iat"]) == (APPLICATION_ID, 300)
    assert (result.outcome, result.provider_message_id) == (Outcome.ACCEPTED, call.uuid)


@pytest.mark.parametrize("locale", sorted(VOICE_LOCALES))
async def test_every_language(locale: str) -> None:
    """The gateway accepts each language that it has; Malay, which it lacks, is spoken in English."""
    async with vonage_voice() as (provider, gateway):
        assert (await provider.send(outbound_call(locale))).outcome is Outcome.ACCEPTED
    [call] = gateway.messages
    assert (locale in LANGUAGES) is (locale != "ms")
    assert call.language == LANGUAGES.get(locale, "en-US")
    assert call.text == outbound_call("en" if locale == "ms" else locale).text


@pytest.mark.parametrize("brand", ["<speak><break/></speak>", 'A"&\\B', "a\x01b\ud800", "{code}", "\u202eÅ 🏦"])
async def test_hostile_brand_stays_text(brand: str) -> None:
    """It is no JSON, no SSML and no control character."""
    async with vonage_voice() as (provider, gateway):
        assert (await provider.send(outbound_call(brand=brand))).outcome is Outcome.ACCEPTED
    spoken = "".join(" " if char in "<>\x01\ud800" else char for char in brand)
    assert f"This is {spoken}." in gateway.messages[0].text


@pytest.mark.parametrize(
    ("keys", "expires_in", "expected"),
    [
        ({}, 12, {"ringing_timer": 12, "length_timer": 120}),
        ({"ring_seconds": 60, "max_call_seconds": 45}, 0, {"ringing_timer": 1, "length_timer": 45}),
        ({"machine_detection": True}, 300, {"machine_detection": "hangup"}),
    ],
)
def test_members_of_a_call(keys: dict[str, Any], expires_in: int, expected: dict[str, Any]) -> None:
    """A call rings no longer than the code is valid, and its length is bounded."""
    call = msgspec.json.decode(wire.call_body(vonage_voice_config(**keys), outbound_call(expires_in=expires_in)))
    assert expected.items() <= call.items()
    assert "event_url" not in call


# Vonage documents the form of an error, and 401 and 404; 402 and 429 are those of its other APIs
@pytest.mark.parametrize(
    ("step", "outcome", "health"),
    [
        (refusal(400, "to[0].number"), Outcome.RECIPIENT_INVALID, HealthSignal.SUCCESS),
        (refusal(400, "to"), Outcome.RECIPIENT_INVALID, HealthSignal.SUCCESS),
        (refusal(400, "token"), Outcome.CONFIG_ERROR, HealthSignal.FAILURE),
        (refusal(400, "from.number"), Outcome.CONFIG_ERROR, HealthSignal.FAILURE),
        (refusal(400), Outcome.CONFIG_ERROR, HealthSignal.FAILURE),
        (
            Respond(SimulatorResponse(b'{"type":"BAD","invalid_parameters":{"to":"Is required"}}', 400)),
            Outcome.RECIPIENT_INVALID,
            HealthSignal.SUCCESS,
        ),
        (refusal(401), Outcome.CONFIG_ERROR, HealthSignal.TRIP),
        (refusal(402), Outcome.FUNDS, HealthSignal.TRIP),
        (refusal(404), Outcome.CONFIG_ERROR, HealthSignal.FAILURE),
        (refusal(415), Outcome.CONFIG_ERROR, HealthSignal.FAILURE),
        (refusal(429), Outcome.THROTTLED, HealthSignal.NONE),
        (refusal(500), Outcome.AMBIGUOUS, HealthSignal.FAILURE),
        (Respond(SimulatorResponse(b"{}", 201)), Outcome.AMBIGUOUS, HealthSignal.FAILURE),
        (Respond(SimulatorResponse(b'{"uuid":7}', 201)), Outcome.AMBIGUOUS, HealthSignal.FAILURE),
        (Cut(), Outcome.AMBIGUOUS, HealthSignal.FAILURE),
    ],
)
async def test_every_refusal(step: Any, outcome: Outcome, health: HealthSignal) -> None:
    """A call that was not started has the outcome of its HTTP status and of the parameter that is named."""
    async with vonage_voice() as (provider, gateway):
        gateway.script(step)
        result = await provider.send(outbound_call())
    assert (result.outcome, result.health) == (outcome, health)


async def test_wrong_key_and_clock() -> None:
    """A token of another application, or of a clock that is an hour wrong, is refused."""
    async with vonage_voice(application_id="another") as (provider, _):
        assert (await provider.send(outbound_call())).outcome is Outcome.CONFIG_ERROR
    async with VonageVoiceSimulator() as gateway:
        for clock in (lambda: 0.0, lambda: 4e9):
            provider = VonageVoice("first", vonage_voice_config(base_url=gateway.url), GatewayClient(2.0), clock)
            assert (await provider.send(outbound_call())).outcome is Outcome.CONFIG_ERROR
            await provider.close()


CALL = VonageCall("u-1", "6281210100055", "447700900001", "text", "en-US", 2, 30, RECEIPT_URL, False, None, "CON-1")  # type: ignore[arg-type]  # the time of the call is not used
GATEWAY = VonageVoiceSimulator(signature_secret=SECRET, clock=lambda: NOW)


def received(hook: Webhook, **changes: Any) -> ReceiptRequest:
    """Return the call of an event at its URL."""
    headers = {name.lower(): value for name, value in hook.headers.items()}
    request: dict[str, Any] = {"message_id": "v1-ABC_7", "now": NOW, "headers": headers, "body": hook.body}
    return ReceiptRequest("POST", RECEIPT_URL, **request | changes)


def parsed(hook: Webhook, **keys: Any) -> list[Receipt]:
    """Return the receipts of an event."""
    return list(parse_event(received(hook), vonage_voice_config(**keys)))


# Voice API webhooks reference, "Event webhook"
STATUSES = [
    ("started", "", None, None),
    ("ringing", "", None, None),
    ("answered", "", DELIVERED, None),
    ("human", "", DELIVERED, None),
    ("completed", "", DELIVERED, None),
    ("machine", "", UNDELIVERED, TRANSIENT),
    ("busy", "", UNDELIVERED, TRANSIENT),
    ("cancelled", "", UNDELIVERED, TRANSIENT),
    ("timeout", "", UNDELIVERED, TRANSIENT),
    ("unanswered", "", UNDELIVERED, TRANSIENT),
    ("unanswered", "unavailable", UNDELIVERED, TRANSIENT),
    ("unanswered", "timeout", UNDELIVERED, TRANSIENT),
    ("unanswered", "carrier_timeout", UNDELIVERED, TRANSIENT),
    ("rejected", "declined", UNDELIVERED, TRANSIENT),
    ("rejected", "restricted", UNDELIVERED, Outcome.DESTINATION_UNSUPPORTED),
    ("rejected", "invalid_number", UNDELIVERED, Outcome.RECIPIENT_INVALID),
    ("failed", "cannot_route", UNDELIVERED, Outcome.DESTINATION_UNSUPPORTED),
    ("failed", "number_out_of_service", UNDELIVERED, Outcome.RECIPIENT_INVALID),
    ("failed", "internal_error", UNDELIVERED, TRANSIENT),
    ("failed", "new_detail", UNDELIVERED, TRANSIENT),
]


@pytest.mark.parametrize(("text", "detail", "status", "error"), STATUSES)
def test_every_event(text: str, detail: str, status: DeliveryStatus | None, error: Outcome | None) -> None:
    """An answered call is delivered; the detail says whether another provider can reach the number."""
    [receipt] = parsed(GATEWAY.event(CALL, text, detail))
    assert (receipt.message_id, receipt.status, receipt.error) == ("v1-ABC_7", status, error)
    assert (receipt.provider_message_id, receipt.to) == ("u-1", "6281210100055")
    assert len(receipt.nonce) == 36
    price = (Decimal("0.03150000"), "EUR") if text == "completed" else (None, "")
    assert (receipt.charged, receipt.charged_currency) == price
    assert {row[0] for row in STATUSES} == CALL_STATUSES.keys()
    assert {row[1] for row in STATUSES} - {"", "new_detail"} == DETAIL_OUTCOMES.keys()


def test_machine_detection() -> None:
    """`answered` says nothing until `human` or `machine` follows; a call of no duration was not answered."""
    assert [one.status for one in parsed(GATEWAY.event(CALL, "answered"), machine_detection=True)] == [None]
    assert [one.status for one in parsed(GATEWAY.event(CALL, "human"), machine_detection=True)] == [DELIVERED]
    body = GATEWAY.event(CALL, "completed").body.replace(b'"duration":"21"', b'"duration":"0"')
    assert [one.status for one in parsed(GATEWAY.sign(body))] == [None]


async def test_status_is_queried() -> None:
    """The status of a call is that of its event; of another call nothing is known."""
    async with vonage_voice() as (provider, gateway):
        call_id = (await provider.send(outbound_call())).provider_message_id
        assert await provider.fetch_report(call_id) == DeliveryReport(None)
        gateway.statuses[call_id] = ("completed", "")
        assert await provider.fetch_report(call_id) == DeliveryReport(DELIVERED, None, Decimal("0.03150000"), "EUR")
        gateway.statuses[call_id] = ("busy", "")
        assert await provider.fetch_report(call_id) == DeliveryReport(UNDELIVERED, TRANSIENT)
        assert await provider.fetch_report("another") == DeliveryReport(None)


EVENT = GATEWAY.event(CALL, "answered")
FORGED = {
    "no signature": Webhook(EVENT.body, EVENT.content_type),
    "another secret": GATEWAY.sign(EVENT.body, secret="another"),
    "no algorithm": GATEWAY.sign(EVENT.body, alg="none"),
    "another algorithm": GATEWAY.sign(EVENT.body, alg="HS512"),
    "changed body": Webhook(EVENT.body.replace(b"answered", b"busy"), EVENT.content_type, EVENT.headers),
    "another issuer": GATEWAY.sign(EVENT.body, iss="Nexmo"),
    "another account": GATEWAY.sign(EVENT.body, api_key="another1"),
    "another application": GATEWAY.sign(EVENT.body, application_id="another"),
    "no hash": GATEWAY.sign(EVENT.body, payload_hash=None),
    "no id": GATEWAY.sign(EVENT.body, jti=""),
    "no time": GATEWAY.sign(EVENT.body, iat=None),
    "too old": GATEWAY.sign(EVENT.body, iat=NOW - 301),
    "from the future": GATEWAY.sign(EVENT.body, iat=NOW + 301),
    "expired": GATEWAY.sign(EVENT.body, exp=NOW - 301),
    "infinite time": GATEWAY.sign(EVENT.body, iat=float("nan")),
    "not a token": Webhook(EVENT.body, EVENT.content_type, {"Authorization": "Bearer a.b"}),
    "too long": Webhook(EVENT.body, EVENT.content_type, {"Authorization": f"Bearer {'a' * 5000}.b.c"}),
}


@pytest.mark.parametrize("how", FORGED)
def test_forged_event(how: str) -> None:
    """Every part of the signature counts."""
    with pytest.raises(ReceiptForged):
        parsed(FORGED[how], api_key="abcd1234")


def test_authentic_events() -> None:
    """The window is inclusive; the hash may be of the compact JSON; without a secret the token of the URL is enough."""
    assert parsed(GATEWAY.sign(EVENT.body, iat=NOW - 300), api_key="abcd1234")
    spaced = EVENT.body.replace(b'","', b'", "')
    assert parsed(Webhook(spaced, EVENT.content_type, EVENT.headers))
    assert parsed(FORGED["no signature"], signature_secret=None)
    assert parsed(FORGED["no signature"], receipts="token")
    assert parsed(GATEWAY.sign(b'{"reason":"Syntax error in NCCO."}')) == []
    assert parsed(GATEWAY.sign(b"not JSON")) == []
    made_by_a_library = jwt.encode(
        {"iat": int(NOW), "jti": "j", "iss": "Vonage", "payload_hash": hashlib.sha256(EVENT.body).hexdigest()},
        SECRET * 2,
        algorithm="HS256",
    )
    hook = Webhook(EVENT.body, EVENT.content_type, {"Authorization": f"Bearer {made_by_a_library}"})
    assert parsed(hook, signature_secret=Secret(SECRET * 2))
    with pytest.raises(ReceiptForged):
        parse_event(received(EVENT, message_id=None), vonage_voice_config())
