"""request-code: the 202 response, the message, and the effect of a later request on an earlier one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.api.api_requests import REQUEST_BODY, REQUEST_CODE
from tests.config_parts import api_key, demo_policy, tenant
from tests.problem_assertions import REQUEST_CODE_MEMBERS, UTC_TIME_PATTERN, assert_common_headers, assert_problem
from tests.running_service import E164, NUMBER, RunningService, ServiceFactory

CONTRACT_EXAMPLE = {
    "phone": "0812-1010-0055",
    "purpose": "login",
    "country": "ID",
    "locale": "id",
    "channel": "sms",
    "client_ip": "203.0.113.9",
    "reference": "order-17",
    "decoy": False,
}


def seconds(text: str) -> float:
    """Convert a time of the contract to Unix seconds."""
    assert re.fullmatch(UTC_TIME_PATTERN, text)
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


async def test_the_example_of_the_contract(service: RunningService) -> None:
    """The documented request gets a 202 with exactly the documented members, types and values."""
    before = (await service.store.time())[0]
    response = await service.client.post(REQUEST_CODE, json=CONTRACT_EXAMPLE)
    after = (await service.store.time())[0]
    assert response.status_code == 202
    assert response.headers["content-type"] == "application/json"
    assert_common_headers(response)
    body = response.json()
    assert {name: type(value) for name, value in body.items()} == REQUEST_CODE_MEMBERS
    assert re.fullmatch(r"[A-Za-z0-9_-]{20,36}", body["verification_id"])
    assert before + 300 <= seconds(body["expires_at"]) <= after + 300
    assert before + 30 <= seconds(body["resend_at"]) <= after + 31
    given = {
        name: body[name] for name in REQUEST_CODE_MEMBERS if name not in ("verification_id", "expires_at", "resend_at")
    }
    assert given == {
        "status": "pending",
        "purpose": "login",
        "channel": "sms",
        "phone": "+62812*****055",
        "country": "ID",
        "code_length": 6,
        "expires_in": 300,
        "resend_in": 30,
        "attempts_left": 5,
        "sends_left": 4,
    }


async def test_null_equals_absent(service: RunningService) -> None:
    """An optional member may be null, except `decoy` and `channel`, which have a default."""
    for n, name in enumerate(("country", "locale", "client_ip", "reference"), 10):
        body = {"phone": f"0812-1010-00{n}", "purpose": "login", name: None}
        assert (await service.client.post(REQUEST_CODE, json=body)).status_code == 202


@pytest.mark.parametrize(
    ("phone", "country", "read_as"),
    [
        ("91234567", "SG", ("+6591234567", "SG")),
        ("+65 9123 4567", None, ("+6591234567", "SG")),
        ("0065 9123 4567", "ID", ("+6591234567", "SG")),
        ("0812-1010-0055", None, (E164, "ID")),
        ("6281210100055", "ID", (E164, "ID")),
        ("2125550123", "US", ("+12125550123", "US")),
    ],
)
async def test_country_of_national_numbers(
    service: RunningService, phone: str, country: str | None, read_as: tuple[str, str]
) -> None:
    """National numbers are parsed in `country`, by default the tenant's; the response has the number's own."""
    members = {"country": country} if country else {}
    body = (await service.request(phone, **members)).json()
    assert body["country"] == read_as[1]
    assert (await service.message_of(body["verification_id"])).to == read_as[0]


LANGUAGES: list[tuple[dict[str, Any], str]] = [
    ({}, "kode masuk Anda"),
    ({"locale": "id"}, "kode masuk Anda"),
    ({"locale": "id-ID"}, "kode masuk Anda"),
    ({"locale": "id_ID"}, "kode masuk Anda"),
    ({"locale": "en"}, "your code to log in"),
    ({"locale": "en-GB"}, "your code to log in"),
    ({"locale": "EN"}, "your code to log in"),
    ({"locale": "nl-NL"}, "kode masuk Anda"),
    ({"locale": "de-AT"}, "Ihr Code zum Anmelden"),
    ({"phone": "+6591234567"}, "your code to log in"),
    ({"phone": "+6591234568", "locale": "id"}, "kode masuk Anda"),
    ({"purpose": "registration"}, "kode pendaftaran akun Anda"),
    ({"purpose": "password_reset", "locale": "en"}, "your code to reset your password"),
]


async def test_the_language_of_the_message(service: RunningService) -> None:
    """The locale selects the template, by default the number's country; brand, code and minutes are filled in."""
    for n, (members, text) in enumerate(LANGUAGES, 10):
        verification_id, code = await service.request_code(**({"phone": f"0812-1010-00{n}"} | members))
        sent = (await service.message_of(verification_id)).text
        assert sent.startswith("Demo: ")
        assert text in sent
        assert code in sent
        assert re.search(r"\b5 (min|menit)\b", sent, re.IGNORECASE)


async def test_a_tenants_own_purposes_and_templates(make_service: ServiceFactory) -> None:
    """A tenant's templates are selected by locale, then purpose, then default."""
    templates = {
        "id": {"default": "{brand} {code} bawaan", "payment": "{brand} {code} bayar {minutes}"},
        "en": {"default": "{brand} {code} pay"},
    }
    service = await make_service(
        {
            "tenants": {
                "acme": tenant(
                    api_key("acme", "request"), brand="Acme", purposes=["payment", "a1_b"], templates=templates
                )
            }
        }
    )
    service.client = service.caller("acme")
    expected = [("payment", None, "bayar 5"), ("a1_b", None, "bawaan"), ("payment", "en", "pay")]
    for number, (purpose, locale, text) in enumerate(expected):
        members = {"locale": locale} if locale else {}
        verification_id, code = await service.request_code(f"0812-1010-005{number}", purpose, **members)
        assert (await service.message_of(verification_id)).text == f"Acme {code} {text}"
    assert_problem(await service.request(purpose="login"), 403, "purpose_not_allowed")


@pytest.mark.parametrize(
    ("countries", "phone", "code"),
    [
        (["ID"], NUMBER, None),
        (["ID"], "+6591234567", "country_not_allowed"),
        (["ID", "SG"], "+6591234567", None),
        (["SG"], NUMBER, "country_not_allowed"),
        (None, "+6591234567", "country_not_allowed"),
        (["*"], "+447912345678", None),
        (["*"], "+870773111632", "country_not_allowed"),
        (["*"], "+881631111234", "country_not_allowed"),
        (["US"], "+12125550123", None),
        (["US"], "+14165550123", "country_not_allowed"),
        (["*"], "+442079460958", "phone_not_mobile"),
        (["*"], "+19005550123", "phone_not_mobile"),
        (["ID"], "+979123456789", "phone_not_mobile"),
    ],
)
async def test_countries(
    make_service: ServiceFactory, countries: list[str] | None, phone: str, code: str | None
) -> None:
    """`countries` is an allow-list, by default the tenant's country; `*` is every country, but no satellite."""
    listed = {"countries": countries} if countries else {}
    service = await make_service({"tenants": {"acme": tenant(api_key("acme", "request"), **listed)}})
    response = await service.caller("acme").post(REQUEST_CODE, json={**REQUEST_BODY, "phone": phone})
    if code is None:
        assert response.status_code == 202
    else:
        assert_problem(response, 403 if code == "country_not_allowed" else 422, code)
        assert phone[3:] not in response.text
        assert await service.store.keys("otp:*") == []


REFUSED = [
    ("0215551234", 422, "phone_not_mobile"),
    ("08091234567", 422, "phone_not_mobile"),
    ("08123456", 422, "phone_invalid"),
    ("08123456789 ext 5", 422, "phone_invalid"),
    ("0812-CALL-NOW", 422, "phone_invalid"),
    ("+870773111632", 403, "country_not_allowed"),
]


async def test_numbers_that_are_refused(service: RunningService) -> None:
    """A number that is not a mobile number of an allowed country is refused, and not repeated."""
    for phone, status, code in REFUSED:
        response = await service.request(phone)
        assert_problem(response, status, code)
        assert phone not in response.text
    assert await service.store.keys("otp:*") == []


@pytest.mark.parametrize(("length", "short"), [(4, True), (6, False), (10, False)])
async def test_the_length_of_a_code(make_service: ServiceFactory, length: int, short: bool) -> None:
    """Codes have the configured number of digits; fewer than six only if short codes are allowed."""
    service = await make_service(demo_policy(code_length=length, allow_short_codes=short))
    response = await service.request()
    assert response.json()["code_length"] == length
    verification_id = response.json()["verification_id"]
    code = await service.code_of(verification_id)
    assert len(code) == length
    assert (await service.verify(verification_id, code)).status_code == 200


async def test_the_202_follows_the_policy(make_service: ServiceFactory) -> None:
    """Lifetime, cooldown, attempts and sends are those of the tenant."""
    service = await make_service(demo_policy(ttl_seconds=600, resend_cooldown_seconds=60, max_attempts=3, max_sends=1))
    body = (await service.request()).json()
    assert (body["expires_in"], body["resend_in"], body["attempts_left"], body["sends_left"]) == (600, 60, 3, 0)


async def test_a_tenant_without_a_home_country(make_service: ServiceFactory) -> None:
    """For a tenant with several countries and no default, the number or the request contains the country."""
    wandering = tenant(api_key("wandering", "request"), countries=["ID", "SG"])
    del wandering["country"]
    service = await make_service({"tenants": {"wandering": wandering}})
    caller = service.caller("wandering")
    for members in ({"phone": "+62 812-1010-0055"}, {"phone": "0812-1010-0066", "country": "ID"}):
        response = await caller.post(REQUEST_CODE, json={"purpose": "login", **members})
        assert response.status_code == 202, response.text
    assert_problem(
        await caller.post(REQUEST_CODE, json={"purpose": "login", "phone": "0812-1010-0077"}), 422, "phone_invalid"
    )


async def test_an_id_that_is_in_use_starts_nothing(
    make_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request gets 503 and releases every limit: the next one is served, and the old verification is unchanged."""
    service = await make_service({"limits": {"recipient": ["2/3600"], "tenant": ["2/3600"]}})
    verification_id, code = await service.request_code()
    await service.advance(31)
    with monkeypatch.context() as patched:
        patched.setattr("otp_service.service.request_code.new_verification_id", lambda _: verification_id)
        assert_problem(await service.request(), 503, "overloaded")
    assert (await service.verify(verification_id, code)).status_code == 200
    await service.request_code()
    assert len(service.inbox.messages()) == 2
