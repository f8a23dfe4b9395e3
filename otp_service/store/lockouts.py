"""Lock-outs in Redis: the scripts of a guess and of a request keep them, an operator ends them here."""

from __future__ import annotations

from otp_service.domain.results import SendPolicy, Unlocked
from otp_service.store.keys import Partition
from otp_service.store.pipelined_connection import ScriptCall
from otp_service.store.script_arguments import lockout_text, windows_text
from otp_service.store.scripts import script
from otp_service.store.topology import Topology

__all__ = ["RedisLockouts"]


class RedisLockouts:
    """`domain.ports.Lockouts` on any topology."""

    def __init__(self, topology: Topology) -> None:
        """Work through `topology`."""
        self._topology = topology

    async def unlock(self, partition: int, recipient: str, tenant: str, policy: SendPolicy) -> Unlocked:
        """Forget the recipient's wrong codes at the tenant; see the port."""
        slot = Partition(partition)
        keys = (slot.recipients + recipient, slot.lockout(tenant, recipient))
        args = (tenant, windows_text(policy.recipient_failures), lockout_text(policy.lockout))
        [reply] = await self._topology.send([ScriptCall(script("unlock"), keys, args)])
        return Unlocked(was_locked=reply[2] == b"1", failures=int(reply[1]))
