"""`POST /v1/admin/recipients/check`, `GET /v1/admin/opt-outs`, and request-code for a number that opted out."""

from __future__ import annotations

import re

from otp_service.domain.opt_out import OptOutAction
from tests.api.api_requests import CHECK_RECIPIENT, OPT_OUTS, REQUEST_BODY, REQUEST_CODE
from tests.config_parts import api_key, shared_keys, tenant
from tests.opt_out_changes import change_opt_out
from tests.problem_assertions import UTC_TIME_PATTERN, assert_common_headers, assert_problem
from tests.running_service import NUMBER, ServiceFactory

MASKED = "+62812*****055"
OTHER = "0812-1010-0056"
OUT, IN = OptOutAction.OPT_OUT, OptOutAction.OPT_IN


async def test_operator_sees_an_opt_out(make_service: ServiceFactory) -> None:
    """The number is in the body and masked in the response; the count covers the whole service."""
    service = await make_service(shared_keys())
    assert await change_opt_out(make_service.url, OUT)
    assert not await change_opt_out(make_service.url, OUT)

    answers = [
        await service.client.post(CHECK_RECIPIENT, json=body)
        for body in ({"phone": NUMBER}, {"phone": "+62 812 10100055", "country": "SG"}, {"phone": OTHER})
    ]
    for answer in answers:
        assert_common_headers(answer)
    first, spelled, other = [answer.json() for answer in answers]
    assert (first["phone"], first["opted_out"]) == (MASKED, True)
    assert re.fullmatch(UTC_TIME_PATTERN, first["opted_out_until"])
    assert spelled == first
    assert other == {"phone": "+62812*****056", "opted_out": False, "opted_out_until": None}
    assert (await service.client.get(OPT_OUTS)).json() == {"count": 1}

    assert await change_opt_out(make_service.url, IN)
    assert (await service.client.get(OPT_OUTS)).json() == {"count": 0}
    assert (await service.request()).status_code == 202


async def test_only_admin_keys_see_opt_outs(make_service: ServiceFactory) -> None:
    """A key without the scope gets 403 from both, one without a key 401."""
    service = await make_service(
        {"tenants": {"acme": tenant(api_key("app", "request", "verify", "read", "server"), api_key("ops", "admin"))}}
    )
    for key, status in (("app", 403), ("ops", 200), (None, 401), ("unconfigured", 401)):
        client = service.caller(key)
        assert (await client.post(CHECK_RECIPIENT, json={"phone": NUMBER})).status_code == status
        assert (await client.get(OPT_OUTS)).status_code == status


async def test_opted_out_number_is_refused_for_every_tenant(make_service: ServiceFactory) -> None:
    """Opt-outs hold for all tenants; the refusal has no Retry-After, costs nothing and is not kept under a key."""
    acme = {"tenants": {"acme": tenant(api_key("acme", "request"))}, "limits": {"recipient": ["1/3600"]}}
    service = await make_service(shared_keys() | acme)
    await change_opt_out(make_service.url, OUT)
    keyed = {"Idempotency-Key": "once"}

    for client in (service.client, service.caller("acme")):
        answer = await client.post(REQUEST_CODE, json=REQUEST_BODY, headers=keyed)
        assert_problem(answer, 403, "recipient_opted_out")
        assert "retry-after" not in answer.headers
    await change_opt_out(make_service.url, IN)

    answer = await service.client.post(REQUEST_CODE, json=REQUEST_BODY, headers=keyed)
    assert answer.status_code == 202
    await change_opt_out(make_service.url, OUT)
    repeated = await service.client.post(REQUEST_CODE, json=REQUEST_BODY, headers=keyed)
    assert (repeated.status_code, repeated.json()) == (202, answer.json())  # it was sent before the opt-out


async def test_lock_goes_before_the_opt_out(make_service: ServiceFactory) -> None:
    """A number that is locked and opted out is `recipient_locked`."""
    service = await make_service(shared_keys() | {"limits": {"recipient_failures": ["1/900"]}})
    verification_id, code = await service.request_code()
    await service.verify(verification_id, service.wrong_code(code))
    await change_opt_out(make_service.url, OUT)
    assert_problem(await service.request(), 429, "recipient_locked", "retry_after")
