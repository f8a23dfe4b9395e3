"""Twilio's calls: the request byte for byte, its TwiML in every language, refusals, callbacks and queried statuses."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, quote

import pytest

from otp_service.domain.message import Balance, DeliveryReport, Receipt, ReceiptForged, ReceiptRequest
from otp_service.domain.outcomes import DeliveryStatus, HealthSignal, Outcome
from otp_service.domain.secret import Secret
from otp_service.domain.voice_texts import VOICE_LOCALES, render
from otp_service.providers.twilio_voice import wire
from otp_service.providers.twilio_voice.result_codes import CALL_STATUSES, ERROR_OUTCOMES, VOICES
from otp_service.providers.twilio_voice.webhook import parse_call_callback
from otp_service.sandbox.simulators.http_server import Hang
from otp_service.sandbox.simulators.twilio_voice import ACCOUNT_SID, refusal
from tests.providers.twilio_provider import RECEIPT_URL, TO, callback
from tests.providers.twilio_voice_provider import CALLER, outbound_call, twilio_voice, voice_config

PATH = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls.json"
DELIVERED, UNDELIVERED = DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED
SID = "CA" + "0" * 32
FIELDS = {"CallSid": SID, "AccountSid": "AC1", "From": CALLER, "To": TO, "CallStatus": "completed"}
ENGLISH = (
    "Hello. This is Acme. Your code to log in is: 1, 9, 0, 4, 6, 6. Once more: 1, 9, 0, 4, 6, 6. "
    "It is valid for 5 minutes. Never share this code with anyone."
)


async def test_call_is_a_form_with_its_document() -> None:
    """The text is said twice with pauses, in the voice of its language; every parameter is as documented."""
    async with twilio_voice() as (provider, gateway):
        result = await provider.send(outbound_call(receipt_url=RECEIPT_URL))

    [request], [call] = gateway.requests, gateway.messages
    say = f'<Say language="en-US" voice="Google.en-US-Standard-A">{ENGLISH}</Say>'
    twiml = f'<Response><Pause length="1"/>{say}<Pause length="2"/>{say}</Response>'
    assert (request.method, request.target) == ("POST", PATH)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.body.decode() == (
        f"To=%2B6281210100055&From=%2B15005550006&Twiml={quote(twiml, safe='')}&Timeout=30&TimeLimit=120"
        f"&StatusCallback={quote(RECEIPT_URL, safe='')}&StatusCallbackEvent=answered&StatusCallbackEvent=completed"
    )
    assert [speech.text for speech in call.speech] == [ENGLISH] * 2
    assert (result.outcome, result.provider_message_id) == (Outcome.ACCEPTED, call.sid)


@pytest.mark.parametrize("locale", sorted(VOICE_LOCALES))
async def test_every_language_has_a_voice(locale: str) -> None:
    """The language, the voice and the text belong together, and the document stays within Twilio's limit."""
    text = wire.twiml(voice_config(), outbound_call(locale, brand="&" * 30))
    language, name = VOICES[locale]
    assert f'<Say language="{language}" voice="{name}">' in text
    assert name == f"Google.{language}-Standard-A"
    assert len(text) <= 4000


def test_voice_from_the_config() -> None:
    """A configured voice replaces ours for its language only."""
    config = voice_config(voices={"id": "Google.id-ID-Wavenet-B"})
    assert 'language="id-ID" voice="Google.id-ID-Wavenet-B"' in wire.twiml(config, outbound_call("id"))
    assert 'voice="Google.en-US-Standard-A"' in wire.twiml(config, outbound_call("en"))


@pytest.mark.parametrize(
    "brand",
    ["A&B <b>x</b>", "]]></Say><Hangup/>", "\"'&amp;&#0;", "a\ufffe\ud800\x01b", "{code}", "<speak>&", "\u202eÅ 🏦"],
)
async def test_hostile_brand_stays_text(brand: str) -> None:
    """The simulator parses the document: it says the brand, and nothing that the brand contains is executed."""
    async with twilio_voice() as (provider, gateway):
        assert (await provider.send(outbound_call(brand=brand))).outcome is Outcome.ACCEPTED

    [call] = gateway.messages
    spoken = "".join(" " if char in "\ufffe\ud800\x01" else char for char in brand)
    assert [speech.text for speech in call.speech] == [ENGLISH.replace("Acme", spoken)] * 2


@pytest.mark.parametrize(
    ("account", "expires_in", "expected"),
    [
        ({}, 12, {"Timeout": "12", "TimeLimit": "120"}),
        ({"ring_seconds": 60, "max_call_seconds": 45}, 0, {"Timeout": "1", "TimeLimit": "45"}),
        ({"machine_detection": True}, 300, {"MachineDetection": "Enable"}),
    ],
)
def test_parameters_of_a_call(account: dict[str, Any], expires_in: int, expected: dict[str, str]) -> None:
    """A call rings no longer than the code is valid, and its length is bounded."""
    body = wire.call_body(voice_config(**account), outbound_call(expires_in=expires_in)).decode()
    fields = {name: value for name, [value] in parse_qs(body, strict_parsing=True).items()}
    assert expected.items() <= fields.items()
    assert "StatusCallback" not in fields


@pytest.mark.parametrize(("code", "outcome"), ERROR_OUTCOMES.items())
async def test_every_refusal(code: int, outcome: Outcome) -> None:
    """Each listed code is a refusal with its outcome; only those of the account open the circuit at once."""
    async with twilio_voice() as (provider, gateway):
        gateway.script(refusal(code))
        result = await provider.send(outbound_call())

    assert result.outcome is outcome
    if outcome is Outcome.CONFIG_ERROR:
        assert (result.health is HealthSignal.TRIP) is (code in {20003, 20403, 30002, 70051})


async def test_other_results() -> None:
    """An unlisted code is a refusal that counts as a failure; a call without a response is ambiguous; the balance."""
    async with twilio_voice() as (provider, gateway):
        gateway.script(refusal(21220), refusal(20500, 500))
        first, second = await provider.send(outbound_call()), await provider.send(outbound_call())
        assert (first.outcome, first.health) == (Outcome.CONFIG_ERROR, HealthSignal.FAILURE)
        assert second.outcome is Outcome.AMBIGUOUS
        assert isinstance(await provider.fetch_balance(), Balance)
    async with twilio_voice(seconds=0.1) as (provider, gateway):
        gateway.script(Hang())
        assert (await provider.send(outbound_call())).outcome is Outcome.AMBIGUOUS
    assert len(gateway.messages) == 1


def parsed(call: ReceiptRequest, **account: Any) -> list[Receipt]:
    """Return the receipts of a callback."""
    return list(parse_call_callback(call, voice_config(**account)))


# Twilio, Call resource, "Call status values"
STATUSES = [
    ("queued", None, None),
    ("initiated", None, None),
    ("ringing", None, None),
    ("in-progress", DELIVERED, None),
    ("completed", DELIVERED, None),
    ("busy", UNDELIVERED, Outcome.TRANSIENT),
    ("no-answer", UNDELIVERED, Outcome.TRANSIENT),
    ("failed", UNDELIVERED, Outcome.TRANSIENT),
    ("canceled", UNDELIVERED, Outcome.TRANSIENT),
]


@pytest.mark.parametrize(("text", "status", "error"), STATUSES)
async def test_every_status(text: str, status: DeliveryStatus | None, error: Outcome | None) -> None:
    """A callback and a query say the same; an answered call is delivered, any other end lets the next one try."""
    [receipt] = parsed(callback(FIELDS | {"CallStatus": text}))
    assert receipt == Receipt("v1-ABC_7", status, error, provider_message_id=SID, to=TO)
    async with twilio_voice() as (provider, gateway):
        sid = (await provider.send(outbound_call())).provider_message_id
        gateway.statuses[sid] = (text, None)
        price = (Decimal("0.09650"), "USD") if text == "completed" else (None, "")
        assert await provider.fetch_report(sid) == DeliveryReport(status, error, *price)
        assert await provider.fetch_report("CA1") == DeliveryReport(None)
    assert {row[0] for row in STATUSES} == CALL_STATUSES.keys()


# Twilio, Answering Machine Detection, "AnsweredBy"
@pytest.mark.parametrize(
    ("text", "answered_by", "status"),
    [
        ("in-progress", "", None),
        ("in-progress", "human", DELIVERED),
        ("in-progress", "machine_start", UNDELIVERED),
        ("completed", "", DELIVERED),
        ("completed", "unknown", DELIVERED),
        ("completed", "human", DELIVERED),
        *(("completed", f"machine_{end}", UNDELIVERED) for end in ("start", "end_beep", "end_silence", "end_other")),
        ("completed", "fax", UNDELIVERED),
        ("busy", "", UNDELIVERED),
    ],
)
def test_machine_detection(text: str, answered_by: str, status: DeliveryStatus | None) -> None:
    """Voicemail and fax are undelivered, and an answer by nobody known is not delivered yet."""
    fields = FIELDS | {"CallStatus": text, **({"AnsweredBy": answered_by} if answered_by else {})}
    [receipt] = parsed(callback(fields), machine_detection=True)
    assert (receipt.status, receipt.error) == (status, Outcome.TRANSIENT if status is UNDELIVERED else None)
    if text != "busy":
        assert [receipt.status for receipt in parsed(callback(fields))] == [DELIVERED]


def test_only_authentic_callbacks_are_read() -> None:
    """Forged, changed, moved to another URL, or without a key: 401. About no call, or without a token: nothing."""
    for forged, account in (
        (callback(FIELDS, token="another"), {}),
        (callback(FIELDS, headers={}), {}),
        (callback(FIELDS, body=b"CallStatus=completed"), {}),
        (callback(FIELDS, url=RECEIPT_URL + "x"), {}),
        (callback(FIELDS), {"auth_token": None, "api_key_sid": "SK1", "api_key_secret": Secret("k")}),
    ):
        request = forged if forged.url == RECEIPT_URL else callback(FIELDS, headers=forged.headers)
        with pytest.raises(ReceiptForged):
            parsed(request, **account)
    assert parsed(callback(FIELDS | {"CallStatus": "dreaming"})) == []
    assert parsed(callback({"MessageSid": "SM1", "MessageStatus": "delivered"})) == []
    assert parsed(callback(FIELDS, message_id=None)) == []


def test_unknown_language_is_spoken_in_english() -> None:
    """A message in a language without a voice is spoken in English, with its own purpose and code."""
    text = wire.twiml(voice_config(), outbound_call("nl"))
    assert render("Acme", "190466", 5, "login", "en").text in text
