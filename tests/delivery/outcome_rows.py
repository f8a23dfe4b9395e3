"""The rows of the table of delivery outcomes: for each gateway type and outcome, the fault and the expectation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from otp_service.domain.outcomes import Outcome, reported_error
from otp_service.sandbox.simulators import (
    eims,
    infobip,
    kedasms,
    sendcloud,
    smpp,
    smshub,
    smtp,
    twilio,
    twilio_voice,
    vonage,
    vonage_voice,
    whatsapp,
)
from otp_service.sandbox.simulators.http_server import Cut, Down, Hang, Raw, Respond, ScriptStep, SimulatorResponse
from tests.delivery.gateway_types import GATEWAY_TYPES


@dataclass(frozen=True, slots=True)
class Observed:
    """What a row shows.

    Attributes:
        statuses: The statuses of the first delivery that GET returned, without `queued` and `sending`.
        called: The providers that received a send request, in order.
        messages: How many messages were sent in total, also by a gateway that did not respond.
        verified: Whether the code in the messages verifies.
        codes: How many different codes the requests contained.
        early: How often the second gateway was called before the hold ended.
    """

    statuses: tuple[str, ...]
    called: tuple[str, ...]
    messages: int
    verified: bool = True
    codes: int = 1
    early: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One outcome of one gateway: how it is produced, and what is expected."""

    gateway: str
    outcome: Outcome
    how: str
    steps: tuple[ScriptStep, ...]
    expected: Observed

    @property
    def fails_over_at_once(self) -> bool:
        """Whether the gateway definitely does not have the message, and another one may be called."""
        return self.outcome.definitely_not_sent and not self.outcome.rejects_recipient


SENT: Final = Observed(("sent",), ("first",), 1)
CONNECTION_REFUSED: Final = Observed(("failed transient",), ("second",), 1)
"""Nothing listens: the first gateway receives no request."""

REPEATED: Final = Observed(("unknown ambiguous", "sent"), ("first", "first"), 1)
"""The gateway deduplicates sends, so it is called again, and no other gateway is called."""


def after_hold(messages: int) -> Observed:
    """Expect one request to the next gateway after the hold, and none before."""
    return Observed(("unknown ambiguous",), ("first", "second"), messages)


def rejected(outcome: Outcome, times: int = 1, *, codes: int = 1) -> Observed:
    """Expect a request to the next gateway after `times` rejections, unless the recipient is rejected.

    `codes`: how many codes the rejected requests contained; 0 if the recipient is rejected before the text is sent.
    """
    statuses, called = (f"failed {reported_error(outcome)}",), ("first",) * times
    return (
        Observed(statuses, called, 0, verified=False, codes=codes)
        if outcome.rejects_recipient
        else Observed(statuses, (*called, "second"), 1)
    )


HTML_PAGE: Final = Respond(
    SimulatorResponse(b"<html><body>It works!</body></html>", 200, {"Content-Type": "text/html"})
)
HTML_ERROR: Final = Respond(
    SimulatorResponse(b"<html><body>Server Error</body></html>", 500, {"Content-Type": "text/html"})
)

NOT_SERVED: Final = Respond(
    SimulatorResponse(
        b'{"result":false,"statusCode":312,"message":"failed","info":{"successCount":0,"failedCount":1,'
        b'"items":[{"phone":"","message":"country not supported"}]}}',
        200,
        {"Content-Type": "application/json"},
    )
)

PARTLY_ACCEPTED: Final = Respond(
    SimulatorResponse(
        b'{"message-count":"2","messages":[{"to":"6281210100055","message-id":"0A01","status":"0"},'
        b'{"status":"1","error-text":"Throttled"}]}',
        200,
        {"Content-Type": "application/json"},
    )
)

REJECTIONS: Final[Mapping[str, tuple[tuple[Outcome, str, ScriptStep], ...]]] = {
    "kedasms": (
        (Outcome.RECIPIENT_INVALID, "400 Invalid phone number", kedasms.refusal(400, "Invalid phone number")),
        (Outcome.RECIPIENT_BLOCKED, "400 in blacklist", kedasms.refusal(400, "Recipient is in blacklist")),
        (Outcome.DESTINATION_UNSUPPORTED, "400 country", kedasms.refusal(400, "Country ID is not supported")),
        (Outcome.CONTENT_REJECTED, "400 sensitive word", kedasms.refusal(400, "Content has a sensitive word")),
        (Outcome.CONFIG_ERROR, "401 Invalid API key", kedasms.refusal(401, "Invalid API key")),
        (Outcome.FUNDS, "402 Insufficient balance", kedasms.refusal(402, "Insufficient balance")),
        (Outcome.THROTTLED, "429", kedasms.refusal(429, "Too many requests")),
        (Outcome.TRANSIENT, "503", kedasms.refusal(503, "Service unavailable")),
    ),
    "eims": (
        (Outcome.RECIPIENT_INVALID, "-9 abnormal number", eims.refusal(-9)),
        (Outcome.RECIPIENT_THROTTLED, "-28 limit of the phone", eims.refusal(-28)),
        (Outcome.DESTINATION_UNSUPPORTED, "-19 pricing not agreed", eims.refusal(-19)),
        (Outcome.CONTENT_REJECTED, "-3 sensitive words", eims.refusal(-3)),
        (Outcome.CONFIG_ERROR, "-1 authentication", eims.refusal(-1)),
        (Outcome.FUNDS, "-10 balance", eims.refusal(-10)),
        (Outcome.THROTTLED, "-15 too frequent", eims.refusal(-15)),
        (Outcome.TRANSIENT, "-12 not committed", eims.refusal(-12)),
    ),
    "sendcloud": (
        (Outcome.RECIPIENT_INVALID, "412 malformed number", sendcloud.refusal(412)),
        (Outcome.RECIPIENT_BLOCKED, "430 unsubscribed", sendcloud.refusal(430)),
        (Outcome.RECIPIENT_THROTTLED, "496 limit of the number", sendcloud.refusal(496)),
        (Outcome.DESTINATION_UNSUPPORTED, "312 country", NOT_SERVED),
        (Outcome.CONTENT_REJECTED, "432 template", sendcloud.refusal(432)),
        (Outcome.CONFIG_ERROR, "40005 in HTTP 401", sendcloud.refusal(40005, status=401)),
        (Outcome.FUNDS, "499 quota", sendcloud.refusal(499)),
        (Outcome.THROTTLED, "50000 too frequent", sendcloud.refusal(50000)),
        (Outcome.TRANSIENT, "501 server exception", sendcloud.refusal(501)),
    ),
    "smshub": (
        (Outcome.RECIPIENT_INVALID, "400 PhoneNumber", smshub.refusal(400, "textMessage.PhoneNumber is invalid")),
        (Outcome.RECIPIENT_BLOCKED, "400 unsubscribed", smshub.refusal(400, "The recipient has unsubscribed")),
        (Outcome.DESTINATION_UNSUPPORTED, "403 region", smshub.refusal(403, "Not enabled for the region")),
        (Outcome.CONTENT_REJECTED, "400 Message", smshub.refusal(400, "The Message field is too long")),
        (Outcome.CONFIG_ERROR, "403", smshub.refusal(403)),
        (Outcome.FUNDS, "400 insufficient credit", smshub.refusal(400, "Insufficient credit")),
        (Outcome.THROTTLED, "429", smshub.refusal(429)),
        (Outcome.TRANSIENT, "503 with Retry-After", smshub.refusal(503, headers={"Retry-After": "1"})),
    ),
    "twilio": (
        (Outcome.RECIPIENT_INVALID, "21211 invalid number", twilio.refusal(21211)),
        (Outcome.RECIPIENT_BLOCKED, "21610 unsubscribed", twilio.refusal(21610)),
        (Outcome.DESTINATION_UNSUPPORTED, "21408 region", twilio.refusal(21408)),
        (Outcome.CONTENT_REJECTED, "21617 too long", twilio.refusal(21617)),
        (Outcome.CONFIG_ERROR, "20003 in HTTP 401", twilio.refusal(20003)),
        (Outcome.FUNDS, "20005 account not active", twilio.refusal(20005)),
        (Outcome.THROTTLED, "20429 in HTTP 429", twilio.refusal(20429)),
        (Outcome.TRANSIENT, "503 with Retry-After", twilio.refusal(20503, 503, {"Retry-After": "1"})),
    ),
    "vonage": (
        (Outcome.RECIPIENT_INVALID, "6 unrecognized prefix", vonage.refusal(6)),
        (Outcome.RECIPIENT_BLOCKED, "7 number barred", vonage.refusal(7)),
        (Outcome.CONTENT_REJECTED, "12 too long", vonage.refusal(12)),
        (Outcome.CONFIG_ERROR, "4 credentials", vonage.refusal(4)),
        (Outcome.FUNDS, "9 quota", vonage.refusal(9)),
        (Outcome.THROTTLED, "1 throttled", vonage.refusal(1)),
        (Outcome.TRANSIENT, "5 internal error", vonage.refusal(5)),
    ),
    "http": (
        (Outcome.RECIPIENT_INVALID, "rule: status 14", infobip.refusal(14)),
        (Outcome.RECIPIENT_BLOCKED, "rule: status 24", infobip.refusal(24)),
        (Outcome.DESTINATION_UNSUPPORTED, "rule: status 6", infobip.refusal(6)),
        (Outcome.CONTENT_REJECTED, "rule: group REJECTED", infobip.refusal(99)),
        (Outcome.CONFIG_ERROR, "401", Respond(SimulatorResponse(b"", 401))),
        (Outcome.FUNDS, "rule: name", infobip.refusal(12)),
        (Outcome.THROTTLED, "429", Respond(SimulatorResponse(b"", 429))),
        (Outcome.TRANSIENT, "503 with Retry-After", Respond(SimulatorResponse(b"", 503, {"Retry-After": "1"}))),
    ),
    "whatsapp": (
        (Outcome.DESTINATION_UNSUPPORTED, "131026 no WhatsApp", whatsapp.refusal(131026)),
        (Outcome.CONTENT_REJECTED, "132012 parameters", whatsapp.refusal(132012)),
        (Outcome.CONFIG_ERROR, "190 in HTTP 401", whatsapp.refusal(190)),
        (Outcome.FUNDS, "131042 payment", whatsapp.refusal(131042)),
        (Outcome.THROTTLED, "131056 pair rate limit", whatsapp.refusal(131056)),
        (Outcome.TRANSIENT, "131016 in HTTP 500", whatsapp.refusal(131016)),
    ),
    # Twilio's Error and Warning Dictionary; every code: tests/providers/test_twilio_voice.py
    "twilio_voice": (
        (Outcome.RECIPIENT_INVALID, "21211 invalid number", twilio_voice.refusal(21211)),
        (Outcome.RECIPIENT_BLOCKED, "21216 call blocked", twilio_voice.refusal(21216)),
        (Outcome.DESTINATION_UNSUPPORTED, "21215 geo permission", twilio_voice.refusal(21215)),
        (Outcome.CONFIG_ERROR, "20003 in HTTP 401", twilio_voice.refusal(20003)),
        (Outcome.FUNDS, "20005 account not active", twilio_voice.refusal(20005)),
        (Outcome.THROTTLED, "20429 in HTTP 429", twilio_voice.refusal(20429)),
    ),
    # Voice API reference, "Errors"; 402 and 429 are those of its other APIs: tests/providers/test_vonage_voice.py
    "vonage_voice": (
        (Outcome.RECIPIENT_INVALID, "400 to", vonage_voice.refusal(400, "to[0].number")),
        (Outcome.CONFIG_ERROR, "401", vonage_voice.refusal(401)),
        (Outcome.FUNDS, "402", vonage_voice.refusal(402)),
        (Outcome.THROTTLED, "429", vonage_voice.refusal(429)),
    ),
    # SMPP 3.4, table 5-2 (command_status); bytes and sessions: tests/providers/test_smpp_{requests,sessions}.py
    "smpp": (
        (Outcome.RECIPIENT_INVALID, "0x0B ESME_RINVDSTADR", smpp.refusal(0x0B)),
        (Outcome.CONTENT_REJECTED, "0x01 ESME_RINVMSGLEN", smpp.refusal(0x01)),
        (Outcome.CONFIG_ERROR, "0x0A ESME_RINVSRCADR", smpp.refusal(0x0A)),
        (Outcome.THROTTLED, "0x58 ESME_RTHROTTLED", smpp.refusal(0x58)),
        (Outcome.TRANSIENT, "0x08 ESME_RSYSERR", smpp.refusal(0x08)),
    ),
    # RFC 5321, 4.2.3; RFC 3463 and IANA's enhanced codes; every reply: tests/providers/test_smtp_results.py
    "smtp": (
        (Outcome.RECIPIENT_INVALID, "550 5.1.1 to RCPT", smtp.refusal(550, "5.1.1 User unknown")),
        (Outcome.DESTINATION_UNSUPPORTED, "550 5.4.4 to RCPT", smtp.refusal(550, "5.4.4 Unable to route")),
        (Outcome.CONTENT_REJECTED, "554 5.7.1 to the content", smtp.refusal(554, "5.7.1 Spam", "content")),
        (Outcome.CONFIG_ERROR, "550 5.7.1 to MAIL", smtp.refusal(550, "5.7.1 Sender rejected", "mail")),
        (Outcome.THROTTLED, "454 to MAIL", smtp.refusal(454, "Throttling failure: Maximum rate", "mail")),
        (Outcome.TRANSIENT, "451 4.7.1 to RCPT", smtp.refusal(451, "4.7.1 Greylisted")),
    ),
}

UNCLEAR_ANSWERS: Final[Mapping[str, tuple[tuple[str, ScriptStep], ...]]] = {
    "smpp": (
        ("0xFF ESME_RUNKNOWNERR", smpp.refusal(0xFF)),
        ("a page instead of a PDU", Raw(b"<html><body>It works!</body></html>")),
    ),
    "smtp": (
        ("600 to the content", smtp.refusal(600, "", "content")),
        ("354 to the content", smtp.refusal(354, "more", "content")),
    ),
}
"""Answers of gateways without HTTP that leave open whether they have the message."""

HTTP_PAGES: Final = (("HTTP 500, HTML page", HTML_ERROR), ("HTTP 200, HTML page", HTML_PAGE))


def _rows(gateway: str) -> Iterator[Row]:
    idempotent_send = GATEWAY_TYPES[gateway].idempotent_send
    ambiguous = Outcome.AMBIGUOUS
    yield Row(gateway, Outcome.ACCEPTED, "accepted", (), SENT)
    for outcome, how, step in REJECTIONS[gateway]:
        yield Row(gateway, outcome, how, (step,), rejected(outcome, codes=0 if gateway == "smtp" else 1))
    if gateway == "smshub":  # a 401 may be about the form of its header, so the other form is tried, too
        twice = (smshub.refusal(401),) * 2
        yield Row(gateway, Outcome.CONFIG_ERROR, "401 in both forms", twice, rejected(Outcome.CONFIG_ERROR, 2))
    yield Row(gateway, Outcome.TRANSIENT, "connection refused", (Down(30),), CONNECTION_REFUSED)
    yield Row(gateway, ambiguous, "accepted, no response", (Hang(),), REPEATED if idempotent_send else after_hold(2))
    yield Row(
        gateway, ambiguous, "accepted, connection closed", (Cut(),), REPEATED if idempotent_send else after_hold(2)
    )
    for how, step in UNCLEAR_ANSWERS.get(gateway, HTTP_PAGES):
        yield Row(gateway, ambiguous, how, (step,), REPEATED if idempotent_send else after_hold(1))
    if gateway == "vonage":
        yield Row(gateway, ambiguous, "one part of two accepted", (PARTLY_ACCEPTED,), after_hold(1))


ROWS: Final = tuple(row for gateway in GATEWAY_TYPES for row in _rows(gateway))
