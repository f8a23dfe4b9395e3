"""`simulate-traffic`: what the guard would stop of synthetic attacks, and of the legitimate traffic around them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import click

from otp_service.bootstrap.guard_setup import build_guard_policy
from otp_service.cli.options import config_option, load_config
from otp_service.cli.tables import align
from otp_service.domain.guard import GuardPolicy
from otp_service.sandbox.guard_simulation import Replay, Score, Simulation, score, simulate
from otp_service.sandbox.synthetic_traffic import ATTACKS, HONEST

__all__ = ["simulate_traffic"]

MAX_PRICE = 100.0
_HEADER = ("", "ATTACK STOPPED", "OF", "RECALL", "HONEST DENIED", "OF", "SHARE", "PRECISION", "SAVED")


@click.command("simulate-traffic")
@config_option
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Equal seeds make equal traffic.")
@click.option("--days", type=click.IntRange(1, 14), default=7, show_default=True, help="How many days are attacked.")
@click.option(
    "--per-week",
    type=click.IntRange(100, 200_000),
    default=20_000,
    show_default=True,
    help="Honest people who request a code in a week.",
)
@click.option(
    "--attack",
    "kinds",
    type=click.Choice(list(ATTACKS)),
    multiple=True,
    help="A kind of attack; may be repeated. Default: all.",
)
@click.option(
    "--price", type=click.FloatRange(0, MAX_PRICE), default=0.05, show_default=True, help="The price of one message."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def simulate_traffic(
    config: str | None, seed: int, days: int, per_week: int, *, kinds: tuple[str, ...], price: float, as_json: bool
) -> None:
    """Replay synthetic attacks over honest traffic through the rules of the guard.

    Nothing is sent, and no store is used: the rules of the service check seven days of honest traffic alone, and then
    attacks beside it. The table has what each rule would have found while everything was sent (`observe`), and what
    all of them stop in `deny`, by kind of attack. The thresholds are those of `[guard]` in the config, if one is given.
    """
    policy = build_guard_policy(load_config(config).guard) if config else GuardPolicy()
    found = simulate(policy, seed=seed, days=days, per_week=per_week, kinds=kinds or tuple(ATTACKS))
    rows = [
        *((f"observe, {rule.value}", score(found.observed.requested, by)) for rule, by in found.observed.found.items()),
        ("observe, any rule", _total(found.observed)),
        *((f"deny, {kind}", _of_kind(found.denied, kind)) for kind in found.denied.requested if kind != HONEST),
        ("deny, all", _total(found.denied)),
    ]
    unit = Decimal(str(price))
    click.echo(_as_json(rows, unit, found) if as_json else _as_table(rows, unit))


def _total(replay: Replay) -> Score:
    return score(replay.requested, replay.stopped)


def _of_kind(replay: Replay, kind: str) -> Score:
    """Return the score of one kind of attack; the denials of honest people cannot be attributed to one kind."""
    return replace(score(replay.requested, replay.stopped, kind), honest_stopped=0, honest_total=0)


def _as_table(rows: Sequence[tuple[str, Score]], price: Decimal) -> str:
    cells = [
        (
            name,
            str(one.attack_stopped),
            str(one.attack_total),
            f"{one.recall:.3f}",
            *_honest_cells(one),
            f"{price * one.attack_stopped:.2f}",
        )
        for name, one in rows
    ]
    return align([_HEADER, *cells])


def _honest_cells(one: Score) -> tuple[str, ...]:
    if not one.honest_total:
        return ("-",) * 4
    return (str(one.honest_stopped), str(one.honest_total), f"{one.honest_share:.2%}", f"{one.precision:.3f}")


def _as_json(rows: Sequence[tuple[str, Score]], price: Decimal, found: Simulation) -> str:
    body: dict[str, Any] = {
        "requested": dict(found.denied.requested),
        "price": str(price),
        "known_denied": found.denied.known_stopped,
        "results": {
            name: {
                "attack_stopped": one.attack_stopped,
                "attack_total": one.attack_total,
                "recall": round(one.recall, 4),
                "honest_denied": one.honest_stopped,
                "honest_total": one.honest_total,
                "precision": round(one.precision, 4),
                "saved": str(price * one.attack_stopped),
            }
            for name, one in rows
        },
    }
    return json.dumps(body, indent=1)
