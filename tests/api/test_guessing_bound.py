"""The attacker's chance: what `check-config --security` computes from a config is what an attacker gets in a day."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from otp_service.domain.guessing import GuessingBound
from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.settings import load
from otp_service.settings.guessing_report import guessing_bounds
from otp_service.store.scripts import override_clock
from tests.guessing_attack import GuessingAttack, attacked_config
from tests.running_service import CHEAP_HASH, ServiceFactory
from tests.store.replica_store import NOW_KEY, STILL_CLOCK

CONFIGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "many sends": {"limits": {"recipient": [], "prefix": [], "client_ip": []}},
    "two windows": {"limits": {"recipient_failures": ["3/3600", "40/86400"], "recipient": [], "prefix": []}},
    "disabled first": {"policy": {"max_consecutive_failures": 7}},
    "one attempt, long cooldown": {"policy": {"max_attempts": 1, "resend_cooldown_seconds": 3600}},
    "few sends": {"limits": {"recipient": ["2/86400"]}},
    "100 a day": {"limits": {"recipient_failures": ["100/86400"], "recipient": [], "prefix": []}},
}
EXACT = {"defaults", "many sends", "disabled first", "100 a day"}
"""Where an attacker gets all that the bound allows."""


@pytest.fixture(autouse=True)
def _still_clock() -> Iterator[None]:
    with override_clock(STILL_CLOCK):
        yield


async def stop_clock(make_service: ServiceFactory) -> None:
    """Stop the clock of the store at its time."""
    seconds, micros = await make_service.store.time()
    await make_service.store.set(NOW_KEY, int(seconds) * 1000 + int(micros) // 1000)


def bound_of(url: str, config: dict[str, Any]) -> GuessingBound:
    """Return the bound of the attacked tenant, from the settings that the service runs with."""
    settings = load(merged(merged(dev_config(url), {"hashing": CHEAP_HASH}), config), {}, plain_secrets=True)
    return guessing_bounds(settings)["demo"]


@pytest.mark.parametrize("name", CONFIGS)
async def test_a_day_of_guessing_stays_within_the_bound(make_service: ServiceFactory, name: str) -> None:
    """Whatever an attacker calls, no more codes are compared at a number in any day than the config promises."""
    config = attacked_config(**CONFIGS[name])
    bound = bound_of(make_service.url, config)
    assert bound.attempts <= 100
    assert bound.chance(bound.attempts) <= 1e-4
    found = []
    for spares_last in (False, True):
        await make_service.empty_store()
        await stop_clock(make_service)
        attack = GuessingAttack(await make_service(config), spares_last=spares_last)
        await attack.run()
        found.append(attack.most_in_a_day())
    assert max(found) <= bound.attempts
    if name in EXACT:
        assert max(found) == bound.attempts


async def test_logins_of_the_owner_do_not_give_more_than_the_sends(make_service: ServiceFactory) -> None:
    """A login clears the wrong codes, so an attacker gets more then, but only as many as the codes of a day have."""
    config = attacked_config()
    bound = bound_of(make_service.url, config)
    await stop_clock(make_service)
    attack = GuessingAttack(await make_service(config), spares_last=False, tenants=["demo"], logins_after=15)
    await attack.run()
    assert attack.logins >= 2
    assert bound.attempts < attack.most_in_a_day() <= bound.attempts_with_logins <= 100
