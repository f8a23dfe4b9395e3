"""The guard from the settings: the policy of each tenant, and the part of the use cases that records."""

from __future__ import annotations

from typing import Final

from otp_service.crypto.keyring import Keyring
from otp_service.domain.guard import BreakerPolicy, GuardMode, GuardPolicy
from otp_service.service.guard_admin import GuardAdmin
from otp_service.service.guard_recorder import GuardRecorder
from otp_service.settings import Settings
from otp_service.settings.guard_model import Guard, GuardModeName
from otp_service.store.guard_store import RedisGuard
from otp_service.store.topology import Topology

__all__ = ["build_guard", "build_guard_admin", "build_guard_policy"]

_NO_RULES: Final = ("mode", "operator_tenants", "breaker")


def build_guard_policy(guard: Guard, mode: GuardModeName | None = None) -> GuardPolicy:
    """Return the thresholds of the rules, in a tenant's own mode if it has one."""
    breaker = guard.breaker
    members = {name: getattr(guard, name) for name in guard.__struct_fields__ if name not in _NO_RULES}
    rules = BreakerPolicy(**{name: getattr(breaker, name) for name in breaker.__struct_fields__})
    return GuardPolicy(mode=GuardMode(mode or guard.mode), breaker=rules, **members)


def build_guard(settings: Settings, topology: Topology, keyring: Keyring) -> GuardRecorder:
    """Build the guard of one process."""
    policies = {name: build_guard_policy(settings.guard, one.policy.guard) for name, one in settings.tenants.items()}
    return GuardRecorder(RedisGuard(topology), keyring, policies)


def build_guard_admin(settings: Settings, topology: Topology) -> GuardAdmin:
    """Build what operators use. By default, the only tenant is the operator; several are not trusted by each other."""
    countries = {country for tenant in settings.tenants.values() for country in tenant.countries}
    only_one = tuple(settings.tenants) if len(settings.tenants) == 1 else ()
    operators = settings.guard.operator_tenants or only_one
    modes = {one.policy.guard or settings.guard.mode for one in settings.tenants.values()}
    policy = build_guard_policy(settings.guard)
    return GuardAdmin(RedisGuard(topology), policy, countries, operators, denies=GuardMode.DENY in modes)
