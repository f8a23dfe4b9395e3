"""WhatsApp: the bytes of a request, and the outcome of each response to it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Final

import pytest

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import HealthSignal, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.whatsapp.config import AuthenticationTemplate
from otp_service.providers.whatsapp.result_codes import ACCOUNT_ERRORS, ERROR_OUTCOMES, PERMISSION_ERRORS, outcome_of
from otp_service.providers.whatsapp.wire import hashed_id
from otp_service.sandbox.simulators.http_server import Behavior, Cut, Hang, Raw, Respond, SimulatorResponse
from otp_service.sandbox.simulators.whatsapp import SEND_PATH, WhatsappSimulator, refusal
from tests.providers.whatsapp_provider import MESSAGE_ID, TO, outbound, whatsapp, whatsapp_config


@pytest.fixture
async def gateway() -> AsyncIterator[WhatsappSimulator]:
    """A simulated gateway that accepts every message."""
    async with WhatsappSimulator() as running:
        yield running


CODES: Final[dict[str, list[int]]] = {
    "funds": [131042],
    "throttled": [4, 80007, 130429, 131048, 131056],
    "destination_unsupported": [130472, 130497, 131021, 131026, 131049, 131050],
    "content_rejected": [131047, 131051, 131052, 131053, 132000, 132005, 132007, 132012],
    "transient": [2, 131000, 131016, 131057, 133004],
    "config_error": [0, 3, 10, 33, 100, 190, 200, 299, 368, 131005, 131008, 131009, 131030, 131031, 131037, 131045,
                     132001, 132015, 132016, 133000, 133006, 133010, 135000],
}  # fmt: skip
"""The outcomes of Meta's error codes; source: the page "Cloud API error codes"."""

ROWS: Final = [(code, outcome) for outcome, codes in CODES.items() for code in codes]


async def test_request_is_the_documented_one(gateway: WhatsappSimulator) -> None:
    """The template with the code in its text and its button, as Meta's page on authentication templates shows it."""
    async with whatsapp(gateway) as provider:
        result = await provider.send(outbound())

    [request] = gateway.requests
    assert (request.method, request.path) == ("POST", SEND_PATH)
    proof = hmac.new(b"whatsapp-app-secret", b"whatsapp-token", hashlib.sha256).hexdigest()
    assert request.query == f"appsecret_proof={proof}"
    assert request.headers["authorization"] == "Bearer whatsapp-token"
    assert request.headers["content-type"] == "application/json"
    assert request.body == (
        b'{"messaging_product":"whatsapp","recipient_type":"individual","to":"6281210100055","type":"template",'
        b'"template":{"name":"otp_code","language":{"code":"en_US"},"components":['
        b'{"type":"body","parameters":[{"type":"text","text":"123456"}]},'
        b'{"type":"button","sub_type":"url","index":"0","parameters":[{"type":"text","text":"123456"}]}]},'
        b'"biz_opaque_callback_data":"v1-ABC_7"}'
    )
    [message] = gateway.messages
    assert (message.to, message.code, message.callback_data) == (TO.removeprefix("+"), "123456", MESSAGE_ID)
    assert result == SendResult(Outcome.ACCEPTED, hashed_id(message.wamid))


async def test_no_part_of_the_stored_id_is_the_number(gateway: WhatsappSimulator) -> None:
    """WhatsApp's id of a message contains the number; what is kept of it does not."""
    async with whatsapp(gateway) as provider:
        result = await provider.send(outbound())

    wamid = gateway.messages[0].wamid
    assert TO.removeprefix("+").encode() in base64.b64decode(wamid.removeprefix("wamid."))
    assert len(result.provider_message_id) == 32
    assert set(result.provider_message_id) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("locale", "language"),
    [("", "en_US"), ("id", "id"), ("id-ID", "id"), ("ID_id", "id"), ("en", "en_US"), ("zh-Hans-CN", "zh_CN"),
     ("zh-hant", "zh_TW"), ("zh", "zh_CN"), ("zh-HK", "zh_TW"), ("nl", "en_US"), ("idx", "en_US"), ("-", "en_US")],
)  # fmt: skip
def test_template_of_a_locale(locale: str, language: str) -> None:
    """The best match among the templates is used; `default` is for all other languages."""
    languages = {"default": "en_US", "id": "id", "zh_Hans": "zh_CN", "zh-Hant": "zh_TW"}
    templates = {name: AuthenticationTemplate(name="otp", language=code) for name, code in languages.items()}
    assert whatsapp_config(templates=templates).template_for(locale).language == language


@pytest.mark.parametrize(
    ("locale", "country", "language"),
    [("", "ID", "id"), ("", "SG", "en_US"), ("en", "ID", "en_US"), ("id", "SG", "id")],
)
async def test_country_decides_without_a_locale(
    gateway: WhatsappSimulator, locale: str, country: str, language: str
) -> None:
    """The language is that of the number's country, as for an SMS."""
    async with whatsapp(gateway) as provider:
        await provider.send(outbound(locale=locale, country=country))

    assert gateway.messages[0].language == language


@pytest.mark.parametrize(("code", "outcome"), ROWS)
async def test_each_code_has_its_outcome(gateway: WhatsappSimulator, code: int, outcome: str) -> None:
    """A refusal has one outcome at any HTTP status; only errors of the account open the circuit at once."""
    gateway.script(refusal(code), refusal(code, 400), refusal(code, 500))
    async with whatsapp(gateway) as provider:
        results = [await provider.send(outbound()) for _ in range(3)]

    assert [result.outcome.value for result in results] == [outcome] * 3
    trips = outcome == "funds" or code in ACCOUNT_ERRORS or code in PERMISSION_ERRORS
    assert [result.health is HealthSignal.TRIP for result in results] == [trips] * 3


def test_table_has_no_untested_codes() -> None:
    """Every code in the table is covered by a test, and none rejects a recipient for other channels."""
    assert ERROR_OUTCOMES.keys() == {code for code, _ in ROWS} - set(PERMISSION_ERRORS)
    assert not any(outcome.rejects_recipient for outcome in ERROR_OUTCOMES.values())
    assert {outcome_of(code) for code in PERMISSION_ERRORS} == {Outcome.CONFIG_ERROR}
    assert (outcome_of(199), outcome_of(300)) == (None, None)


@pytest.mark.parametrize(
    ("code", "status", "outcome", "signal"),
    [
        (139000, 400, Outcome.CONFIG_ERROR, HealthSignal.FAILURE),
        (139000, 404, Outcome.CONFIG_ERROR, HealthSignal.FAILURE),
        (139000, 401, Outcome.CONFIG_ERROR, HealthSignal.TRIP),
        (139000, 429, Outcome.THROTTLED, HealthSignal.NONE),
        (139000, 408, Outcome.AMBIGUOUS, HealthSignal.FAILURE),
        (139000, 500, Outcome.AMBIGUOUS, HealthSignal.FAILURE),
        (1, 400, Outcome.AMBIGUOUS, HealthSignal.FAILURE),
        (131026, 302, Outcome.AMBIGUOUS, HealthSignal.FAILURE),
    ],
)
async def test_unlisted_code(
    gateway: WhatsappSimulator, *, code: int, status: int, outcome: Outcome, signal: HealthSignal
) -> None:
    """An unlisted code of a 4xx is a refusal; after "API Unknown" and a server error the message may have been sent."""
    gateway.script(refusal(code, status))
    async with whatsapp(gateway) as provider:
        result = await provider.send(outbound())

    assert (result.outcome, result.health) == (outcome, signal)


async def test_retry_after_of_one_recipient_does_not_pause_the_provider(gateway: WhatsappSimulator) -> None:
    """The limit of messages to one recipient says nothing about others; all other limits do."""
    gateway.script(*(refusal(code, headers={"Retry-After": "7"}) for code in (130429, 131056, 131016)))
    async with whatsapp(gateway) as provider:
        results = [await provider.send(outbound()) for _ in range(3)]

    assert [result.retry_after for result in results] == [7.0, None, 7.0]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"messages": [{"id": "wamid.A"}]}, SendResult(Outcome.ACCEPTED, hashed_id("wamid.A"))),
        ({"messages": [{"id": "wamid.A", "message_status": "held_for_quality_assessment"}]},
         SendResult(Outcome.ACCEPTED, hashed_id("wamid.A"))),
        ({"messages": [{"id": ""}]}, SendResult(Outcome.AMBIGUOUS)),
        ({"messages": [{"id": 7}]}, SendResult(Outcome.AMBIGUOUS)),
        ({"messages": []}, SendResult(Outcome.AMBIGUOUS)),
        ({"messages": {"id": "wamid.A"}}, SendResult(Outcome.AMBIGUOUS)),
        ({"error": {"code": 131026}}, SendResult(Outcome.AMBIGUOUS)),
        ([], SendResult(Outcome.AMBIGUOUS)),
    ],
)  # fmt: skip
async def test_success_needs_an_id(gateway: WhatsappSimulator, body: object, expected: SendResult) -> None:
    """HTTP 200 is an acceptance only with the id of a message, in whatever state the message is."""
    gateway.script(Respond(SimulatorResponse(json.dumps(body).encode())))
    async with whatsapp(gateway) as provider:
        assert await provider.send(outbound()) == expected


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(400, "ambiguous"), (401, "config_error"), (403, "config_error"), (404, "config_error"), (429, "throttled"),
     (500, "ambiguous"), (502, "ambiguous")],
)  # fmt: skip
async def test_error_without_a_code(gateway: WhatsappSimulator, status: int, outcome: str) -> None:
    """Without a code the HTTP status decides."""
    gateway.script(*(Respond(SimulatorResponse(body, status)) for body in (b"<html>", b'{"error":"x"}', b"[1]")))
    async with whatsapp(gateway) as provider:
        assert [(await provider.send(outbound())).outcome.value for _ in range(3)] == [outcome] * 3


@pytest.mark.parametrize("behavior", [Hang(), Cut(), Raw(b"HTTP/1.1 200 OK\r\n\r\n{")])
async def test_missing_response_is_ambiguous(gateway: WhatsappSimulator, behavior: Behavior) -> None:
    """The message may have been sent, so the adapter sends a single request."""
    gateway.always = behavior
    async with whatsapp(gateway, seconds=0.4) as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.AMBIGUOUS)

    assert len(gateway.requests) == 1


async def test_refused_connection_is_transient(gateway: WhatsappSimulator) -> None:
    """Nothing was sent."""
    await gateway.close()
    async with whatsapp(gateway) as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.TRANSIENT)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ((b"6281210100055", b"+6281210100055"), 131009),
        ((b'"123456"}]}]}', b'"654321"}]}]}'), 132012),
        ((b'{"type":"body","parameters":[{"type":"text","text":"123456"}]},', b""), 132000),
        ((b"en_US", b"xx"), 132001),
        ((b"otp_code", b"other"), 132001),
        ((b'"recipient_type":"individual",', b""), None),
        ((b'"index":"0"', b'"index":"1"'), None),
        ((b'"type":"template",', b'"type":"template","more":1,'), None),
    ],
)
async def test_simulator_refuses_other_requests(
    gateway: WhatsappSimulator, change: tuple[bytes, bytes], code: int | None
) -> None:
    """The simulator checks each member, so a request that it accepts is the documented one."""
    async with whatsapp(gateway) as provider:
        await provider.send(outbound())
        [request] = gateway.requests
        assert request.body.count(change[0]) >= 1
        changed = type(request)(request.method, request.target, request.headers, request.body.replace(*change))
        response = gateway.answer(changed)

    assert response.status in (400, 404)
    assert (json.loads(response.body)["error"]["code"] if code else response.body[:1] != b"{") == (code or True)


async def test_without_an_app_secret_or_if_switched_off_there_is_no_proof(gateway: WhatsappSimulator) -> None:
    """The proof is made with the app's secret; a wrong one is refused."""
    for options in ({"app_secret": None, "verify_token": None}, {"appsecret_proof": False}):
        async with whatsapp(gateway, **options) as provider:
            assert (await provider.send(outbound())).outcome is Outcome.ACCEPTED
    assert [request.query for request in gateway.requests] == ["", ""]
    async with whatsapp(gateway, app_secret=Secret("of another app")) as provider:
        assert (await provider.send(outbound())).outcome is outcome_of(100)
