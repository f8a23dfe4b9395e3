"""CAMARA validate-code: each scenario of the published feature file, by its tag, and what we add.

The scenarios are those of camaraproject/OTPValidation, code/Test_definitions/one-time-password-sms-*.feature.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.camara_calls import CONFIG, OTP, SEND, assert_error, post, send_code, validate
from tests.running_service import RunningService, ServiceFactory


@pytest.fixture
async def camara(make_service: ServiceFactory) -> RunningService:
    """Start a service whose tenants use CAMARA."""
    return await make_service(CONFIG)


@pytest.mark.parametrize("operation", ["send-code", "validate-code"])
async def test_calls_without_a_valid_token(camara: RunningService, operation: str) -> None:
    """otp_send_code_401.1-3, otp_validate_code_401.1-3: a missing or wrong token is UNAUTHENTICATED."""
    for key in (None, "expired", "dev-key2"):
        assert_error(await post(camara, operation, {}, key=key), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    "body",
    [
        b"",  # otp_validate_code_400.1
        {},  # otp_validate_code_400.2
        {"code": "123456"},  # otp_validate_code_400.3
        {"authenticationId": "x", "code": "thisCodeExceedsTenCharacters"},  # otp_validate_code_400.4
        {"authenticationId": "x"},  # otp_validate_code_400.10
        {"authenticationId": "x" * 37, "code": "1"},
        {"authenticationId": "x", "code": "1", "extra": 1},
    ],
)
async def test_validate_code_invalid_argument(camara: RunningService, body: Any) -> None:
    """A missing, long or unknown member is INVALID_ARGUMENT."""
    assert_error(await post(camara, "validate-code", body), 400, "INVALID_ARGUMENT")


async def test_invalid_otp_and_verification_failed(camara: RunningService) -> None:
    """otp_validate_code_400.5, 400.9: wrong codes are INVALID_OTP; the last one and later ones VERIFICATION_FAILED."""
    sent_id, code = await send_code(camara)
    for wrong in (camara.wrong_code(code), "AJY3", "", code[:4]):
        assert_error(await validate(camara, sent_id, wrong), 400, f"{OTP}INVALID_OTP")
    assert_error(await validate(camara, sent_id, "0000000000"), 400, f"{OTP}VERIFICATION_FAILED")
    assert_error(await validate(camara, sent_id, code), 400, f"{OTP}VERIFICATION_FAILED")


async def test_verification_expired_by_time(camara: RunningService) -> None:
    """otp_validate_code_400.6: the right code after its time is VERIFICATION_EXPIRED."""
    sent_id, code = await send_code(camara)
    await camara.advance(301)
    assert_error(await validate(camara, sent_id, code), 400, f"{OTP}VERIFICATION_EXPIRED")


async def test_verification_expired_by_a_newer_one(camara: RunningService) -> None:
    """otp_validate_code_400.7: a second send-code for the number expires the first id; its own id works."""
    first_id, first_code = await send_code(camara)
    await camara.advance(1)
    second_id, second_code = await send_code(camara)
    assert_error(await validate(camara, first_id, first_code), 400, f"{OTP}VERIFICATION_EXPIRED")
    assert (await validate(camara, second_id, second_code)).status_code == 204


async def test_verification_expired_by_use(camara: RunningService) -> None:
    """otp_validate_code_01, 400.8: a code succeeds once; then its id is VERIFICATION_EXPIRED."""
    sent_id, code = await send_code(camara)
    assert (await validate(camara, sent_id, code)).status_code == 204
    assert_error(await validate(camara, sent_id, code), 400, f"{OTP}VERIFICATION_EXPIRED")


@pytest.mark.parametrize("sent_id", ["", "ea0840f3-3663-4149-bd10-c7c6b8912105", "\x00 \u00e9", "A" * 23])
async def test_unknown_authentication_id(camara: RunningService, sent_id: str) -> None:
    """otp_validate_code_404: any id that was not given out is NOT_FOUND."""
    assert_error(await validate(camara, sent_id, "123456"), 404, "NOT_FOUND")


async def test_an_id_of_another_tenant_is_unknown(camara: RunningService) -> None:
    """An id belongs to the tenant that got it."""
    sent_id, code = await send_code(camara)
    response = await post(camara, "validate-code", {"authenticationId": sent_id, "code": code}, key="bank")
    assert_error(response, 404, "NOT_FOUND")


@pytest.mark.parametrize("key", ["plain", "no-server", "only-server"])
async def test_permission_denied(camara: RunningService, key: str) -> None:
    """A tenant that does not use CAMARA, and a key without the scopes, are refused: the caller chooses the text."""
    for operation, body in (("send-code", SEND), ("validate-code", {"authenticationId": "x", "code": "1"})):
        assert_error(await post(camara, operation, body, key=key), 403, "PERMISSION_DENIED")


async def test_uniform_errors_of_a_tenant(make_service: ServiceFactory) -> None:
    """A tenant that hides why a code is refused hides it here, too: every refusal is INVALID_OTP."""
    service = await make_service(
        {"tenants": {"demo": {"camara": {"enabled": True}, "policy": {"uniform_errors": True}}}}
    )
    sent_id, code = await send_code(service)
    assert_error(await validate(service, "unknown", code), 400, f"{OTP}INVALID_OTP")
    assert_error(await validate(service, sent_id, service.wrong_code(code)), 400, f"{OTP}INVALID_OTP")
    assert (await validate(service, sent_id, code)).status_code == 204
    assert_error(await validate(service, sent_id, code), 400, f"{OTP}INVALID_OTP")
