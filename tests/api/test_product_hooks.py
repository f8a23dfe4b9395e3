"""The hooks of Kratos and of Keycloak's SMS plugin: secrets, where the code is, and whose text is sent."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from tests.api.hook_calls import (
    CODE,
    CONFIG,
    PHONE,
    TOKEN,
    call_hook,
    call_supabase,
    keycloak_form,
    keycloak_json,
    kratos_body,
    messages,
    supabase_body,
)
from tests.config_parts import shared_keys
from tests.log_capture import captured_logs
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory

BASIC = "Basic " + base64.b64encode(f"me:{TOKEN}".encode()).decode()
KEYCLOAK_TEXT = f"Your SMS code is {CODE} and is valid for 5 minutes."
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def hooked(make_service: ServiceFactory) -> RunningService:
    """Start a service with hooks."""
    return await make_service(CONFIG)


async def post_form(service: RunningService, body: bytes, **headers: str) -> httpx.Response:
    """Post a form to Keycloak's hook."""
    return await service.caller(None).post("/v1/hooks/keycloak/realm", content=body, headers={**FORM, **headers})


@pytest.mark.parametrize("template", ["login_code", "registration_code", "verification_code", "recovery_code"])
async def test_every_code_of_kratos_is_sent(hooked: RunningService, template: str) -> None:
    """The code of each template goes out in the tenant's text, with the purpose that the hook gives the template."""
    response = await call_hook(hooked, "kratos/courier", kratos_body(template))
    [message] = await messages(hooked, 1)
    assert (response.status_code, response.json()) == (200, {"message_id": message.id})
    assert (message.to, CODE in message.text, "Demo" in message.text) == (PHONE, True, True)
    body = (await hooked.client.get(f"/v1/verifications/{message.id}")).json()
    assert body["purpose"] == ("password_reset" if template == "recovery_code" else "login")
    assert_problem(await hooked.verify(message.id, CODE), 404, "verification_unknown")


@pytest.mark.parametrize(
    "body",
    [
        {"to": PHONE, "code": CODE},
        {"to": PHONE, "body": f"Your login code is: {CODE}\n"},
        {"to": PHONE, "from": "Kratos", "body": f"{CODE}\n\n@example.com #{CODE}"},
        {"template_data": {"to": PHONE, "recovery_code": CODE}},
    ],
)
async def test_other_bodies_of_a_jsonnet(hooked: RunningService, body: dict[str, Any]) -> None:
    """Number and code are found where a shorter Jsonnet puts them."""
    assert (await call_hook(hooked, "kratos/courier", body)).status_code == 200
    [message] = await messages(hooked, 1)
    assert (message.to, CODE in message.text) == (PHONE, True)


async def test_the_text_of_kratos(hooked: RunningService) -> None:
    """With `text = "given"`, the SMS has Kratos' text; a text without the code, or with another host, is refused."""
    path = "kratos/courier-text"
    assert (await call_hook(hooked, path, kratos_body())).status_code == 200
    [message] = await messages(hooked, 1)
    assert message.text == f"Your login code is: {CODE}"
    without = {"to": "+6281210100056", "code": CODE, "body": "Hello"}
    assert_problem(await call_hook(hooked, path, without), 400, "request_malformed", "errors")
    phishing = {**without, "body": f"{CODE} evil.example"}
    assert_problem(await call_hook(hooked, path, phishing), 403, "link_not_allowed")


async def test_a_repeated_message_is_one_text(hooked: RunningService) -> None:
    """Kratos repeats a message whose answer it has lost: it gets the same id and no second text."""
    first = await call_hook(hooked, "kratos/courier", kratos_body())
    await messages(hooked, 1)
    await hooked.advance(40)
    again = await call_hook(hooked, "kratos/courier", kratos_body())
    assert (again.status_code, again.json()) == (200, first.json())
    other = await call_hook(hooked, "kratos/courier", kratos_body(code="999999"))
    assert other.json() != first.json()
    await messages(hooked, 2)


async def test_a_captcha_is_not_demanded_of_a_product(make_service: ServiceFactory) -> None:
    """Where every API key must send a captcha token, a hook need not, and CAMARA's form cannot."""
    captcha = {
        "captcha": {"human": {"type": "turnstile", "secret": "secret", "required_for": "all"}},
        "tenants": {"demo": {**CONFIG["tenants"]["demo"], "policy": {"captcha": "human"}}},
    }
    service = await make_service({**shared_keys(), **captcha})
    assert (await call_hook(service, "kratos/courier", kratos_body())).status_code == 200
    assert_problem(await service.request("+6281210100056"), 403, "captcha_required")


async def test_limits_hold_for_relayed_codes(hooked: RunningService) -> None:
    """The cooldown is that of the tenant, number and purpose, whoever made the code."""
    assert (await call_hook(hooked, "kratos/courier", kratos_body())).status_code == 200
    assert_problem(await call_hook(hooked, "kratos/courier", kratos_body(code="9999")), 429, "resend_too_soon")
    assert_problem(await hooked.request(PHONE), 429, "resend_too_soon")
    recovery = kratos_body("recovery_code")
    assert (await call_hook(hooked, "kratos/courier", recovery)).status_code == 200


async def test_the_guard_counts_the_numbers_of_relayed_codes(make_service: ServiceFactory) -> None:
    """The third number of a block is denied; codes of this service are counted apart, and none is counted as sent."""
    guard = {"mode": "deny", "relayed_sequence": "2/600", "sequence": "2/600"}
    service = await make_service({**CONFIG, "guard": {**guard, "operator_tenants": ["demo"]}})
    for last in range(2):
        assert (await call_hook(service, "kratos/courier", kratos_body(recipient=in_block(last)))).status_code == 200
    third = kratos_body(recipient=in_block(2))
    denied = await call_hook(service, "kratos/courier", third)
    assert assert_problem(denied, 429, "rate_limited", "limit")["limit"] == "guard"

    assert [(await service.request(in_block(last))).status_code for last in range(3, 6)] == [202, 202, 429]
    counted = (await service.client.get("/v1/admin/guard/ID")).json()
    assert counted["new"] == {"sent": 2, "verified": 0}
    await service.advance(601)
    assert (await call_hook(service, "kratos/courier", third)).status_code == 200


async def test_an_open_breaker_stops_relayed_codes(make_service: ServiceFactory) -> None:
    """They are no probes, because nobody would see whether they are verified."""
    service = await make_service({**CONFIG, "guard": {"mode": "deny", "operator_tenants": ["demo"]}})
    assert (await call_hook(service, "kratos/courier", kratos_body())).status_code == 200
    await service.client.put("/v1/admin/guard/ID/breaker", json={"state": "open", "seconds": 600})
    await service.advance(301)
    denied = await call_hook(service, "kratos/courier", kratos_body(recipient=in_block(1)))
    probe = await service.request(in_block(2))

    assert assert_problem(denied, 429, "rate_limited", "limit")["limit"] == "guard"
    assert probe.status_code == 202


def in_block(last: int) -> str:
    """Return a number of one block."""
    return f"+628121010{last:04d}"


async def test_a_code_is_not_reused_for_a_verification(make_service: ServiceFactory) -> None:
    """With `resend = "reuse"`, a code of our own is never that of another service, which other people may know."""
    demo = {**CONFIG["tenants"]["demo"], "policy": {"resend": "reuse"}}
    service = await make_service({**CONFIG, "tenants": {"demo": demo}})
    await call_supabase(service, supabase_body())
    await messages(service, 1)
    await service.advance(31)
    verification_id, code = await service.request_code(PHONE)
    assert code != CODE
    assert (await service.verify(verification_id, code)).status_code == 200


@pytest.mark.parametrize("authorization", [f"Bearer {TOKEN}", TOKEN, BASIC, f"bearer  {TOKEN}"])
@pytest.mark.parametrize("path", ["kratos/courier", "keycloak/realm"])
async def test_accepted_secrets(hooked: RunningService, path: str, authorization: str) -> None:
    """The secret is a Bearer token, a Basic password, or the whole value of `Authorization`."""
    body = kratos_body() if path.startswith("kratos") else keycloak_json(KEYCLOAK_TEXT, token="")
    assert (await call_hook(hooked, path, body, authorization=authorization)).status_code == 200


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "key_missing"),
        ("Bearer", "key_invalid"),
        (f"Bearer {TOKEN}x", "key_invalid"),
        (f"Bearer {TOKEN[:-1]}", "key_invalid"),
        ("Bearer dev-key", "key_invalid"),
        ("Basic !!!", "key_invalid"),
        ("Basic bWU6MTIzNDU=", "key_invalid"),
        ("Basic \u00e9", "key_invalid"),
        ("Bearer \u00e9", "key_invalid"),
    ],
)
@pytest.mark.parametrize("path", ["kratos/courier", "keycloak/realm"])
async def test_refused_secrets(hooked: RunningService, path: str, authorization: str | None, code: str) -> None:
    """A missing or wrong secret is 401 before the body is read, also if the body is none."""
    for body in (kratos_body(), {}):
        assert_problem(await call_hook(hooked, path, body, authorization=authorization), 401, code)
    assert hooked.inbox.messages() == []


async def test_the_text_of_keycloak(hooked: RunningService) -> None:
    """The plugin posts JSON with its token inside; its code goes out in the tenant's text."""
    response = await call_hook(hooked, "keycloak/realm", keycloak_json(KEYCLOAK_TEXT), authorization=None)
    [message] = await messages(hooked, 1)
    assert response.json() == {"message_id": message.id}
    assert (message.to, CODE in message.text, "Demo" in message.text) == (PHONE, True, True)


async def test_the_form_of_keycloak(hooked: RunningService) -> None:
    """With `urlencode` the plugin posts a form."""
    assert (await post_form(hooked, keycloak_form(KEYCLOAK_TEXT))).status_code == 200
    [message] = await messages(hooked, 1)
    assert (message.to, CODE in message.text) == (PHONE, True)
    assert_problem(
        await post_form(hooked, keycloak_form(KEYCLOAK_TEXT).replace(b"token=", b"key=")), 401, "key_missing"
    )


async def test_keycloaks_own_text_and_names(hooked: RunningService) -> None:
    """With `text = "given"` the plugin's text goes out, from members with the configured names."""
    body = {"body": KEYCLOAK_TEXT, "msisdn": PHONE}
    assert (await call_hook(hooked, "keycloak/realm-text", body)).status_code == 200
    [message] = await messages(hooked, 1)
    assert message.text == KEYCLOAK_TEXT


@pytest.mark.parametrize(
    "body",
    [
        keycloak_json('a "quoted" 1234'),
        keycloak_json("no code"),
        keycloak_json("1234 or 5678"),
        keycloak_json(KEYCLOAK_TEXT, phone=""),
        keycloak_json(KEYCLOAK_TEXT + "x" * 480),
        b"[]",
        b"\xff",
        b'{"a":' * 2000,
    ],
)
async def test_a_body_without_number_or_code(hooked: RunningService, body: bytes) -> None:
    """What is no JSON object with a number and one code is 400, and nothing is sent."""
    response = await call_hook(hooked, "keycloak/realm", body)
    assert_problem(response, 400, "request_malformed", "errors")
    assert CODE not in response.text
    assert hooked.inbox.messages() == []


async def test_secrets_are_in_no_log(hooked: RunningService) -> None:
    """The log names the tenant and the hook, and holds neither secret, code nor number."""
    signed_in = keycloak_json(KEYCLOAK_TEXT, phone="+6281210100056")
    with captured_logs() as captured:
        await call_hook(hooked, "kratos/courier", kratos_body())
        await call_hook(hooked, "keycloak/realm", signed_in, authorization=None)
        await messages(hooked, 2)
    log = captured.getvalue()
    assert '"hook":"courier"' in log and '"route":"/v1/hooks/kratos/{name}"' in log
    assert not [secret for secret in (TOKEN, CODE, PHONE[1:], "81210100056") if secret in log]
