"""normalize-phone parses a number in any spelling; nothing is sent, counted or stored."""

from __future__ import annotations

from typing import Any

from tests.api.api_requests import NORMALIZE_PHONE, REQUEST_BODY, REQUEST_CODE
from tests.config_parts import api_key, tenant
from tests.problem_assertions import assert_common_headers, assert_problem
from tests.running_service import E164, NUMBER, RunningService, ServiceFactory

Row = tuple[str, str | None, str, str, str, str, bool]

ROWS: list[Row] = [
    (NUMBER, None, E164, "0812-1010-0055", "ID", "mobile", True),
    ("(+62) 812 1010 0055", "SG", E164, "0812-1010-0055", "ID", "mobile", True),
    ("91234567", "SG", "+6591234567", "9123 4567", "SG", "mobile", True),
    ("+12125550123", None, "+12125550123", "(212) 555-0123", "US", "fixed_line_or_mobile", True),
    ("021 5551234", None, "+62215551234", "(021) 5551234", "ID", "fixed_line", False),
    ("0809 1234567", "ID", "+628091234567", "0809 1 234 567", "ID", "premium_rate", False),
]


async def normalized(service: RunningService, key: str, phone: str, country: str | None) -> dict[str, Any]:
    """Call the endpoint with an API key, assert success, and return the body."""
    members = {} if country is None else {"country": country}
    response = await service.caller(key).post(NORMALIZE_PHONE, json={"phone": phone, **members})
    assert response.status_code == 200, response.text
    assert_common_headers(response)
    body: dict[str, Any] = response.json()
    return body


async def test_a_number_is_parsed(make_service: ServiceFactory) -> None:
    """The response has exactly five members, also for a number that is not mobile or not in an allowed country."""
    service = await make_service({"tenants": {"acme": tenant(api_key("acme", "read"))}})
    for phone, country, e164, national, of, kind, mobile in ROWS:
        expected = {"e164": e164, "national": national, "country": of, "type": kind, "mobile": mobile}
        assert await normalized(service, "acme", phone, country) == expected
    assert await service.store.keys("otp:*") == []


async def test_the_default_country_is_the_tenants(make_service: ServiceFactory) -> None:
    """Without a country both endpoints parse national numbers in the tenant's country."""
    keys = [api_key("acme", "request")]
    service = await make_service({"tenants": {"acme": {**tenant(*keys), "country": "SG", "countries": ["SG", "ID"]}}})
    acme = service.caller("acme")
    assert (await normalized(service, "acme", "9123 4567", None))["e164"] == "+6591234567"
    assert (await acme.post(REQUEST_CODE, json={**REQUEST_BODY, "phone": "9123 4567"})).json()["country"] == "SG"
    assert_problem(await acme.post(REQUEST_CODE, json=REQUEST_BODY), 422, "phone_invalid")
    assert (await normalized(service, "acme", NUMBER, "ID"))["e164"] == E164
    assert (await acme.post(REQUEST_CODE, json={**REQUEST_BODY, "country": "ID"})).json()["country"] == "ID"


async def test_an_unknown_country_is_malformed(service: RunningService) -> None:
    """Only codes of countries with phone numbers are accepted."""
    for country in ("ZZ", "id", "IDN", "", 62):
        response = await service.client.post(NORMALIZE_PHONE, json={"phone": NUMBER, "country": country})
        [error] = assert_problem(response, 400, "request_malformed", "errors")["errors"]
        assert error["pointer"] == "/country"
