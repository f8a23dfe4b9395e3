"""The uses of captcha tokens in Redis: one key for each accepted token, with the request that used it."""

from __future__ import annotations

from typing import Final

from otp_service.domain.captcha import CaptchaUse
from otp_service.store.keys import used_key
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.topology import Topology

__all__ = ["RedisCaptchaUses"]

_USES: Final = {
    b"unused": CaptchaUse.UNUSED,
    b"first": CaptchaUse.UNUSED,
    b"same": CaptchaUse.SAME,
    b"other": CaptchaUse.OTHER,
}


class RedisCaptchaUses:
    """`domain.captcha.CaptchaUses` on any topology."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    async def use_of(self, token_hash: str, request: str) -> CaptchaUse:
        """Read the use; see the port."""
        return await self._call(ScriptCall(script("use_of"), (used_key(token_hash),), (request,)))

    async def mark_used(self, token_hash: str, request: str, seconds: int) -> CaptchaUse:
        """Use the token, in one step; see the port."""
        return await self._call(ScriptCall(script("mark_used"), (used_key(token_hash),), (request, seconds * 1000)))

    async def _call(self, call: ScriptCall) -> CaptchaUse:
        [reply] = await self._topology.send([call])
        return _USES[reply[0]]
