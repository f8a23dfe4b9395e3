"""The guard from the settings: the policy of each tenant, and the part of the use cases that records."""

from __future__ import annotations

from otp_service.crypto.keyring import Keyring
from otp_service.domain.guard import BreakerPolicy, GuardMode, GuardPolicy
from otp_service.service.guard_recorder import GuardRecorder
from otp_service.settings import Settings
from otp_service.settings.guard_model import Guard, GuardModeName
from otp_service.store.guard_store import RedisGuard
from otp_service.store.topology import Topology

__all__ = ["build_guard", "build_guard_policy"]


def build_guard_policy(guard: Guard, mode: GuardModeName | None = None) -> GuardPolicy:
    """Return the thresholds of the rules, in a tenant's own mode if it has one."""
    breaker = guard.breaker
    members = {name: getattr(guard, name) for name in guard.__struct_fields__ if name not in ("mode", "breaker")}
    rules = BreakerPolicy(**{name: getattr(breaker, name) for name in breaker.__struct_fields__})
    return GuardPolicy(mode=GuardMode(mode or guard.mode), breaker=rules, **members)


def build_guard(settings: Settings, topology: Topology, keyring: Keyring) -> GuardRecorder:
    """Build the guard of one process."""
    policies = {name: build_guard_policy(settings.guard, one.policy.guard) for name, one in settings.tenants.items()}
    return GuardRecorder(RedisGuard(topology), keyring, policies)
