"""A budget: so many events in so many seconds, over a sliding window."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits", "Window"]


@dataclass(frozen=True, slots=True)
class Window:
    """At most `count` events in any span of `seconds`."""

    count: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Every named budget of design.md section 4; an empty tuple is no limit.

    `recipient` counts sends to one number over all tenants, `recipient_failures` wrong codes for one number and
    tenant, `client_ip` requests of one address (IPv6 by /64), `prefix` sends into one number block (the number
    less its last four digits), `country` sends to one country, `tenant` sends of one tenant.
    """

    recipient: tuple[Window, ...] = (Window(5, 3600), Window(10, 86400))
    recipient_failures: tuple[Window, ...] = (Window(20, 86400),)
    client_ip: tuple[Window, ...] = (Window(20, 3600),)
    prefix: tuple[Window, ...] = (Window(100, 3600),)
    country: tuple[Window, ...] = ()
    tenant: tuple[Window, ...] = ()
