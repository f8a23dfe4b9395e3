"""(c) Floods of refused requests: what each refusal costs, and what another tenant notices of a flood.

The cost is CPU time of one process that has no other caller, because otherwise the service delays refusals, and what
it does while it waits would be counted. For the second part, 300
connections with the API key of a mobile app send one kind of request, each as soon as its last answer has arrived,
while another tenant verifies numbers at a steady rate, each step timed from when it was due.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any, Final

import httpx

from otp_service.api.response_pacing import SHARED_SECONDS
from tests.bench.bare_routes import BODY, PATH, running_bare_server
from tests.bench.capacity import expect_only
from tests.bench.figures import Line, Options, quantile
from tests.bench.measured_server import Server
from tests.bench.service_stack import API_KEY, DEFAULT_HASH, FLOODING_KEY, Stack, running_stack

__all__ = ["floods"]

KINDS: Final = ("wrong", "unknown", "exhausted", "limited")
CALLERS: Final = 8
WRONG_CODES: Final = 1000
CODES_FOR_WRONG: Final = 220
"""Each allows five wrong codes, for the warm-up, too."""

DELIVERY_SECONDS: Final = 0.2
FLOODING_CONNECTIONS: Final = 300
FLOOD_BEGINS_SECONDS: Final = 2.0
HONEST_CYCLES_PER_SECOND: Final = 8.0
UNLIMITED: Final = "[limits]\nclient_ip = []\nverify_ip = []"
"""A flood from one address would meet these limits first."""


def floods(options: Options) -> Iterator[Line]:
    """(c) CPU of each refusal, then the times of another tenant beside a flood of them."""
    yield from _refusal_costs(options)
    yield from _beside_floods(options)


def _refusal_costs(options: Options) -> Iterator[Line]:
    seconds = options.seconds(2.0, 1.0)
    costs: dict[str, list[float]] = {kind: [] for kind in KINDS}
    bare = []
    with running_stack() as stack, running_bare_server("litestar") as litestar:
        requests = _constant_requests(stack, API_KEY)
        time.sleep(SHARED_SECONDS)  # after that without another caller, one process does not delay refusals
        for _ in range(options.rounds):
            bare.append(float(litestar.load(kind="post", path=PATH, body=BODY, seconds=seconds)["cpu_ms"]))
            for kind in KINDS:
                costs[kind].append(_refusal_cpu(stack, kind, requests, seconds))
    for kind in KINDS:
        target = None if kind == "wrong" else 0.35
        text = f"CPU of a refusal, {kind}" + (" (with the cheapest hash)" if kind == "wrong" else "")
        yield Line(name=f"c.{kind}", text=text, values=tuple(costs[kind]), unit="ms", at_most=target)
        ratios = tuple(cost / one for cost, one in zip(costs[kind], bare, strict=True))
        yield Line(
            name=f"c.{kind}_litestar", text=f"the same, {kind} : a request of a bare Litestar route", values=ratios
        )


def _refusal_cpu(stack: Stack, kind: str, requests: dict[str, dict[str, Any]], seconds: float) -> float:
    if kind == "wrong":
        job: dict[str, Any] = {"kind": "wrong", "count": WRONG_CODES, "prepared": CODES_FOR_WRONG}
        result = stack.load(callers=CALLERS, **job)
        expect_only(result, "wrong 422")
    else:
        result = stack.load(callers=CALLERS, seconds=seconds, **requests[kind])
        expect_only(result, "post 404", "post 410", "post 429")
    return float(result["cpu_ms"])


def _constant_requests(server: Server, key: str) -> dict[str, dict[str, Any]]:
    """Return the job of each refusal that is the same request every time; uses up one verification."""
    verify = "/v1/verify-code"
    attempt = {"verification_id": "A" * 23, "code": "123456"}
    unknown = {"kind": "post", "path": verify, "body": json.dumps(attempt)}
    limited = {"kind": "post", "path": "/v1/request-code", "body": BODY}
    exhausted = {**unknown, "body": json.dumps({**attempt, "verification_id": _exhausted_id(server, key)})}
    return {"unknown": unknown, "exhausted": exhausted, "limited": limited}


def _exhausted_id(server: Server, key: str) -> str:
    """Request a code and submit five wrong ones; return the id."""
    with server.start_load(count=1, callers=1) as gateway:
        gateway.wait_until_warm()
        with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False) as client:
            answer = client.post("/v1/request-code", json={"phone": "+6281210100077", "purpose": "login"})
            verification_id: str = answer.json()["verification_id"]
            for _ in range(5):
                client.post("/v1/verify-code", json={"verification_id": verification_id, "code": "0000000"})
        time.sleep(DELIVERY_SECONDS)
    return verification_id


def _beside_floods(options: Options) -> Iterator[Line]:
    """With two workers at the default cost: times without a flood and beside each, in turns."""
    kinds = ("unknown",) if options.is_short else KINDS
    seconds, rounds = options.seconds(6.0, 5.0), 1 if options.is_short else options.rounds
    ratios: dict[tuple[str, float], list[float]] = {(kind, q): [] for kind in kinds for q in (0.5, 0.99)}
    refused: dict[str, list[float]] = {kind: [] for kind in kinds}
    with running_stack(DEFAULT_HASH, workers=2, extra=UNLIMITED) as stack:
        requests = _constant_requests(stack, FLOODING_KEY)
        for _ in range(rounds):
            alone, _ = _honest(stack, seconds, None)
            for kind in kinds:
                times, share = _honest(stack, seconds, requests.get(kind, {"kind": "wrong"}))
                refused[kind].append(100 * share)
                for q in (0.5, 0.99):
                    ratios[kind, q].append(quantile(times, q) / quantile(alone, q))
    for kind in kinds:
        yield Line(
            name=f"c.{kind}_p99",
            text=f"p99 of another tenant beside a flood, {kind} : alone",
            values=tuple(ratios[kind, 0.99]),
            at_most=2.0,
        )
        yield Line(name=f"c.{kind}_p50", text="the same, p50", values=tuple(ratios[kind, 0.5]))
        yield Line(
            name=f"c.{kind}_refused",
            text="requests of the other tenant that were refused",
            unit="%",
            values=tuple(refused[kind]),
            at_most=0.0,
        )


def _honest(stack: Stack, seconds: float, flood: dict[str, Any] | None) -> tuple[list[float], float]:
    """Return the times of another tenant's requests in ms, and the share that was refused."""
    job = {"per_second": HONEST_CYCLES_PER_SECOND, "seconds": seconds, "callers": 4}
    with contextlib.ExitStack() as processes:
        # the gateway is in the process of this job: it runs before the flood begins and until after it has ended
        honest = processes.enter_context(stack.start_load(**job))
        honest.wait_until_warm()
        if flood is not None:
            flooding = {"key": FLOODING_KEY, "callers": FLOODING_CONNECTIONS, "seconds": 600.0, "gateway_port": 0}
            load = processes.enter_context(stack.start_load(**flooding, **flood, warm_up=FLOOD_BEGINS_SECONDS))
            load.wait_until_warm()
            load.measure()
        honest.measure()
        honest.wait_until_done()
        result = honest.result()
        if flood is not None:
            load.stop()
            load.wait_until_done()
            if not load.result()["count"]:
                raise RuntimeError(f"the flood {flood['kind']} got no answers")
    times: dict[str, list[float]] = result["times"]
    statuses: dict[str, int] = result["statuses"]
    good = sum(count for status, count in statuses.items() if status in ("request 202", "verify 200"))
    return times["request"] + times["verify"], 1 - good / sum(statuses.values())
