"""`link` of request-code: who may send which address, and where it is used."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.api_requests import REQUEST_CODE
from tests.config_parts import api_key, tenant
from tests.problem_assertions import assert_problem
from tests.running_service import NUMBER, RunningService, ServiceFactory
from tests.store_contents import dump_store

LINK = "https://account.example.com/reset?token=0123456789abcdef"
TEMPLATES = {
    "id": {"password_reset": "{brand}: {code} {link}"},
    "en": {"password_reset": "{brand}: {code}. Or open {link} within {minutes} min."},
}
LINKED: dict[str, Any] = {"templates": TEMPLATES, "link_hosts": ["account.example.com"], "countries": ["*"]}
APP = api_key("app", "request", "verify")
CONFIG: dict[str, Any] = {
    "tenants": {"demo": LINKED, "acme": tenant(APP, **LINKED), "other": tenant(api_key("o", "request", "server"))},
    "limits": {"client_ip": [], "recipient": [], "prefix": []},
}


@pytest.fixture
async def linked(make_service: ServiceFactory) -> RunningService:
    """A service whose tenants demo and acme have templates with an address."""
    return await make_service(CONFIG)


def body(**members: Any) -> dict[str, Any]:
    """Return the body of a request to reset a password."""
    return {"phone": NUMBER, "purpose": "password_reset", **members}


@pytest.mark.parametrize(
    ("locale", "text"), [("id", f"Demo: CODE {LINK}"), ("en-GB", f"Demo: CODE. Or open {LINK} within 5 min.")]
)
async def test_message_contains_the_link(linked: RunningService, locale: str, text: str) -> None:
    """The address stands where the template has it; no response and no URL contains it."""
    verification_id, code = await linked.request_code(purpose="password_reset", link=LINK, locale=locale)
    message = await linked.message_of(verification_id)
    assert message.text == text.replace("CODE", code)
    read = await linked.client.get(f"/v1/verifications/{verification_id}")
    assert LINK not in read.text
    assert (await linked.verify(verification_id, code)).status_code == 200


async def test_auto_without_a_link_is_told_the_channel(linked: RunningService) -> None:
    """`auto` takes no link, so a purpose whose text contains one needs the channel `sms`, and the detail says so."""
    answer = await linked.client.post(REQUEST_CODE, json=body(channel="auto"))
    [error] = assert_problem(answer, 400, "request_malformed", "errors")["errors"]
    assert "`sms`" in error["detail"]


@pytest.mark.parametrize(
    ("members", "status", "code"),
    [
        ({}, 400, "request_malformed"),  # the template has a place for an address
        ({"purpose": "login", "link": LINK}, 400, "request_malformed"),  # the template has none
        ({"link": LINK, "channel": "auto"}, 400, "request_malformed"),
        ({"link": "http://account.example.com/"}, 400, "request_malformed"),
        ({"link": "https://u@account.example.com/"}, 400, "request_malformed"),
        ({"link": "https://account.example.com/" + "x" * 2048}, 400, "request_malformed"),
        ({"link": 5}, 400, "request_malformed"),
        ({"link": ""}, 400, "request_malformed"),
        ({"link": "https://evil.example/account.example.com"}, 403, "link_not_allowed"),
        ({"link": "https://account.example.com.evil.example/"}, 403, "link_not_allowed"),
        ({"link": "https://x.account.example.com/"}, 403, "link_not_allowed"),
    ],
)
async def test_refused_links(linked: RunningService, members: dict[str, Any], status: int, code: str) -> None:
    """Each is refused with the pointer `/link`, without repeating the address, and nothing is stored."""
    answer = await linked.client.post(REQUEST_CODE, json=body(**members))
    problem = assert_problem(answer, status, code, *(["errors"] if status == 400 else []))
    if status == 400:
        assert [error["pointer"] for error in problem["errors"]] == ["/link"]
    assert "example.com/" not in answer.text
    assert [key async for key in linked.store.scan_iter("otp:*")] == []


async def test_link_needs_the_scope_server(linked: RunningService) -> None:
    """An app's key cannot have addresses sent; a tenant without `link_hosts` allows none."""
    assert_problem(await linked.caller("app").post(REQUEST_CODE, json=body(link=LINK)), 403, "scope_missing")
    assert_problem(await linked.caller("o").post(REQUEST_CODE, json=body(link=LINK)), 403, "link_not_allowed")


async def test_idempotency_covers_the_link(linked: RunningService) -> None:
    """Another address under the same key is another request; the stored answer contains none."""
    keyed = {"Idempotency-Key": "once"}
    first = await linked.client.post(REQUEST_CODE, json=body(link=LINK), headers=keyed)
    again = await linked.client.post(REQUEST_CODE, json=body(link=LINK), headers=keyed)
    other = await linked.client.post(REQUEST_CODE, json=body(link=LINK + "0"), headers=keyed)
    assert (first.status_code, again.json(), other.status_code) == (202, first.json(), 422)
    contents = await dump_store(linked.store)
    assert all(b"0123456789abcdef" not in key + value for key, value in contents.items())


async def test_code_is_sent_again_with_the_link_of_the_request(make_service: ServiceFactory) -> None:
    """Under `reuse` the second message has the same code, and its own address."""
    service = await make_service({**CONFIG, "tenants": {"demo": {**LINKED, "policy": {"resend": "reuse"}}}})
    first, code = await service.request_code(purpose="password_reset", link=LINK)
    await service.advance(31)
    second, again = await service.request_code(purpose="password_reset", link=LINK + "2")
    texts = [(await service.message_of(one)).text for one in (first, second)]
    assert (again, texts) == (code, [f"Demo: {code} {LINK}", f"Demo: {code} {LINK}2"])


async def test_price_counts_the_link(make_service: ServiceFactory) -> None:
    """A cap is checked with the segments of the message as it is sent, with its address."""
    table = {"type": "inbox", "price": {"default": "0.01"}, "daily_spend_cap": "0.02"}
    service = await make_service({**CONFIG, "providers": {"inbox": table}})
    long = LINK + "x" * 300
    answer = await service.client.post(REQUEST_CODE, json=body(link=long))
    assert_problem(answer, 429, "spend_cap_reached", "retry_after")
    assert (await service.client.post(REQUEST_CODE, json=body(link=LINK))).status_code == 202
