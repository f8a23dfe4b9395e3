"""The attacker's chance at each tenant of a configuration, and warnings where it is too high."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from otp_service.domain.guessing import (
    MAX_ATTEMPTS_PER_DAY,
    MAX_CHANCE_PER_DAY,
    GuessingBound,
    GuessingRules,
    guessing_bound,
)
from otp_service.providers.config_parsing import dotted_path
from otp_service.settings.model import Limits, Settings, Tenant

__all__ = ["guessing_bounds", "guessing_warnings"]


def guessing_bounds(settings: Settings) -> Mapping[str, GuessingBound]:
    """Return the bound of each tenant."""
    return {name: guessing_bound(_rules(tenant, settings.limits)) for name, tenant in settings.tenants.items()}


def guessing_warnings(settings: Settings) -> Iterator[str]:
    """Yield a line for each tenant whose numbers can be attacked more often than recommended."""
    for name, bound in guessing_bounds(settings).items():
        if not bound.is_acceptable:
            path, chance = dotted_path(("tenants", name, "policy")), bound.chance(bound.attempts)
            yield (
                f"{path}: {bound.attempts} attempts a day at one number guess a code with a chance of {chance:.0e}; "
                f"{MAX_ATTEMPTS_PER_DAY} attempts and {MAX_CHANCE_PER_DAY:.0e} should be the most"
            )


def _rules(tenant: Tenant, limits: Limits) -> GuessingRules:
    policy = tenant.policy
    return GuessingRules(
        code_length=policy.code_length,
        max_attempts=policy.max_attempts,
        max_failures=policy.max_consecutive_failures,
        recipient_failures=limits.recipient_failures,
        recipient=limits.recipient,
        cooldown_seconds=policy.resend_cooldown_seconds,
        max_sends=policy.max_sends,
        ttl_seconds=policy.ttl_seconds,
        purposes=len(tenant.purposes),
    )
