"""Rate limits over sliding windows, and the lockout after wrong codes in a row."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

__all__ = ["DEFAULT_LOCKOUT", "DISABLED_RETRY_MS", "Limits", "LockKind", "Lockout", "RateLimit", "SendPolicy", "Window"]

DISABLED_RETRY_MS: Final = 86_400_000
"""Retry-After of a disabled number. Only an operator's unlock ends it, so clients should not retry sooner."""


class Window(msgspec.Struct, frozen=True):
    """At most `count` events in any span of `seconds`."""

    count: int
    seconds: int


class RateLimit(msgspec.Struct, frozen=True):
    """One event to count: the name of the limit, the keyed hash of what it counts, and its windows.

    `is_own`: the caller uses the limit alone, so it may know what is left.
    """

    limit: str
    keyed_hash: str
    windows: tuple[Window, ...]
    is_own: bool = False


class Lockout(msgspec.Struct, frozen=True):
    """What consecutive wrong codes do to one number at one tenant (NIST SP 800-63B-4, 3.2.2). A correct code resets it.

    After the first verification that ends `exhausted`, request-code is refused for `first_seconds`. Each further one
    doubles the wait, up to `longest_seconds`. After `max_failures` consecutive wrong codes the number is disabled.
    """

    first_seconds: int = 30
    longest_seconds: int = 3600
    max_failures: int = 100


DEFAULT_LOCKOUT: Final = Lockout()


class LockKind(StrEnum):
    """How wrong codes lock a recipient at a tenant.

    `wait`: request-code is refused for some time after an exhausted verification. `failures`: the limit
    `recipient_failures` is reached. `disabled`: too many wrong codes in a row; only an operator can unlock the number.
    """

    WAIT = "wait"
    FAILURES = "failures"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class SendPolicy:
    """What a tenant allows for one recipient: sends, and wrong codes.

    `reuse`: a code is sent again while it is valid, instead of a new one.
    """

    cooldown_seconds: int
    max_sends: int
    ttl_seconds: int
    recipient: tuple[Window, ...]
    recipient_failures: tuple[Window, ...]
    reuse: bool = False
    lockout: Lockout = DEFAULT_LOCKOUT


class Limits(msgspec.Struct, frozen=True):
    """All named rate limits. An empty tuple means no limit.

    Attributes:
        recipient: Sends to one number or address, for all tenants together.
        recipient_failures: Wrong codes for one number or address at one tenant.
        client_ip: Requests for a code from one address (IPv6: its /64).
        verify_ip: Codes checked from one address by API keys without the scope `server`. The default allows all
            attempts of the requests that `client_ip` allows.
        publishable_client_ip: Requests for a code with publishable API keys from one address, besides `client_ip`.
        publishable_verify_ip: Codes checked with publishable API keys from one address, instead of `verify_ip`. The
            default allows all attempts of the requests that `publishable_client_ip` allows.
        publishable_key: Requests for a code with one publishable API key.
        email_domain: Sends to the addresses of one domain.
        prefix: Sends to one number block: the number without its last four digits.
        country: Sends to one country.
        tenant: Sends of one tenant.
        global_: All sends of all tenants; `global` in the config and in responses.
    """

    recipient: tuple[Window, ...] = (Window(5, 3600), Window(10, 86400))
    recipient_failures: tuple[Window, ...] = (Window(20, 86400),)
    client_ip: tuple[Window, ...] = (Window(20, 3600),)
    verify_ip: tuple[Window, ...] = (Window(100, 3600),)
    publishable_client_ip: tuple[Window, ...] = (Window(5, 3600),)
    publishable_verify_ip: tuple[Window, ...] = (Window(25, 3600),)
    publishable_key: tuple[Window, ...] = (Window(1000, 3600),)
    prefix: tuple[Window, ...] = (Window(100, 3600),)
    email_domain: tuple[Window, ...] = ()
    country: tuple[Window, ...] = ()
    tenant: tuple[Window, ...] = ()
    global_: tuple[Window, ...] = ()
