"""Budgets (so many events in so many seconds, over a sliding window), and the lock-out after wrong codes in a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["DEFAULT_LOCKOUT", "DISABLED_RETRY_MS", "Limits", "Lockout", "Window"]

DISABLED_RETRY_MS: Final = 86_400_000
"""Retry-After of a number that is disabled: it ends by an operator's unlock alone, so a client looks again in a day."""


@dataclass(frozen=True, slots=True)
class Window:
    """At most `count` events in any span of `seconds`."""

    count: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Lockout:
    """What wrong codes in a row do to one number at one tenant (NIST SP 800-63B-4, 3.2.2), until one is right.

    The first verification that ends `exhausted` makes request-code wait `first_seconds`; each further one doubles the
    wait, up to `longest_seconds`. `max_failures` wrong codes in a row, over any time, disable the number.
    """

    first_seconds: int = 30
    longest_seconds: int = 3600
    max_failures: int = 100


DEFAULT_LOCKOUT: Final = Lockout()


@dataclass(frozen=True, slots=True)
class Limits:
    """Every named budget of design.md section 4; an empty tuple is no limit.

    `recipient` counts sends to one number over all tenants, `recipient_failures` wrong codes for one number and
    tenant, `client_ip` requests of one address (IPv6 by /64), `verify_ip` codes that keys without the scope `server`
    check from one address (by default as many as the requests that `client_ip` allows have attempts), `prefix` sends
    into one number block (the number less its last four digits), `country` sends to one country, `tenant` sends of one
    tenant, `global_` (in the config and in answers `global`) all sends of all tenants.
    """

    recipient: tuple[Window, ...] = (Window(5, 3600), Window(10, 86400))
    recipient_failures: tuple[Window, ...] = (Window(20, 86400),)
    client_ip: tuple[Window, ...] = (Window(20, 3600),)
    verify_ip: tuple[Window, ...] = (Window(100, 3600),)
    prefix: tuple[Window, ...] = (Window(100, 3600),)
    country: tuple[Window, ...] = ()
    tenant: tuple[Window, ...] = ()
    global_: tuple[Window, ...] = ()
