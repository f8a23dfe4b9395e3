"""How the middleware finds the endpoint of a path in the routes of the application."""

from __future__ import annotations

import pytest
from litestar import Litestar, delete, get, post
from litestar.params import FromPath

from otp_service.api.endpoints import EndpointIndex, endpoint_rules
from tests.api.api_requests import VERIFICATIONS
from tests.log_capture import captured_logs
from tests.running_service import RunningService


@get("/fixed", opt=endpoint_rules(logged=False))
async def fixed() -> None:
    """Serve GET."""


@get("/things/{thing_id:str}", opt=endpoint_rules(label="/things/{id}", needs_store=True))
async def read_thing(thing_id: FromPath[str]) -> None:
    """Serve GET with a path parameter."""


@delete("/things/{thing_id:str}", opt=endpoint_rules(label="/things/{id}", needs_store=True))
async def delete_thing(thing_id: FromPath[str]) -> None:
    """Serve DELETE on the same path."""


@post("/reports", opt=endpoint_rules(serves_head=False))
async def post_report() -> None:
    """Serve POST."""


@get("/reports", opt=endpoint_rules(serves_head=False))
async def get_report() -> None:
    """Serve GET, with an effect."""


def test_the_rules_beside_a_handler_are_those_of_its_path() -> None:
    """The index returns label, methods and rules that the handlers of a path declare, and None for any other path."""
    app = Litestar([fixed, read_thing, delete_thing, post_report, get_report], openapi_config=None)
    endpoints = EndpointIndex(app.routes)
    found = {path: endpoints.match(path) for path in ("/fixed", "/things/7", "/reports")}
    assert {
        path: (it.label, set(it.methods), it.rules.logged, it.rules.needs_store) for path, it in found.items() if it
    } == {
        "/fixed": ("/fixed", {"GET", "HEAD", "OPTIONS"}, False, False),
        "/things/7": ("/things/{id}", {"GET", "HEAD", "DELETE", "OPTIONS"}, True, True),
        "/reports": ("/reports", {"GET", "POST", "OPTIONS"}, True, False),
    }
    assert [endpoints.match(path) for path in ("/", "/things", "/things/7/8", "/fixed/7")] == [None] * 4


def test_the_handlers_of_a_path_declare_the_same_rules() -> None:
    """Otherwise the middleware could not know which rules apply before Litestar has routed the request."""

    @get("/one", opt=endpoint_rules(needs_store=True))
    async def with_store() -> None: ...

    @post("/one", opt=endpoint_rules())
    async def without_store() -> None: ...

    with pytest.raises(ValueError, match="/one"):
        EndpointIndex(Litestar([with_store, without_store], openapi_config=None).routes)


LABELS = {
    "/livez": "/livez",
    "/.well-known/jwks.json": "/.well-known/jwks.json",
    "/v1/receipts/inbox": "/v1/receipts/{provider}",
    "/v1/receipts/inbox/token": "/v1/receipts/{provider}",
    VERIFICATIONS + "some-id": "/v1/verifications/{id}",
    "/v1/request-code": "/v1/request-code",
    "/dev/messages": "/dev/messages",
    "/schema": "other",
    "/nothing": "other",
}


async def test_the_label_of_a_route_holds_nothing_that_a_caller_sent(service: RunningService) -> None:
    """Metrics count each request under the template of its route, and under `other` where no route matches."""
    before = await _counted(service)
    for path in LABELS:
        await service.client.patch(path)
    after = await _counted(service)
    assert {label: int(after[label] - before.get(label, 0)) for label in set(LABELS.values())} == {
        **dict.fromkeys(LABELS.values(), 1),
        "other": 2,
        "/v1/receipts/{provider}": 2,
    }


async def test_what_machines_poll_is_not_logged(service: RunningService) -> None:
    """Probes, metrics and the list of messages are counted; every other request has its log line."""
    with captured_logs() as logs:
        for path in ("/livez", "/readyz", "/metrics", "/dev/messages", "/schema"):
            await service.client.get(path)
    assert [line for line in logs.getvalue().splitlines() if '"request"' in line] == [
        line for line in logs.getvalue().splitlines() if '"route":"other"' in line
    ]
    assert logs.getvalue().count('"route":"other"') == 1


async def _counted(service: RunningService) -> dict[str, float]:
    """Return how many requests the metrics have counted with status 405 or 404, by label of the route."""
    lines = (await service.client.get("/metrics")).text.splitlines()
    found: dict[str, float] = {}
    for line in lines:
        if line.startswith("otp_requests_total{") and ('status="405"' in line or 'status="404"' in line):
            label = line.split('route="', 1)[1].split('"', 1)[0]
            found[label] = found.get(label, 0.0) + float(line.rpartition(" ")[2])
    return found
