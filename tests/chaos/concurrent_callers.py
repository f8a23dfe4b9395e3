"""Who asks for codes: fifty callers, each with a number and an idempotency key of its own.

A caller whose answer never came asks again with its key, as it should. Some end their verification while it is being
delivered: they call it off, or type the code as soon as a text is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.chaos.faulty_gateways import Wrong
from tests.chaos.gateway_faults import Text
from tests.chaos.replica_processes import API_KEY

__all__ = ["LOST", "Ask", "Callers"]

LOST: Final = "lost"
"""No answer came: the connection was refused, or ended without one."""

AGAIN_SECONDS: Final = 8.0
PAUSE_SECONDS: Final = 0.25
PATIENCE_SECONDS: Final = 4.0


@dataclass(slots=True)
class Ask:
    """One caller. `answers` is what each of its requests got: "202", `LOST`, or the code of a refusal.

    `ids` are the verifications that it was told of: never more than one.
    """

    number: str
    key: str
    replica: int
    answers: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    @property
    def id(self) -> str:
        """Its verification, "" if it was told of none."""
        return min(self.ids, default="")


class Callers:
    """Calls the replicas at `urls`; one that does not answer is left for the next."""

    def __init__(self, urls: Sequence[str], beat: Callable[[], None], wrong: Wrong) -> None:
        """`beat` is called for every 202, `wrong` for an answer that nobody should get."""
        self._urls = urls
        self._beat = beat
        self._wrong = wrong
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {API_KEY}"},
            trust_env=False,
            timeout=PATIENCE_SECONDS,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()

    async def ask(self, ask: Ask, replica: int | None = None) -> str:
        """Ask for a code once: what came."""
        body = {"phone": f"+{ask.number}", "purpose": "login"}
        where = ask.replica if replica is None else replica
        response = await self._call("POST", "/v1/request-code", where, body, ask.key)
        answer = LOST if response is None else _code(response)
        if response is not None and response.status_code == 202:
            answer = "202"
            ask.ids.add(response.json()["verification_id"])
            self._beat()
        ask.answers.append(answer)
        return answer

    async def ask_again(self, ask: Ask) -> None:
        """Ask with the same key until a 202 comes, for a while."""
        loop = asyncio.get_running_loop()
        until, turn = loop.time() + AGAIN_SECONDS, ask.replica
        while await self.ask(ask, turn) != "202" and loop.time() < until:
            turn += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def cancel(self, ask: Ask) -> None:
        """Call a verification off."""
        response = await self._insist("DELETE", f"/v1/verifications/{ask.id}", None, "")
        if response.json()["status"] not in ("canceled", "expired"):
            self._wrong(f"{ask.id} was called off, and is {response.json()['status']}")

    async def verify(self, verification_id: str, code: str) -> None:
        """Type the code of a text while it lives: it has to be right."""
        body = {"verification_id": verification_id, "code": code}
        response = await self._insist("POST", "/v1/verify-code", body, f"type {verification_id}")
        if response.status_code != 200:
            self._wrong(f"{verification_id}: the code of its text was answered with {_code(response)}")

    async def verify_when_it_comes(self, ask: Ask, texts: Callable[[str], Sequence[Text]], seconds: float) -> None:
        """Wait for a text, and type its code; nothing if none comes in time."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not (found := texts(ask.number)) and loop.time() < until:
            await asyncio.sleep(0.05)
        if found:
            await self.verify(ask.id, found[-1].code)

    async def read(self, verification_id: str) -> dict[str, Any]:
        """Ask how a verification stands."""
        response = await self._insist("GET", f"/v1/verifications/{verification_id}", None, "")
        body: dict[str, Any] = response.json()
        if response.status_code != 200:
            self._wrong(f"{verification_id} cannot be read: {_code(response)}")
        return body

    async def _insist(self, method: str, path: str, body: Any, key: str) -> httpx.Response:
        """Call one replica after the other until one answers; 5xx and a call in flight are no answer."""
        async with asyncio.timeout(3 * AGAIN_SECONDS):
            turn = 0
            while True:
                response = await self._call(method, path, turn, body, key)
                if response is not None and response.status_code < 500 and not _in_flight(response):
                    return response
                turn += 1
                await asyncio.sleep(PAUSE_SECONDS)

    async def _call(self, method: str, path: str, turn: int, body: Any, key: str) -> httpx.Response | None:
        url = self._urls[turn % len(self._urls)] + path
        try:
            return await self._client.request(method, url, json=body, headers={"Idempotency-Key": key} if key else {})
        except httpx.TransportError:
            return None


def _in_flight(response: httpx.Response) -> bool:
    return response.status_code == 409 and _code(response) == "idempotency_in_flight"


def _code(response: httpx.Response) -> str:
    return str(response.json().get("code", response.status_code))
