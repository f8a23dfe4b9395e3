"""`app` in request-code: the last line of the SMS is for the app that the caller names."""

from __future__ import annotations

from typing import Any

import msgspec

from otp_service.api.request_mapping import canonical_body
from otp_service.api.schemas import RequestCodeBody
from tests.config_parts import api_key, tenant
from tests.problem_assertions import assert_one_field_error, assert_problem
from tests.running_service import RunningService, ServiceFactory

APPS = {"web": {"domain": "login.example.com"}, "driver": {"hash": "FA+9qCX9VSu"}, "rider": {"hash": "a/b+c9dEfGh"}}


def with_apps(**changed: Any) -> dict[str, Any]:
    """Return a config in which the tenant `demo` has three apps."""
    return {"tenants": {"demo": {"apps": APPS, **changed}}}


async def test_each_app_reads_its_own_code(make_service: ServiceFactory) -> None:
    """Two Android apps and a web site of one tenant each get their line; a request without `app` gets none."""
    service = await make_service(with_apps())
    lines = {}
    for n, app in enumerate([*APPS, None]):
        verification_id, code = await service.request_code(f"0812-1010-001{n}", app=app)
        text = (await service.message_of(verification_id)).text
        body, _, line = text.partition("\n")
        assert body == f"Demo: kode masuk Anda {code}. Berlaku 5 menit. Jangan berikan kepada siapa pun."
        lines[app] = line.replace(code, "CODE")
    assert lines == {"web": "@login.example.com #CODE", "driver": "FA+9qCX9VSu", "rider": "a/b+c9dEfGh", None: ""}


async def test_an_unknown_app_is_refused(make_service: ServiceFactory) -> None:
    """Another tenant's app is as unknown as none; the error lists no app, and nothing is sent or counted."""
    other = tenant(api_key("other", "request"), apps={"admin": APPS["web"]})
    service = await make_service({"tenants": {"demo": {"apps": APPS}, "other": other}})
    for app in ("admin", "webb", "w"):
        response = await service.request(app=app)
        assert assert_one_field_error(response) == (
            "/app",
            "Send the name of an app that is configured for the tenant, or leave it out.",
        )
        assert not any(name in response.text for name in (*APPS, "admin", "example"))
    assert service.inbox.messages() == []
    assert (await service.request(app="web")).status_code == 202


async def test_only_an_sms_has_the_line(make_service: ServiceFactory) -> None:
    """By another channel `app` is accepted, and has no effect."""
    routes = [{"providers": ["inbox"]}, {"channel": "whatsapp", "providers": ["inbox"]}]
    policy = {"channels": ["sms", "whatsapp"]}
    service = await make_service({**with_apps(policy=policy), "routes": routes})
    verification_id, _ = await service.request_code(app="web", channel="whatsapp")
    assert "@" not in (await service.message_of(verification_id)).text


async def test_the_line_counts_for_the_price(make_service: ServiceFactory) -> None:
    """If one segment is left of the cap, a text that becomes two by the line is refused, and goes without it."""
    texts = {"id": {"default": "{brand}: {code}" + "x" * 130}}
    policy = {"daily_spend_cap": "1.5", "channels": ["sms"]}
    config = with_apps(templates=texts, policy=policy, apps={"web": APPS["web"]})
    routes = [{"providers": ["inbox"]}]
    priced = {"inbox": {"type": "inbox", "price": {"default": "1"}}}
    service = await make_service({**config, "routes": routes, "providers": priced})
    assert_problem(await service.request(app="web"), 429, "spend_cap_reached")
    assert (await service.request()).status_code == 202
    assert service.store is not None and await spent(service) == b"1000000"


async def spent(service: RunningService) -> bytes | None:
    """Wait for the message, and return what the tenant has spent today, in millionths."""
    while not service.inbox.messages():
        await service.client.get("/livez")
    spend: bytes | None = await service.store.hget("otp:t:demo:d", "spend")
    return spend


async def test_a_resent_code_names_its_own_app(make_service: ServiceFactory) -> None:
    """Under `reuse` the code is the same, and the line is that of the newest request."""
    service = await make_service(with_apps(policy={"resend": "reuse"}))
    _, code = await service.request_code(app="driver")
    await service.advance(31)
    verification_id, again = await service.request_code(app="web")
    assert again == code
    assert (await service.message_of(verification_id)).text.endswith(f"\n@login.example.com #{code}")


def test_the_fingerprint_of_a_body_without_app_is_the_same_as_before() -> None:
    """A replica of the version before, which does not know `app`, repeats the response under the same key."""
    sent = {"phone": "0812", "purpose": "login", "locale": "id"}
    body = msgspec.convert(sent, RequestCodeBody)
    before = (
        '{"channel":"sms","client_ip":null,"country":null,"decoy":false,"locale":"id","phone":"0812",'
        '"purpose":"login","reference":null}'
    )
    assert canonical_body(body) == before
    assert canonical_body(msgspec.structs.replace(body, app="web")) != before
