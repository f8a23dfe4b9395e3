"""Every problem of the HTTP contract: status, code, members and headers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from otp_service.api.problems import PROBLEMS
from otp_service.domain.errors import Reason
from tests.api.api_requests import JSON_HEADERS, NORMALIZE_PHONE, REQUEST_BODY, REQUEST_CODE, UNKNOWN_ID, VERIFICATIONS
from tests.config_parts import api_key, tenant
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory
from tests.store_contents import crash_before_the_response_is_stored

CONTRACT = {
    400: {"request_malformed"},
    401: {"key_missing", "key_invalid"},
    403: {
        "scope_missing",
        "purpose_not_allowed",
        "country_not_allowed",
        "channel_not_allowed",
        "link_not_allowed",
        "captcha_required",
        "captcha_failed",
        "recipient_opted_out",
    },
    404: {"verification_unknown"},
    409: {"verification_used", "verification_superseded", "verification_canceled", "idempotency_in_flight"},
    410: {"verification_expired"},
    413: {"body_too_large"},
    415: {"media_type_unsupported"},
    422: {"phone_invalid", "phone_not_mobile", "email_invalid", "idempotency_mismatch", "code_incorrect"},
    429: {"resend_too_soon", "rate_limited", "attempts_exhausted", "recipient_locked", "spend_cap_reached"},
    503: {"store_unavailable", "overloaded", "no_route", "captcha_unavailable", "issuer_unavailable"},
}
BEYOND = {
    404: {"not_found"},
    405: {"method_not_allowed"},
    408: {"request_timeout"},
    431: {"headers_too_large"},
    500: {"internal_error"},
}
"""Beyond the table of the contract: no such path or method, limits of the server, and failures of the service."""

CONFIG: dict[str, Any] = {
    "tenants": {
        "demo": {"countries": ["ID", "SG"], "policy": {"resend_cooldown_seconds": 1, "max_sends": 2}},
        "acme": tenant(api_key("app", "request", "verify")),
        "idle": tenant(api_key("nothing", "admin")),
    },
    "limits": {"recipient_failures": ["6/86400"]},
    "routes": [{"country": "ID", "providers": ["inbox"]}],
}


def test_every_code_is_listed() -> None:
    """Every code of the contract has its status, and the service has no code that is not listed here."""
    found: dict[int, set[str]] = {}
    for reason, (status, _) in PROBLEMS.items():
        found.setdefault(status, set()).add(reason.value)
    assert found == {
        status: CONTRACT.get(status, set()) | BEYOND.get(status, set()) for status in CONTRACT.keys() | BEYOND.keys()
    }
    assert set(PROBLEMS) == set(Reason)


async def _malformed(service: RunningService) -> httpx.Response:
    return await service.client.post(REQUEST_CODE, json={"purpose": "login"})


async def _no_key(service: RunningService) -> httpx.Response:
    return await service.caller(None).post(REQUEST_CODE, json=REQUEST_BODY)


async def _other_auth_scheme(service: RunningService) -> httpx.Response:
    return await service.caller(None).post(
        REQUEST_CODE, json=REQUEST_BODY, headers={"Authorization": "Basic ZGV2LWtleQ=="}
    )


async def _bad_key(service: RunningService) -> httpx.Response:
    return await service.caller("dev-keys").post(REQUEST_CODE, json=REQUEST_BODY)


async def _no_scope(service: RunningService) -> httpx.Response:
    return await service.caller("nothing").post(REQUEST_CODE, json=REQUEST_BODY)


async def _no_server_scope(service: RunningService) -> httpx.Response:
    return await service.caller("app").post(REQUEST_CODE, json={**REQUEST_BODY, "client_ip": "203.0.113.9"})


async def _bad_purpose(service: RunningService) -> httpx.Response:
    return await service.request(purpose="payment")


async def _bad_country(service: RunningService) -> httpx.Response:
    return await service.request("+447912345678")


async def _bad_channel(service: RunningService) -> httpx.Response:
    return await service.caller("app").post(REQUEST_CODE, json={**REQUEST_BODY, "channel": "voice"})


async def _invalid_address(service: RunningService) -> httpx.Response:
    return await service.client.post(REQUEST_CODE, json={"email": "ann@localhost", "purpose": "login"})


async def _unknown(service: RunningService) -> httpx.Response:
    return await service.verify(UNKNOWN_ID, "123456")


async def _unknown_to_read(service: RunningService) -> httpx.Response:
    return await service.client.get(VERIFICATIONS + UNKNOWN_ID)


async def _unknown_path(service: RunningService) -> httpx.Response:
    return await service.client.get("/v1/request-codes")


async def _wrong_method(service: RunningService) -> httpx.Response:
    return await service.client.put(REQUEST_CODE, json=REQUEST_BODY)


async def _used(service: RunningService) -> httpx.Response:
    verification_id, code = await service.request_code()
    await service.verify(verification_id, code)
    return await service.verify(verification_id, code)


async def _superseded(service: RunningService) -> httpx.Response:
    verification_id, code = await service.request_code()
    await service.advance(1)
    await service.request_code()
    return await service.verify(verification_id, code)


async def _canceled(service: RunningService) -> httpx.Response:
    verification_id, code = await service.request_code()
    await service.client.delete(VERIFICATIONS + verification_id)
    return await service.verify(verification_id, code)


async def _expired(service: RunningService) -> httpx.Response:
    verification_id, code = await service.request_code()
    await service.advance(300)
    return await service.verify(verification_id, code)


async def _too_large(service: RunningService) -> httpx.Response:
    return await service.client.post(NORMALIZE_PHONE, content=b" " * 65_537, headers=JSON_HEADERS)


async def _plain_text(service: RunningService) -> httpx.Response:
    return await service.client.post(
        REQUEST_CODE, content=b'{"phone": "081210100055"}', headers={"Content-Type": "text/plain"}
    )


async def _invalid_number(service: RunningService) -> httpx.Response:
    return await service.request("08123456")


async def _landline(service: RunningService) -> httpx.Response:
    return await service.request("0215551234")


async def _mismatch(service: RunningService) -> httpx.Response:
    key = {"Idempotency-Key": "one"}
    await service.client.post(REQUEST_CODE, json=REQUEST_BODY, headers=key)
    return await service.client.post(REQUEST_CODE, json={**REQUEST_BODY, "purpose": "registration"}, headers=key)


async def _in_flight(service: RunningService) -> httpx.Response:
    key = {"Idempotency-Key": "one"}
    with crash_before_the_response_is_stored():
        await service.client.post(REQUEST_CODE, json=REQUEST_BODY, headers=key)
    return await service.client.post(REQUEST_CODE, json=REQUEST_BODY, headers=key)


async def _wrong_code(service: RunningService) -> httpx.Response:
    verification_id, code = await service.request_code()
    return await service.verify(verification_id, service.wrong_code(code))


async def _too_soon(service: RunningService) -> httpx.Response:
    await service.request_code()
    return await service.request()


async def _chain_used_up(service: RunningService) -> httpx.Response:
    for _ in range(2):
        await service.request_code()
        await service.advance(1)
    return await service.request()


async def _exhausted(service: RunningService) -> httpx.Response:
    verification_id, code = await service.request_code()
    for _ in range(5):
        await service.verify(verification_id, service.wrong_code(code))
    return await service.verify(verification_id, code)


async def _locked(service: RunningService) -> httpx.Response:
    for _ in range(2):
        verification_id, code = await service.request_code()
        for _ in range(5):
            await service.verify(verification_id, service.wrong_code(code))
        await service.advance(1)
    return await service.verify(verification_id, code)


async def _no_route(service: RunningService) -> httpx.Response:
    return await service.request("+6591234567")


ROWS: list[tuple[int, str, tuple[str, ...], Callable[[RunningService], Awaitable[httpx.Response]]]] = [
    (400, "request_malformed", ("errors",), _malformed),
    (401, "key_missing", (), _no_key),
    (401, "key_missing", (), _other_auth_scheme),
    (401, "key_invalid", (), _bad_key),
    (403, "scope_missing", (), _no_scope),
    (403, "scope_missing", (), _no_server_scope),
    (403, "purpose_not_allowed", (), _bad_purpose),
    (403, "country_not_allowed", (), _bad_country),
    (403, "channel_not_allowed", (), _bad_channel),
    (404, "verification_unknown", (), _unknown),
    (404, "verification_unknown", (), _unknown_to_read),
    (404, "not_found", (), _unknown_path),
    (405, "method_not_allowed", (), _wrong_method),
    (409, "verification_used", (), _used),
    (409, "verification_superseded", (), _superseded),
    (409, "verification_canceled", (), _canceled),
    (409, "idempotency_in_flight", (), _in_flight),
    (410, "verification_expired", (), _expired),
    (413, "body_too_large", (), _too_large),
    (415, "media_type_unsupported", (), _plain_text),
    (422, "phone_invalid", (), _invalid_number),
    (422, "phone_not_mobile", (), _landline),
    (422, "email_invalid", (), _invalid_address),
    (422, "idempotency_mismatch", (), _mismatch),
    (422, "code_incorrect", ("attempts_left",), _wrong_code),
    (429, "resend_too_soon", (), _too_soon),
    (429, "rate_limited", ("limit",), _chain_used_up),
    (429, "attempts_exhausted", (), _exhausted),
    (429, "recipient_locked", (), _locked),
    (503, "no_route", (), _no_route),
]


@pytest.mark.parametrize(("status", "code", "members", "provoke"), ROWS)
async def test_a_problem_matches_the_contract(
    make_service: ServiceFactory,
    status: int,
    code: str,
    members: tuple[str, ...],
    provoke: Callable[[RunningService], Awaitable[httpx.Response]],
) -> None:
    """A problem has the status and exactly the members of the contract, in the form of RFC 9457."""
    body = assert_problem(await provoke(await make_service(CONFIG)), status, code, *members)
    assert body["type"].endswith(code)
    if "errors" in members:
        assert body["errors"] == [{"pointer": "/phone", "detail": "Send this member, or `email`."}]
    if "attempts_left" in members:
        assert body["attempts_left"] == 4
    if "limit" in members:
        assert body["limit"] == "max_sends"
