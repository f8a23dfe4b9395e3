"""`guard` shows counts and decisions and closes breakers; `simulate-traffic` prints what the rules stop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import Result
from redis import Redis

from otp_service.domain.guard import (
    GuardDecision,
    GuardFinding,
    GuardMode,
    GuardPolicy,
    GuardRequest,
    GuardRule,
    GuardSubject,
    GuardVerified,
    RecordedDecision,
)
from otp_service.domain.guard_counts import QuietCountries
from otp_service.domain.guard_report import MAX_DECISIONS
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.store.guard_calls import GuardBatch
from otp_service.store.guard_store import RedisGuard
from otp_service.store.keys import guard_decisions_key
from otp_service.store.topology import Topology, connect
from tests.cli.service_config import ConfigWriter
from tests.cli.test_config_commands import ran

POLICY = GuardPolicy(mode=GuardMode.OBSERVE)
FINDING = GuardFinding(GuardRule.SEQUENCE, "block", {"numbers": 11, "limit": 10}, 3_600_000)
DECISION = GuardDecision(1_800_000_000_000, GuardMode.OBSERVE, "acme", "ID", "+62812", False, (FINDING,))


def in_store(store: EmbeddedServer, action: Callable[[Topology], Awaitable[object]]) -> None:
    """Run an action on the store."""

    async def run() -> None:
        topology = connect(store.url)
        await action(topology)
        await topology.close()

    asyncio.run(run())


def subject(number: int) -> GuardSubject:
    """Return a request to an Indonesian number."""
    return GuardSubject("acme", "ID", "+62812", "b" * 22, f"{number:022}")


async def count(topology: Topology) -> None:
    """Count three messages, of which one is verified; record two kinds of decisions; open the breaker."""
    quiet = QuietCountries()
    for number in range(3):
        batch = GuardBatch(GuardRequest(subject(number), POLICY), quiet)
        counted = batch.read(await topology.send(batch.calls))
    assert counted is not None
    guard = RedisGuard(topology)
    at_ms = counted.figures.country.now_ms
    await guard.count_verified([GuardVerified(counted.request, at_ms, is_known=False, is_quiet=True)])
    await guard.record([RecordedDecision(DECISION, 1), RecordedDecision(DECISION, 7)])
    await guard.open_breaker("ID", POLICY, 600_000)


@pytest.fixture
def path(write_config: ConfigWriter, store: EmbeddedServer) -> Path:
    """Write a config, and put counts into the store."""
    in_store(store, count)
    return write_config(redis='[guard]\nmode = "deny"')


def guard(path: Path, store: EmbeddedServer, *words: str) -> Result:
    """Run `guard` in this process."""
    return ran("guard", "--config", str(path), *words, REDIS_URL=store.url)


def test_counts_decisions_and_breakers_are_shown(path: Path, store: EmbeddedServer) -> None:
    """One line for each scope that has counts, and the newest decisions first."""
    result = guard(path, store)

    assert result.exit_code == 0, result.stderr
    all_line, indonesia = [line.split() for line in result.stdout.splitlines()[1:3]]
    assert all_line[:4] == ["all", "3", "1", "33.3%"]
    assert indonesia[:4] == ["ID", "3", "1", "33.3%"]
    assert indonesia[6:8] == ["open", "until"]
    assert "sequence of block (numbers 11, limit 10)" in result.stdout
    decisions = [line.split() for line in result.stdout.splitlines() if "sequence of block" in line]
    assert [line[1] for line in decisions] == ["7", "1"]


def test_a_country_is_shown_by_hour_and_area(path: Path, store: EmbeddedServer) -> None:
    """`--country` adds its hours and areas; `--json` has the same figures."""
    result = guard(path, store, "--country", "id", "--decisions", "0")
    report = json.loads(guard(path, store, "--json").stdout)

    assert "+62812" in result.stdout
    assert "all" not in result.stdout
    new, known = report["scopes"]["ID"]["areas"]["+62812"]
    assert (new, known) == ({"sent": 3, "verified": 1}, {"sent": 0, "verified": 0})
    assert list(report["scopes"]["ID"]["hours"].values()) == [[new, known]]
    assert report["decisions"][0]["findings"] == [{"rule": "sequence", "level": "block", "numbers": 11, "limit": 10}]


def test_a_breaker_is_closed_by_hand(path: Path, store: EmbeddedServer) -> None:
    """It counts from zero, with an audit line; a country without any state has nothing to close."""
    closed = guard(path, store, "--close", "ID")
    nothing = guard(path, store, "--close", "SG")

    assert (closed.exit_code, closed.stdout) == (0, "ID: closed\n")
    assert '"action":"close_breaker"' in closed.stderr
    assert nothing.stdout == "SG: there was nothing to close\n"
    scopes = json.loads(guard(path, store, "--json").stdout)["scopes"]
    assert scopes["ID"]["breaker"]["open_until"] is None
    assert scopes["ID"]["breaker"]["probes"] == {"sent": 0, "verified": 0}


def test_a_breaker_is_opened_by_hand(path: Path, store: EmbeddedServer) -> None:
    """It is open for the seconds, whatever was counted, with an audit line that says for how long."""
    opened = guard(path, store, "--open", "sg", "--seconds", "60")
    breaker = json.loads(guard(path, store, "--country", "SG", "--json").stdout)["scopes"]["SG"]["breaker"]

    assert opened.exit_code == 0, opened.stderr
    assert opened.stdout == f"SG: open until {breaker['open_until']}\n"
    assert '"action":"open_breaker"' in opened.stderr
    assert '"seconds":60' in opened.stderr
    assert (breaker["reason"], breaker["cause"]) == ("operator", {"sent": 0, "verified": 0})
    assert "by operator, 0 of 0 probes verified" in guard(path, store, "--country", "SG").stdout


def test_an_unknown_country_is_refused(path: Path, store: EmbeddedServer) -> None:
    """Status 2, and what is allowed."""
    result = guard(path, store, "--close", "XX")

    assert (result.exit_code, result.stderr) == (
        2,
        '--close: "XX" is not a country; allowed: an ISO 3166 alpha-2 code, such as ID, or all\n',
    )


def test_the_list_of_decisions_is_bounded(path: Path, store: EmbeddedServer) -> None:
    """It keeps the newest thousand; one that cannot be read is left out."""

    async def record(topology: Topology) -> None:
        for _ in range(3):
            await RedisGuard(topology).record([RecordedDecision(DECISION, 1)] * (MAX_DECISIONS // 2))

    in_store(store, record)
    with Redis.from_url(store.url) as client:
        assert client.llen(guard_decisions_key()) == MAX_DECISIONS
        client.lpush(guard_decisions_key(), b"\xc1")
    assert len(json.loads(guard(path, store, "--json", "--decisions", "5").stdout)["decisions"]) == 4


def test_traffic_is_simulated(write_config: ConfigWriter) -> None:
    """The figures of each rule, of each kind of attack and of all rules; money is messages times the price."""
    words = ("simulate-traffic", "--days", "1", "--per-week", "500", "--attack", "sequential", "--price", "0.10")
    found = json.loads(ran(*words, "--json").stdout)
    table = ran(*words).stdout
    total = found["results"]["deny, all"]

    assert found["requested"]["sequential"] == total["attack_total"] == 285
    assert total["recall"] > 0.9
    assert float(total["saved"]) == pytest.approx(0.10 * total["attack_stopped"])
    assert {"observe, sequence", "observe, any rule", "deny, sequential"} <= set(found["results"])
    assert table.splitlines()[-1].startswith("deny, all")

    path = write_config(redis="[guard]\nsequence = '100/3600'\nunverified_block = 100000\nburst = 100000")
    loose = json.loads(ran(*words, "--json", "--config", str(path), REDIS_URL="redis://:x@127.0.0.1:1").stdout)
    assert loose["results"]["deny, all"]["recall"] < total["recall"]
