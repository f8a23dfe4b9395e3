"""`/v1/admin/guard`: what operators see of the guard and change, and which callers may."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.test_pumping_guard import guard, in_block, wait_until_recorded
from tests.config_parts import api_key, tenant
from tests.log_capture import captured_logs
from tests.problem_assertions import assert_common_headers, assert_problem
from tests.running_service import RunningService, ServiceFactory

GUARD = "/v1/admin/guard"
NO_COUNTS = {"sent": 0, "verified": 0}
CLOSED = {
    "state": "closed",
    "since": None,
    "until": None,
    "reason": None,
    "cause": NO_COUNTS,
    "probes": NO_COUNTS,
}


async def set_breaker(service: RunningService, scope: str, **body: Any) -> dict[str, Any]:
    """Set a breaker; return it."""
    response = await service.client.put(f"{GUARD}/{scope}/breaker", json=body)
    assert response.status_code == 200, response.text
    assert_common_headers(response)
    found: dict[str, Any] = response.json()
    return found


async def test_an_operator_sees_conversion_and_decisions(make_service: ServiceFactory) -> None:
    """By country, hour and area, without a number; a country without messages has empty counts."""
    service = await make_service(guard("deny", sequence="2/3600"))
    for number in range(3):
        await service.request(in_block(number))
    await wait_until_recorded(service)
    response = await service.client.get(GUARD)
    assert_common_headers(response)
    overview = response.json()
    indonesia = (await service.client.get(f"{GUARD}/id")).json()
    empty = (await service.client.get(f"{GUARD}/SG")).json()

    assert [one["scope"] for one in overview["scopes"]] == ["all", "ID"]
    [_, one] = overview["scopes"]
    assert one["new"] == {"sent": 2, "verified": 0}
    assert (one["known"], one["breaker"]["state"], one["observed_breaker"]) == (NO_COUNTS, "closed", CLOSED)
    [decision] = overview["decisions"]
    assert (decision["tenant"], decision["country"], decision["area"]) == ("demo", "ID", "+62812")
    assert (decision["count"], decision["mode"], decision["denied"], decision["known"]) == (1, "deny", True, False)
    [finding] = decision["findings"]
    assert (finding["rule"], finding["level"], finding["figures"]["numbers"]) == ("sequence", "block", 3)
    assert {name: indonesia[name] for name in one} == one
    assert indonesia["areas"] == [{"area": "+62812", "new": one["new"], "known": NO_COUNTS}]
    [hour] = indonesia["hours"]
    assert (hour["new"], hour["known"], hour["at"][-7:]) == (one["new"], NO_COUNTS, ":00:00Z")
    assert indonesia["decisions"] == overview["decisions"]
    assert empty == {
        "scope": "SG",
        "breaker": CLOSED,
        "observed_breaker": CLOSED,
        "new": NO_COUNTS,
        "known": NO_COUNTS,
        "hours": [],
        "areas": [],
        "decisions": [],
    }


async def test_an_operator_opens_and_closes_a_breaker(make_service: ServiceFactory) -> None:
    """Requests for codes are denied from then on and no longer; each change has an audit line with its actor."""
    service = await make_service(guard("deny"))
    with captured_logs() as log:
        opened = await set_breaker(service, "ID", state="open", seconds=120)
        denied = await service.request()
        closed = await set_breaker(service, "ID", state="closed")
    accepted = await service.request()

    assert (opened["state"], opened["reason"]) == ("open", "operator")
    assert opened["since"] < opened["until"]
    assert (denied.status_code, denied.json()["limit"]) == (429, "guard")
    assert (closed["state"], closed["until"], closed["reason"]) == ("closed", None, None)
    assert accepted.status_code == 202
    lines = [line for line in log.getvalue().splitlines() if "_breaker" in line]
    assert ['"action":"open_breaker"' in line for line in lines] == [True, False]
    assert all('"tenant":"demo"' in line and '"scope":"ID"' in line for line in lines)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"state": "half-open"}, "/state"),
        ({"state": "open", "seconds": 59}, "/seconds"),
        ({"state": "open", "seconds": 86_401}, "/seconds"),
        ({"state": "closed", "seconds": 60}, "/seconds"),
        ({"state": "open", "seconds": 1e3}, "/seconds"),
        ({"state": "open", "seconds": 10**400}, "/seconds"),
        ({"seconds": 60}, "/state"),
    ],
)
async def test_a_malformed_change_is_refused(service: RunningService, body: dict[str, Any], pointer: str) -> None:
    """400 with the member, and nothing is changed."""
    response = await service.client.put(f"{GUARD}/ID/breaker", json=body)

    problem = assert_problem(response, 400, "request_malformed", "errors")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert (await service.client.get(f"{GUARD}/ID")).json()["breaker"] == CLOSED


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (guard("deny", breaker={"conversion": 0}), "`conversion`"),
        (guard("observe"), "`mode = "),
        (guard("off"), "`mode = "),
    ],
)
async def test_a_breaker_without_effect_is_not_opened(
    make_service: ServiceFactory, config: dict[str, Any], key: str
) -> None:
    """If an open breaker would stop nothing, 400 says what to change, and the audit log has the refusal."""
    service = await make_service(config)
    with captured_logs() as log:
        response = await service.client.put(f"{GUARD}/ID/breaker", json={"state": "open"})

    assert key in assert_problem(response, 400, "request_malformed", "errors")["detail"]
    [line] = [line for line in log.getvalue().splitlines() if '"action":"open_breaker"' in line]
    assert '"result":"request_malformed"' in line
    assert (await service.client.get(f"{GUARD}/ID")).json()["breaker"] == CLOSED


async def test_one_tenant_that_denies_has_breakers(make_service: ServiceFactory) -> None:
    """The mode of a tenant counts before that of the service."""
    service = await make_service(guard("observe") | {"tenants": {"demo": {"policy": {"guard": "deny"}}}})

    assert (await set_breaker(service, "ID", state="open"))["state"] == "open"


async def test_an_unknown_country_has_no_breaker(service: RunningService) -> None:
    """404 for what is neither a country nor `all`."""
    unknown = ("XX", "%2B62812", "%C3%9F", "%C4%B1d")  # the last two are SS and ID in upper case
    for method, path in (("PUT", f"{GUARD}/XX/breaker"), *(("GET", f"{GUARD}/{text}") for text in unknown)):
        response = await service.client.request(method, path, json={"state": "closed"} if method == "PUT" else None)
        assert_problem(response, 404, "not_found")


async def test_only_the_operators_tenant_may_use_the_guard(make_service: ServiceFactory) -> None:
    """A breaker stops all tenants: with several, no key may use it unless `operator_tenants` lists its tenant."""
    tenants = {"acme": tenant(api_key("acme-admin", "admin")), "ops": tenant(api_key("ops-admin", "admin", "read"))}
    calls: list[tuple[str, str, dict[str, str] | None]] = [
        ("GET", GUARD, None),
        ("GET", f"{GUARD}/ID", None),
        ("PUT", f"{GUARD}/ID/breaker", {"state": "closed"}),
    ]
    for operators, allowed in (([], set()), (["ops"], {"ops-admin"})):
        service = await make_service({"tenants": tenants, "guard": {"mode": "deny", "operator_tenants": operators}})
        for key in ("acme-admin", "ops-admin"):
            for method, path, body in calls:
                response = await service.caller(key).request(method, path, json=body)
                if key in allowed:
                    assert response.status_code == 200, response.text
                else:
                    assert "operator_tenants" in assert_problem(response, 403, "scope_missing")["detail"]


async def test_a_key_needs_the_scope_admin(make_service: ServiceFactory) -> None:
    """Other scopes of the operator's tenant do not suffice."""
    tenants = {"ops": tenant(api_key("app", "request", "verify", "read", "server"))}
    service = await make_service({"tenants": tenants, "guard": {"operator_tenants": ["ops"]}})
    response = await service.caller("app").get(GUARD)

    assert "`admin`" in assert_problem(response, 403, "scope_missing")["detail"]
    assert_problem(await service.caller(None).get(GUARD), 401, "key_missing")
