"""Fifty concurrent callers, each with a number and an idempotency key of its own.

A caller that gets no response retries with its key. Some end their verification during the delivery: they cancel it, or
submit the code as soon as a message arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.chaos.faulty_gateways import ErrorReporter
from tests.chaos.gateway_faults import AcceptedMessage
from tests.chaos.replica_processes import API_KEY

__all__ = ["LOST", "Caller", "CallerClient"]

LOST: Final = "lost"
"""No response: the connection was refused, or closed without one."""

RETRY_SECONDS: Final = 8.0
RETRY_INTERVAL_SECONDS: Final = 0.25
REQUEST_TIMEOUT_SECONDS: Final = 4.0


@dataclass(slots=True)
class Caller:
    """One caller.

    `responses` are the results of its requests: "202", `LOST`, or the error code. `ids` are the verification ids that
    it received: never more than one.
    """

    number: str
    key: str
    replica: int
    responses: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    @property
    def id(self) -> str:
        """The verification id that it received; "" if none."""
        return min(self.ids, default="")


class CallerClient:
    """Calls the replicas at `urls`; if one does not respond, the next one is called."""

    def __init__(self, urls: Sequence[str], count_event: Callable[[], None], report_error: ErrorReporter) -> None:
        """Call `count_event` for every 202, and `report_error` for a response that must not occur."""
        self._urls = urls
        self._count_event = count_event
        self._report_error = report_error
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {API_KEY}"},
            trust_env=False,
            timeout=REQUEST_TIMEOUT_SECONDS,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def request_code(self, caller: Caller, replica: int | None = None) -> str:
        """Request a code once; return the result."""
        body = {"phone": f"+{caller.number}", "purpose": "login"}
        index = caller.replica if replica is None else replica
        response = await self._call("POST", "/v1/request-code", index, body, caller.key)
        result = LOST if response is None else _code(response)
        if response is not None and response.status_code == 202:
            result = "202"
            caller.ids.add(response.json()["verification_id"])
            self._count_event()
        caller.responses.append(result)
        return result

    async def retry_until_accepted(self, caller: Caller) -> None:
        """Repeat the request with the same key until a 202 comes, for at most `RETRY_SECONDS`."""
        loop = asyncio.get_running_loop()
        until, index = loop.time() + RETRY_SECONDS, caller.replica
        while await self.request_code(caller, index) != "202" and loop.time() < until:
            index += 1
            await asyncio.sleep(RETRY_INTERVAL_SECONDS)

    async def cancel(self, caller: Caller) -> None:
        """Cancel the caller's verification."""
        response = await self._call_until_answered("DELETE", f"/v1/verifications/{caller.id}", None, "")
        if response.json()["status"] not in ("canceled", "expired"):
            self._report_error(f"{caller.id} was canceled, and is {response.json()['status']}")

    async def verify(self, verification_id: str, code: str) -> None:
        """Submit the code of a message before it expires; it must be correct."""
        body = {"verification_id": verification_id, "code": code}
        response = await self._call_until_answered("POST", "/v1/verify-code", body, f"verify {verification_id}")
        if response.status_code != 200:
            self._report_error(f"{verification_id}: the code of its message was answered with {_code(response)}")

    async def verify_when_message_arrives(
        self, caller: Caller, messages_to: Callable[[str], Sequence[AcceptedMessage]], seconds: float
    ) -> None:
        """Wait for a message and submit its code; do nothing if none arrives in time."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not (messages := messages_to(caller.number)) and loop.time() < until:
            await asyncio.sleep(0.05)
        if messages:
            await self.verify(caller.id, messages[-1].code)

    async def read(self, verification_id: str) -> dict[str, Any]:
        """Read a verification."""
        response = await self._call_until_answered("GET", f"/v1/verifications/{verification_id}", None, "")
        body: dict[str, Any] = response.json()
        if response.status_code != 200:
            self._report_error(f"{verification_id} cannot be read: {_code(response)}")
        return body

    async def _call_until_answered(self, method: str, path: str, body: Any, key: str) -> httpx.Response:
        """Call one replica after the other until one answers; 5xx and "in flight" do not count."""
        async with asyncio.timeout(3 * RETRY_SECONDS):
            index = 0
            while True:
                response = await self._call(method, path, index, body, key)
                if response is not None and response.status_code < 500 and not _in_flight(response):
                    return response
                index += 1
                await asyncio.sleep(RETRY_INTERVAL_SECONDS)

    async def _call(self, method: str, path: str, index: int, body: Any, key: str) -> httpx.Response | None:
        url = self._urls[index % len(self._urls)] + path
        try:
            return await self._client.request(method, url, json=body, headers={"Idempotency-Key": key} if key else {})
        except httpx.TransportError:
            return None


def _in_flight(response: httpx.Response) -> bool:
    return response.status_code == 409 and _code(response) == "idempotency_in_flight"


def _code(response: httpx.Response) -> str:
    return str(response.json().get("code", response.status_code))
