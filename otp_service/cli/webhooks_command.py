"""`webhooks`: show the endpoints and their last events, send events again, enable an endpoint, send a test event."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

from otp_service.bootstrap.webhook_setup import all_endpoints, build_webhook_queue
from otp_service.cli.options import config_option, fail, load_settings, use_store
from otp_service.cli.tables import align
from otp_service.domain.events import EndpointSummary, EventState, EventTarget, EventType, StoredEvent
from otp_service.observability.audit import CLI
from otp_service.providers.config_parsing import quoted
from otp_service.service.audited import audited
from otp_service.settings import Settings
from otp_service.store.topology import Topology
from otp_service.store.webhook_queue import RedisOperatorEvents
from otp_service.webhooks.endpoint import Endpoint

__all__ = ["webhooks"]

MAX_LISTED: Final = 1000
_ENDPOINT_HEADER: Final = ("ENDPOINT", "STATE", "WAITING", "FAILURES IN A ROW", "LAST RESULT", "AT")
_EVENT_HEADER: Final = ("ENDPOINT", "EVENT", "TYPE", "AT", "STATE", "ATTEMPTS", "LAST RESULT")
_KEY_HEADER: Final = ("ENDPOINT", "PUBLIC KEY")
_NONE: Final = "-"

endpoint_option = click.option(
    "--endpoint", required=True, metavar="NAME", help="The endpoint: tenant.name, or the name of the operator's."
)


@click.group()
def webhooks() -> None:
    """Show and operate the endpoints that get events.

    An endpoint that answered 410 is disabled: its events wait, for 84 hours at most, until it is enabled.
    """


@webhooks.command("list")
@config_option
@click.option("--endpoint", metavar="NAME", help="Only this endpoint.")
@click.option("--events", type=click.IntRange(0, MAX_LISTED), default=20, show_default=True, help="How many events.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def list_endpoints(config: str | None, endpoint: str | None, events: int, as_json: bool) -> None:
    """List the endpoints with their state, the last events of each, and the public keys that verify its signatures."""
    settings = load_settings(config)
    endpoints = [_endpoint(settings, endpoint)] if endpoint else all_endpoints(settings)
    names, keys = [one.name for one in endpoints], {one.name: one.public_keys for one in endpoints}

    async def read(topology: Topology) -> Mapping[str, EndpointSummary]:
        return await build_webhook_queue(settings, topology).summaries(names, max(events, 1))

    found = use_store(settings, read)
    shown = {name: summary.events[:events] for name, summary in found.items()}
    if as_json:
        listed = [_as_json(name, one, shown[name]) | {"public_keys": keys[name]} for name, one in found.items()]
        click.echo(json.dumps(listed, indent=1))
        return
    click.echo(align([_ENDPOINT_HEADER, *(_endpoint_cells(name, summary) for name, summary in found.items())]))
    if rows := [_event_cells(name, *one) for name, events_shown in shown.items() for one in events_shown]:
        click.echo("\n" + align([_EVENT_HEADER, *rows]))
    if key_rows := [(name, key) for name in names for key in keys[name]]:
        click.echo("\n" + align([_KEY_HEADER, *key_rows]))


@webhooks.command()
@config_option
@endpoint_option
@click.option("--event", "event_id", metavar="ID", help="One event, also one that still waits.")
@click.option("--since", metavar="TIME", help="All that ended since: 2026-11-27T10:00Z, or 90m, 12h, 3d ago.")
@click.option("--failed", is_flag=True, help="With --since: only events that were given up.")
def replay(config: str | None, endpoint: str, event_id: str | None, since: str | None, failed: bool) -> None:
    """Send events again, under their ids, with the whole schedule of attempts."""
    if (event_id is None) == (since is None) or (failed and since is None):
        fail("webhooks replay: give one of --event ID and --since TIME; --failed goes with --since.")
    settings = load_settings(config)
    name = _endpoint(settings, endpoint).name
    since_ms = int((_parse_since(since) if since else datetime.fromtimestamp(0, UTC)).timestamp() * 1000)
    states = [EventState.FAILED] if failed else [EventState.FAILED, EventState.DELIVERED]
    if event_id is not None:
        states.append(EventState.WAITING)

    async def send_again(topology: Topology) -> int:
        async with audited("webhook_replay", actor=CLI) as line:
            line.facts["endpoint"] = name
            count = await build_webhook_queue(settings, topology).replay(name, event_id or "", since_ms, states)
            line.facts["events"], line.result = count, "replayed"
            return count

    count = use_store(settings, send_again)
    if event_id is not None and not count:
        raise click.ClickException(f"{name}: no such event is kept.")
    click.echo(f"{name}: {count} {'event is' if count == 1 else 'events are'} sent again")


@webhooks.command()
@config_option
@endpoint_option
def enable(config: str | None, endpoint: str) -> None:
    """Enable an endpoint that answered 410, and end its pause."""
    settings = load_settings(config)
    name = _endpoint(settings, endpoint).name

    async def enable_it(topology: Topology) -> bool:
        async with audited("webhook_enable", actor=CLI) as line:
            line.facts["endpoint"] = name
            was_disabled = await build_webhook_queue(settings, topology).enable(name)
            line.result = "enabled" if was_disabled else "was_enabled"
            return was_disabled

    was_disabled = use_store(settings, enable_it)
    click.echo(f"{name}: enabled" if was_disabled else f"{name}: was enabled before")


@webhooks.command()
@config_option
@endpoint_option
def test(config: str | None, endpoint: str) -> None:
    """Send an event of the type `test` to an endpoint, through a running service."""
    settings = load_settings(config)
    target = EventTarget(_endpoint(settings, endpoint).name, frozenset({EventType.TEST}))
    key = secrets.token_urlsafe(12)

    async def emit(topology: Topology) -> None:
        await RedisOperatorEvents(topology, [target]).emit(EventType.TEST, key, {"message": "This is a test."})

    use_store(settings, emit)
    click.echo(f"{target.endpoint}: evt_t-{key} is sent as soon as the service runs; see `webhooks list`")


def _endpoint(settings: Settings, name: str) -> Endpoint:
    """Return an endpoint; the command ends with status 2 if there is none of that name."""
    found = {one.name: one for one in all_endpoints(settings)}
    if name not in found:
        fail(f"--endpoint: {quoted(name)} is not an endpoint; allowed: {', '.join(found) or 'none is configured'}")
    return found[name]


def _parse_since(text: str) -> datetime:
    units = {"m": 60, "h": 3600, "d": 86400}
    amount, unit = text[:-1], text[-1:]
    try:
        if unit in units and amount.isascii() and amount.isdecimal() and len(amount) < 6:
            return datetime.now(UTC) - timedelta(seconds=int(amount) * units[unit])
        at = datetime.fromisoformat(text)
    except ValueError:
        fail(f"--since: {quoted(text)} is not a time; allowed: 2026-11-27T10:00Z, or 90m, 12h, 3d")
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _state(summary: EndpointSummary) -> str:
    if summary.state.disabled_ms:
        return "disabled"
    return f"paused {-(-summary.state.paused_ms // 1000)} s" if summary.state.paused_ms else "enabled"


def _endpoint_cells(name: str, summary: EndpointSummary) -> tuple[str, ...]:
    state = summary.state
    result = (state.result or _NONE, _time(state.result_ms))
    return (name, _state(summary), str(summary.waiting), str(state.failures), *result)


def _event_cells(name: str, event_id: str, event: StoredEvent) -> tuple[str, ...]:
    result = event.result or _NONE
    return (name, event_id, event.type.value, _time(event.at_ms), event.state.value, str(event.attempts), result)


def _as_json(name: str, summary: EndpointSummary, events: Sequence[tuple[str, StoredEvent]]) -> dict[str, Any]:
    state = summary.state
    return {
        "endpoint": name,
        "disabled_at": _time(state.disabled_ms) if state.disabled_ms else None,
        "paused_seconds": state.paused_ms / 1000,
        "failures_in_a_row": state.failures,
        "waiting": summary.waiting,
        "last_result": state.result or None,
        "last_result_at": _time(state.result_ms) if state.result_ms else None,
        "events": [
            {
                "id": event_id,
                "type": event.type.value,
                "at": _time(event.at_ms),
                "verification_id": event.verification_id or None,
                "state": event.state.value,
                "attempts": event.attempts,
                "last_result": event.result or None,
                "last_attempt_at": _time(event.result_ms) if event.result_ms else None,
            }
            for event_id, event in events
        ],
    }


def _time(at_ms: int) -> str:
    if not at_ms:
        return _NONE
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
