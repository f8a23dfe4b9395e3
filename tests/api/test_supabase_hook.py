"""The receiver of Supabase's Send-SMS hook: signature, numbers, one text for each call, and errors for GoTrue."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from otp_service.domain.opt_out import OptOutAction
from tests.api.hook_calls import CODE, CONFIG, OLD_SECRET, PHONE, SECRET, call_supabase, messages, supabase_body
from tests.opt_out_changes import change_opt_out
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory
from tests.store_contents import dump_store

OTHER_SECRET = "v1,whsec_" + "A" * 43 + "="


@pytest.fixture
async def hooked(make_service: ServiceFactory) -> RunningService:
    """Start a service with hooks."""
    return await make_service(CONFIG)


async def test_the_code_of_supabase_is_sent(hooked: RunningService) -> None:
    """The tenant's text goes out with Supabase's code and the hook's validity, and the response is `{}`."""
    response = await call_supabase(hooked, supabase_body())
    assert (response.status_code, response.json()) == (200, {})
    assert response.headers["content-type"] == "application/json"
    [message] = await messages(hooked, 1)
    assert message.to == PHONE
    assert CODE in message.text and "Demo" in message.text and " 1 " in message.text


async def test_a_relayed_code_is_no_verification(hooked: RunningService) -> None:
    """verify-code does not know its id, also with the right code, and that counts as no wrong code."""
    await call_supabase(hooked, supabase_body())
    [message] = await messages(hooked, 1)
    for _ in range(6):
        assert_problem(await hooked.verify(message.id, CODE), 404, "verification_unknown")
    body = (await hooked.client.get(f"/v1/verifications/{message.id}")).json()
    assert (body["status"], body["attempts_left"], body["expires_in"]) == ("pending", 5, 60)
    assert body["deliveries"][0]["status"] == "sent"
    assert_problem(await hooked.caller("other").get(f"/v1/verifications/{message.id}"), 404, "verification_unknown")


async def test_one_text_for_each_call(hooked: RunningService) -> None:
    """A replay, and GoTrue's repetition under a new id, get 200 and no second text, also after the cooldown."""
    for webhook_id in ("a", "a", "b"):
        assert (await call_supabase(hooked, supabase_body(), webhook_id=webhook_id)).json() == {}
    await hooked.advance(299)
    assert (await call_supabase(hooked, supabase_body(), webhook_id="a")).json() == {}
    assert len(await messages(hooked, 1)) == 1


async def test_parallel_repetitions_are_one_text(hooked: RunningService) -> None:
    """Of twenty equal calls at once one sends; the others get its answer, or are to be repeated: no user sees that."""
    answers = await asyncio.gather(*(call_supabase(hooked, supabase_body()) for _ in range(20)))
    repeated = [answer for answer in answers if answer.status_code != 200]
    assert repeated and len(repeated) < 20
    for answer in repeated:
        assert_problem(answer, 503, "overloaded")
    assert all(answer.json() == {} for answer in answers if answer.status_code == 200)
    assert (await call_supabase(hooked, supabase_body())).json() == {}
    await messages(hooked, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"secrets": ()},
        {"secrets": (OTHER_SECRET,)},
        {"age": 301},
        {"age": -301},
        {"webhook_id": ""},
        {"Webhook-Id": "another"},
        {"Webhook-Timestamp": "now"},
    ],
)
async def test_a_call_that_is_not_authentic(hooked: RunningService, change: dict[str, Any]) -> None:
    """A missing or wrong signature, id or time is 401, and nothing is sent or stored."""
    before = await dump_store(hooked.store)
    response = await call_supabase(hooked, supabase_body(), **change)
    assert_problem(response, 401, "key_missing" if change.get("secrets") == () else "key_invalid")
    assert hooked.inbox.messages() == []
    assert await dump_store(hooked.store) == before


async def test_two_secrets_while_one_is_replaced(hooked: RunningService) -> None:
    """The previous secret is accepted, and a call that is signed with both."""
    assert (await call_supabase(hooked, supabase_body(), secrets=(OLD_SECRET,))).status_code == 200
    again = supabase_body("+6281210100056")
    assert (await call_supabase(hooked, again, secrets=(OTHER_SECRET, SECRET))).status_code == 200
    await messages(hooked, 2)


@pytest.mark.parametrize(
    ("body", "to"),
    [
        (supabase_body(phone="+6281210100057"), "+6281210100057"),
        (supabase_body(phone="6281210100057"), "+6281210100057"),
        (supabase_body(phone="+6281210100058", sms_type="phone_change", phone_=""), "+6281210100058"),
        ({"user": {"phone": "628121010005", "new_phone": "6281210100059"}, "sms": {"otp": CODE}}, "+628121010005"),
    ],
)
async def test_the_number(hooked: RunningService, body: dict[str, Any], to: str) -> None:
    """A number without `+` is an international one, whatever the tenant's country is."""
    body["sms"].pop("phone_", None)
    assert (await call_supabase(hooked, body)).json() == {}
    [message] = await messages(hooked, 1)
    assert message.to == to


@pytest.mark.parametrize("sms", [{"phone": "6281210100059"}, {"sms_type": "phone_change"}])
async def test_the_number_that_is_being_changed(hooked: RunningService, sms: dict[str, str]) -> None:
    """The code goes to the new number: `sms.phone`, or for older versions the user's `new_phone`."""
    body = {"user": {"phone": "6281210100055", "new_phone": "6281210100059"}, "sms": {"otp": CODE, **sms}}
    assert (await call_supabase(hooked, body)).json() == {}
    [message] = await messages(hooked, 1)
    assert message.to == "+6281210100059"


async def test_refusals_are_told_to_the_user(make_service: ServiceFactory) -> None:
    """What concerns the recipient is `error` under 200: GoTrue answers its user with that status and text."""
    service = await make_service(CONFIG)

    async def error_of(body: dict[str, Any]) -> int:
        response = await call_supabase(service, body)
        assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
        assert "retry-after" not in response.headers
        [(name, error)] = response.json().items()
        assert (name, set(error), len(error["message"]) > 10) == ("error", {"http_code", "message"}, True)
        return int(error["http_code"])

    assert (await call_supabase(service, supabase_body())).json() == {}
    assert await error_of(supabase_body(otp="543210")) == 429  # the cooldown
    assert await error_of(supabase_body(phone="+62215551234")) == 422  # a landline
    assert await error_of(supabase_body(phone="+628100")) == 422
    await service.advance(31)
    await change_opt_out(make_service.url, OptOutAction.OPT_OUT)
    assert await error_of(supabase_body(otp="543210")) == 403


async def test_without_a_route(make_service: ServiceFactory) -> None:
    """What may succeed later is 503 with `Retry-After`, which GoTrue repeats."""
    service = await make_service({**CONFIG, "routes": [{"country": "SG", "providers": ["inbox"]}]})
    assert_problem(await call_supabase(service, supabase_body()), 503, "no_route")


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"user": {}, "sms": {}},
        {"user": {"phone": None}, "sms": {"otp": CODE}},
        {"user": {"phone": PHONE}, "sms": {"otp": "abc123"}},
        {"user": {"phone": PHONE}, "sms": {"otp": 123456}},
        {"user": {"phone": "1" * 65}, "sms": {"otp": CODE}},
    ],
)
async def test_a_body_of_another_form(hooked: RunningService, body: Any) -> None:
    """A signed body without number or code is 400, and repeats nothing that was sent."""
    problem = assert_problem(await call_supabase(hooked, body), 400, "request_malformed", "errors")
    assert PHONE not in json.dumps(problem) and "123456" not in json.dumps(problem)


async def test_the_users_address_counts_where_it_is_configured(hooked: RunningService) -> None:
    """With `client_ip`, the address in `metadata` has the limit `client_ip`; without it, or if it is none, not."""
    for at, name in enumerate(("other-auth", "auth")):
        for last in range(3):
            body = supabase_body(phone=f"+62812101000{at}{last}")
            answer = (await call_supabase(hooked, body, name=name)).json()
            refused = name == "other-auth" and last == 2
            assert answer.get("error", {}).get("http_code") == (429 if refused else None)
    body = supabase_body(phone="+6281210100099")
    body["metadata"]["ip_address"] = "unknown"
    assert (await call_supabase(hooked, body, name="other-auth")).json() == {}


async def test_the_waiting_message_is_sealed(make_service: ServiceFactory) -> None:
    """While messages wait for their gateway, the store holds neither code nor number."""
    service = await make_service({**CONFIG, "providers": {"inbox": {"type": "inbox", "max_per_second": 0.05}}})
    for phone in (PHONE, "+6281210100056"):
        assert (await call_supabase(service, supabase_body(phone, otp="987654"))).json() == {}
    stored = b"".join(name + value for name, value in (await dump_store(service.store)).items())
    assert b":m:" in stored
    assert not [secret for secret in (b"987654", b"81210100056", b"81210100055") if secret in stored]


@pytest.mark.parametrize("path", ["supabase/none", "kratos/auth", "supabase/courier", "auth0/auth", "supabase"])
async def test_a_hook_that_is_not_configured(hooked: RunningService, path: str) -> None:
    """A name that no hook of the type has is 404."""
    response = await hooked.caller(None).post(f"/v1/hooks/{path}", json={})
    assert_problem(response, 404, "not_found")
