"""What a config says and nothing acts on yet, or what it may not have meant.

A key that is read, checked and then ignored is a promise that is not kept, so the composition root names every one
at start. The table below is the only place that knows them: who makes a key act takes its line out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from otp_service.settings.gateways import Kedasms
from otp_service.settings.mistakes import Path, dotted
from otp_service.settings.texts import costly_texts
from otp_service.settings.tree import Settings

__all__ = ["NOT_SERVED", "UNUSED", "Unused", "cautions", "unused_keys"]

NOT_SERVED: Final = ("twilio", "vonage", "http")
"""Types of providers that are read and checked, and have no adapter yet."""


def _always(_: Any) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Unused:
    """Keys that nothing acts on: `*` in the path is any key or any place; only values that `when` lets pass."""

    path: str
    when: Callable[[Any], bool] = _always

    def matches(self, path: Path, value: Any) -> bool:
        """Tell whether it speaks of this key."""
        parts = self.path.split(".")
        return len(parts) == len(path) and all(map(_fits, parts, path)) and self.when(value)


def _fits(pattern: str, part: str | int) -> bool:
    return pattern in ("*", part)


def _not_served(provider: Any) -> bool:
    return isinstance(provider, Mapping) and provider.get("type") in NOT_SERVED


UNUSED: Final = (
    Unused("tenants.*.policy.currency"),
    Unused("providers.*", _not_served),
)


def unused_keys(document: Mapping[str, Any]) -> list[str]:
    """Name the keys of the raw `document` that nothing acts on, as dotted paths in its order.

    A table that is not acted on is named alone, without its keys. Never fails, whatever stands in the document.
    """
    return [dotted(path) for path in _unused(document, ())]


def _unused(value: Any, path: Path) -> Iterator[Path]:
    if any(line.matches(path, value) for line in UNUSED):
        yield path
        return
    for part, item in _children(value):
        yield from _unused(item, (*path, part))


def _children(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list | tuple):
        yield from enumerate(value)


def cautions(settings: Settings) -> list[str]:
    """Say, a line each, what is allowed but may not have been meant."""
    return [*_unrouted(settings), *_unreachable(settings), *costly_texts(settings)]


def _unrouted(settings: Settings) -> Iterator[str]:
    if not settings.routes:
        yield "routes: there is none, so every request will be answered with no_route"
        return
    routed = {target.name for route in settings.routes for target in route.providers}
    for name in settings.providers:
        if name not in routed:
            yield f"{dotted(('providers', name))}: no route names it"


def _unreachable(settings: Settings) -> Iterator[str]:
    for name, provider in settings.providers.items():
        if isinstance(provider, Kedasms) and settings.server.public_url is None:
            yield f"{dotted(('providers', name))}: without server.public_url no receipt can come: sent is its last word"
