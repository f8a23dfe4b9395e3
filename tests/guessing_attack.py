"""An attacker who wants to guess one code for a number, and may do everything that the service allows, for two days.

It has keys of several tenants and calls from a new address each time. In every round it requests a code for each
purpose at each tenant, in another spelling of the number, and sends more wrong codes at once than there are attempts to
every verification it has. Then it moves the clock to the first second that some refusal names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import count, cycle
from typing import Any, Final, NamedTuple

import httpx

from otp_service.sandbox.dev_config import API_KEY
from tests.api.api_requests import REQUEST_CODE, VERIFY_CODE
from tests.config_parts import api_key, tenant
from tests.running_service import RunningService
from tests.store.replica_store import NOW_KEY

__all__ = ["DAY_SECONDS", "KEYS_BY_TENANT", "GuessingAttack", "attacked_config"]

DAY_SECONDS: Final = 86_400
PURPOSES: Final = ("login", "registration", "password_reset")
SPELLINGS: Final = ("0812-1010-0055", "+6281210100055", "6281210100055", "006281210100055", "+62 (0) 812 1010 0055")
KEYS_BY_TENANT: Final = {"demo": (API_KEY, "demo-app"), "acme": ("acme-app",)}
AT_ONCE: Final = 8
"""More than the attempts of any verification."""


def attacked_config(**config: Any) -> dict[str, Any]:
    """Return a config with the keys of the attacker: two of the tenant `demo`, one of `acme`."""
    scopes = ("request", "verify", "read", "server", "admin")
    demo = {"api_keys": [api_key(API_KEY, *scopes), api_key("demo-app", "request", "verify")]}
    acme = tenant(api_key("acme-app", "request", "verify"), policy=config.get("policy", {}))
    tenants = {"demo": {**demo, "policy": config.get("policy", {})}, "acme": acme}
    return {"tenants": tenants, "limits": config.get("limits", {})}


class _Target(NamedTuple):
    """A verification that may still compare codes."""

    tenant: str
    verification_id: str


class GuessingAttack:
    """The attack. `compared_ms` has the time of each code that was compared, by tenant."""

    def __init__(
        self,
        service: RunningService,
        *,
        spares_last: bool,
        tenants: Sequence[str] = (*KEYS_BY_TENANT,),
        logins_after: int = 0,
    ) -> None:
        """Attack `service`, whose clock is stopped.

        Args:
            service: The service with `attacked_config`.
            spares_last: Leave the last attempt of each verification, because a wait begins with it.
            tenants: Where the number is attacked.
            logins_after: Whenever this many codes were compared, wait until the owner of the number has logged in.
        """
        self._service = service
        self._tenants = tenants
        self._spares_last = spares_last
        self._logins_after = logins_after
        self._addresses: Iterator[str] = (f"198.51.{n // 250}.{n % 250}" for n in count())
        self._codes: Iterator[str] = (f"{n:06d}" for n in count())
        self._spellings = cycle(SPELLINGS)
        self._keys = {name: cycle(keys) for name, keys in KEYS_BY_TENANT.items()}
        self._targets: list[_Target] = []
        self._compared_at_login = 0
        self.compared_ms = {name: list[int]() for name in tenants}
        self.logins = 0

    async def run(self) -> None:
        """Attack until two days have passed."""
        start = now = int(await self._service.store.get(NOW_KEY))
        while now - start < 2 * DAY_SECONDS * 1000:
            waits = [wait for name in self._tenants for wait in await self._round(name, now)]
            now = await self._service.store.incrby(NOW_KEY, min(waits, default=1) * 1000)

    def most_in_a_day(self) -> int:
        """Return how many codes were compared at one tenant, at most, in any 86,400 seconds in a row."""
        return max(
            sum(last - DAY_SECONDS * 1000 < at <= last for at in times)
            for times in self.compared_ms.values()
            for last in times
        )

    async def _round(self, name: str, now: int) -> list[int]:
        """Request and guess at one tenant; return the waits that refusals name."""
        waits: list[int] = []
        for purpose in PURPOSES:
            if self._logins_after and len(self.compared_ms[name]) - self._compared_at_login >= self._logins_after:
                response = await self._log_in()
                if response.status_code != 200:
                    return [*waits, int(response.headers["retry-after"])]
            body = {"phone": next(self._spellings), "purpose": purpose}
            response = await self._call(name, REQUEST_CODE, body)
            if response.status_code == 202:
                self._targets.append(_Target(name, response.json()["verification_id"]))
                waits += await self._send_codes(now)
            else:
                waits.append(int(response.headers["retry-after"]))
        return waits

    async def _send_codes(self, now: int) -> list[int]:
        """Send codes to every verification at once, and drop those that compare none any more."""
        calls = [(target, self._send_codes_to(target)) for target in self._targets]
        answers = await asyncio.gather(*(call for _, call in calls))
        waits: list[int] = []
        self._targets = []
        for (target, _), responses in zip(calls, answers, strict=True):
            compared = sum(response.status_code in (200, 422) for response in responses)
            self.compared_ms[target.tenant] += [now] * compared
            waits += [int(one.headers["retry-after"]) for one in responses if one.status_code == 429]
            if all(response.status_code == 422 for response in responses) and not self._spares_last:
                self._targets.append(target)
        return waits

    async def _send_codes_to(self, target: _Target) -> Sequence[httpx.Response]:
        codes = [next(self._codes) for _ in range(4 if self._spares_last else AT_ONCE)]
        bodies = [{"verification_id": target.verification_id, "code": code} for code in codes]
        return await asyncio.gather(*(self._call(target.tenant, VERIFY_CODE, body) for body in bodies))

    async def _call(self, name: str, path: str, body: dict[str, str]) -> httpx.Response:
        async with self._service.caller(next(self._keys[name]), next(self._addresses)) as client:
            return await client.post(path, json=body)

    async def _log_in(self) -> httpx.Response:
        """Let the owner of the number log in, and return the response to the last call that this takes."""
        response = await self._service.request(purpose="login")
        if response.status_code == 202:
            verification_id = response.json()["verification_id"]
            response = await self._service.verify(verification_id, await self._service.code_of(verification_id))
            assert response.status_code == 200
            self._compared_at_login = len(self.compared_ms["demo"])
            self.logins += 1
        return response
