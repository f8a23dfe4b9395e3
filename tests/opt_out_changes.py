"""Opt-outs by hand, in the store of a service whose config has `shared_keys()`."""

from __future__ import annotations

import time
from typing import Final

from otp_service.crypto.keyring import Keyring
from otp_service.domain.opt_out import OptOutAction
from otp_service.domain.phone import parse
from otp_service.service.opt_out_directory import OptOutDirectory
from otp_service.store.keys import ALL_PARTITIONS, PARTITIONS
from otp_service.store.opt_outs import OPT_OUT_MS, RedisOptOuts
from otp_service.store.topology import connect
from tests.running_service import NUMBER, RunningService

KEYRING: Final = Keyring({"shared": bytes(32)}, current="shared", index="shared")
"""The keys of `tests.config_parts.shared_keys`."""


async def change_opt_out(url: str, action: OptOutAction, phone: str = NUMBER) -> bool:
    """Opt a number out or in; return whether that changed something."""
    topology = connect(url)
    try:
        return await OptOutDirectory(RedisOptOuts(topology), KEYRING).change(parse(phone, "ID"), action, actor="test")
    finally:
        await topology.close()


async def opt_out_in_store(service: RunningService) -> None:
    """Opt the number out with the client of a service's store."""
    e164 = parse(NUMBER, "ID").e164
    key = ALL_PARTITIONS[KEYRING.partition_for("partition", e164, PARTITIONS)].opted_out
    await service.store.zadd(key, {KEYRING.keyed_hash("recipient", e164): OPT_OUT_MS + int(time.time() * 1000)})
    await service.store.pexpire(key, OPT_OUT_MS)
