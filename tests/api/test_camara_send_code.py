"""CAMARA send-code: each scenario of the published feature file, by its tag, and what we add.

The scenarios are those of camaraproject/OTPValidation, code/Test_definitions/one-time-password-sms-*.feature.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from otp_service.domain.opt_out import OptOutAction
from tests.api.camara_calls import CONFIG, LANDLINE, MESSAGE, OTP, PATH, PHONE, SEND, assert_error, post, send, validate
from tests.opt_out_changes import change_opt_out
from tests.running_service import RunningService, ServiceFactory
from tests.store_contents import dump_store


@pytest.fixture
async def camara(make_service: ServiceFactory) -> RunningService:
    """Start a service whose tenants use CAMARA."""
    return await make_service(CONFIG)


async def test_send_code_sends_the_given_text(camara: RunningService) -> None:
    """otp_send_code_01: the SMS has the text of the request with the code, and nothing readable is stored."""
    sent_id, text = await send(camara)
    assert re.fullmatch(MESSAGE.replace("{{code}}", r"\d{6}"), text)
    assert (await validate(camara, sent_id, text[:6])).status_code == 204


async def test_a_text_of_the_caller_is_sealed(make_service: ServiceFactory) -> None:
    """While the SMS waits for its gateway, the store holds neither text nor number nor code."""
    service = await make_service({**CONFIG, "providers": {"inbox": {"type": "inbox", "max_per_second": 0.01}}})
    await send(service)
    response = await post(service, "send-code", {"phoneNumber": "+6281210100056", "message": "Confidential {{code}}"})
    assert response.status_code == 200
    stored = b"".join(name + value for name, value in (await dump_store(service.store)).items())
    assert b":m:" in stored  # the message of the second number waits
    assert not [secret for secret in (b"Confidential", b"81210100056", b"Cool App") if secret in stored]


async def test_x_correlator_is_made_if_it_is_missing(camara: RunningService) -> None:
    """otp_send_code_02, otp_validate_code_02: without `x-correlator` the call succeeds, and the response has one."""
    sent = await camara.client.post(PATH + "send-code", json=SEND)
    assert (sent.status_code, len(sent.headers["x-correlator"])) == (200, 36)
    sent_id = sent.json()["authenticationId"]
    body = {"authenticationId": sent_id, "code": await camara.code_of(sent_id)}
    validated = await camara.client.post(PATH + "validate-code", json=body)
    assert (validated.status_code, validated.content, len(validated.headers["x-correlator"])) == (204, b"", 36)


@pytest.mark.parametrize("value", ["", "a" * 256, "<{a}>;:._-/9"])
async def test_x_correlator_is_echoed(camara: RunningService, value: str) -> None:
    """Every value of the documented form is echoed, also the empty one."""
    assert (await post(camara, "send-code", SEND, x_correlator=value)).status_code == 200


@pytest.mark.parametrize("value", ["a" * 257, "a b", "a\u00e9".encode(), "#"])
async def test_x_correlator_of_another_form(camara: RunningService, value: str | bytes) -> None:
    """A value of another form is INVALID_ARGUMENT, and is not repeated."""
    headers: Any = {"x-correlator": value}
    response = await camara.client.post(PATH + "send-code", json=SEND, headers=headers)
    assert_error(response, 400, "INVALID_ARGUMENT")
    assert len(response.headers["x-correlator"]) == 36


@pytest.mark.parametrize(
    "body",
    [
        b"",  # otp_send_code_400.1
        {},  # otp_send_code_400.2
        {**SEND, "phoneNumber": "3301"},  # otp_send_code_400.3
        {"phoneNumber": PHONE},  # otp_send_code_400.4
        {**SEND, "message": "message without code"},  # otp_send_code_400.5
        {**SEND, "message": MESSAGE + "x" * 160},  # otp_send_code_400.6
        {**SEND, "message": None},
        {**SEND, "extra": 1},
        {**SEND, "phoneNumber": PHONE + "\n"},
        b"[]",
        b"{",
    ],
)
async def test_send_code_invalid_argument(camara: RunningService, body: Any) -> None:
    """A missing, wrong or unknown member is INVALID_ARGUMENT, and nothing is sent."""
    assert_error(await post(camara, "send-code", body), 400, "INVALID_ARGUMENT")
    assert camara.inbox.messages() == []


async def test_too_many_codes(camara: RunningService) -> None:
    """otp_send_code_403.1: more codes than a number may get are MAX_OTP_CODES_EXCEEDED."""
    for _ in range(3):
        await send(camara)
        await camara.advance(1)
    assert_error(await post(camara, "send-code", SEND), 403, f"{OTP}MAX_OTP_CODES_EXCEEDED")


async def test_too_soon(camara: RunningService) -> None:
    """A second code within the cooldown is TOO_MANY_REQUESTS, with `Retry-After`."""
    await send(camara)
    assert_error(await post(camara, "send-code", SEND), 429, "TOO_MANY_REQUESTS")


@pytest.mark.parametrize("phone", [LANDLINE, "+628041234567", "+447400123456"])
async def test_phone_number_not_allowed(make_service: ServiceFactory, phone: str) -> None:
    """otp_send_code_403.2-3: a landline, a service number and a country that is not allowed get no code."""
    service = await make_service({"tenants": {"demo": {"camara": {"enabled": True}, "countries": ["ID"]}}})
    response = await post(service, "send-code", {**SEND, "phoneNumber": phone})
    assert_error(response, 403, f"{OTP}PHONE_NUMBER_NOT_ALLOWED")


async def test_phone_number_blocked(make_service: ServiceFactory) -> None:
    """otp_send_code_403.4: a number that opted out is PHONE_NUMBER_BLOCKED."""
    service = await make_service(CONFIG)
    await change_opt_out(make_service.url, OptOutAction.OPT_OUT)
    assert_error(await post(service, "send-code", SEND), 403, f"{OTP}PHONE_NUMBER_BLOCKED")


async def test_phone_number_of_no_operator(camara: RunningService) -> None:
    """otp_send_code_404.1: a number that no operator has is NOT_FOUND."""
    for phone in ("+628100", "+99999999999", "+628123456789012"):
        assert_error(await post(camara, "send-code", {**SEND, "phoneNumber": phone}), 404, "NOT_FOUND")


async def test_the_text_of_the_tenant_instead(camara: RunningService) -> None:
    """With `text = "template"`, the SMS has the tenant's own text for the configured purpose."""
    _, text = await send(camara, {**SEND, "message": "{{code}} at evil.example"}, key="bank")
    assert "Bank" in text and "evil" not in text
    assert (await camara.caller("dev-key").get("/schema/openapi.json")).status_code == 200


@pytest.mark.parametrize("message", ["{{code}} see evil.example", "{{code}} http://login.example.com"])
async def test_a_text_with_a_foreign_address(camara: RunningService, message: str) -> None:
    """A text that leads to a web site which the tenant does not allow is PERMISSION_DENIED."""
    response = await post(camara, "send-code", {**SEND, "message": message}, key="web")
    assert_error(response, 403, "PERMISSION_DENIED")


async def test_a_text_is_not_longer_in_its_normal_form(camara: RunningService) -> None:
    """A letter that is composed of others by Unicode's rules counts, and costs, as the letters it consists of."""
    for letters, status in ((50, 200), (51, 400)):
        message = "{{code}}" + "\ufb2c" * letters  # three characters each
        response = await post(camara, "send-code", {**SEND, "message": message}, key="web")
        assert response.status_code == status, response.text
    assert_error(response, 400, "INVALID_ARGUMENT")


async def test_a_text_with_the_line_of_the_tenants_app(camara: RunningService) -> None:
    """The hosts of the tenant's apps and links may be named; line ends stay, other control characters are spaces."""
    message = "{{code}}\tis it: https://login.example.com/a\r\n@app.example.com #{{code}}"
    _, text = await send(camara, {**SEND, "message": message}, key="web")
    assert re.fullmatch(r"(\d{6}) is it: https://login\.example\.com/a\n@app\.example\.com #\1", text)


async def test_what_camara_does_not_document(camara: RunningService) -> None:
    """A body of another type or size is INVALID_ARGUMENT, another method METHOD_NOT_ALLOWED with `Allow`."""
    assert_error(await post(camara, "send-code", b"{}", Content_Type="text/plain"), 400, "INVALID_ARGUMENT")
    assert_error(await post(camara, "send-code", b" " * 70_000), 400, "INVALID_ARGUMENT")
    response = await camara.client.put(PATH + "send-code", json=SEND, headers={"x-correlator": "a"})
    assert_error(response, 405, "METHOD_NOT_ALLOWED")
    assert (response.headers["x-correlator"], response.headers["allow"]) == ("a", "OPTIONS, POST")


@pytest.mark.parametrize(
    ("message", "status"), [("{{code}}", 200), ("\u0639" * 63 + "{{code}}", 200), ("\u0639" * 65 + "{{code}}", 429)]
)
async def test_the_text_of_the_caller_has_its_own_price(
    make_service: ServiceFactory, message: str, status: int
) -> None:
    """The segments of the text that is sent are what counts for a cap: 70 characters of UCS-2 are one, 71 are two."""
    inbox = {"type": "inbox", "price": {"default": "1"}, "daily_spend_cap": "1"}
    service = await make_service({"tenants": {"demo": {"camara": {"enabled": True}}}, "providers": {"inbox": inbox}})
    response = await post(service, "send-code", {**SEND, "message": message})
    assert response.status_code == status
    if status == 429:
        assert_error(response, 429, "QUOTA_EXCEEDED")


async def test_without_a_route(make_service: ServiceFactory) -> None:
    """No provider for the number is UNAVAILABLE of CAMARA's common errors, with `Retry-After`."""
    routes = [{"country": "SG", "providers": ["inbox"]}]
    service = await make_service({"tenants": {"demo": {"camara": {"enabled": True}}}, "routes": routes})
    assert_error(await post(service, "send-code", SEND), 503, "UNAVAILABLE")
