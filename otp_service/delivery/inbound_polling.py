"""Reads the inboxes of gateways that do not push inbound messages.

In each interval one replica reads an inbox: it holds a lease in the store. The lease only avoids useless calls; that a
message is handled once does not depend on it (see `inbound`). An inbox is read from where the last reading ended, less
an overlap for messages that the gateway lists late, in pages of the gateway's size and a bounded number of them.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from otp_service.delivery.inbound import InboundHandler
from otp_service.delivery.outbox_writer import lease_ms
from otp_service.delivery.provider_calls import call_safely
from otp_service.domain.errors import Refused
from otp_service.domain.message import InboundMessage
from otp_service.domain.outcomes import Outcome
from otp_service.domain.ports import InboundCursors
from otp_service.observability import LOG
from otp_service.providers.base import InboundProvider, Provider

__all__ = ["InboundPoller"]

MAX_PAGES: Final = 10
"""Pages that one reading takes at most; the next one continues."""

OVERLAP_SECONDS: Final = 300
TOKEN_BYTES: Final = 12


class InboundPoller:
    """Polls the inboxes of providers, from `start` to `stop`."""

    def __init__(
        self,
        cursors: InboundCursors,
        handler: InboundHandler,
        providers: Mapping[str, Provider],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Poll those of `providers` whose inbox is to be polled; `clock` returns Unix seconds."""
        self._cursors = cursors
        self._handler = handler
        self._providers = {
            name: provider
            for name, provider in providers.items()
            if isinstance(provider, InboundProvider) and provider.inbound_poll_seconds
        }
        self._clock = clock
        self._polling: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start to poll, each provider in a task of its own."""
        self._polling = [asyncio.create_task(self._poll(name), name=f"inbound-{name}") for name in self._providers]

    async def stop(self) -> None:
        """Stop polling."""
        for task in self._polling:
            task.cancel()
        await asyncio.gather(*self._polling, return_exceptions=True)

    async def poll_once(self, name: str) -> int | None:
        """Read the inbox of a provider, if it is time.

        Returns:
            How many messages were handled here; None if another replica reads the inbox, or it was read already.
        """
        provider, token = self._providers[name], secrets.token_urlsafe(TOKEN_BYTES)
        started = self._clock()
        claim = await self._cursors.claim(name, token, MAX_PAGES * lease_ms(provider))
        if claim is None:
            return None
        handled, cursor = await self._read(name, provider, claim.cursor)
        next_ms = int((started + provider.inbound_poll_seconds - self._clock()) * 1000)
        await self._cursors.advance(name, token, cursor, next_ms)
        return handled

    async def _poll(self, name: str) -> None:
        interval = self._providers[name].inbound_poll_seconds
        while True:
            try:
                await self.poll_once(name)
            except Refused as refused:
                LOG.warning("inbound_poll_failed", provider=name, reason=refused.reason.value)
            except Exception:
                LOG.exception("inbound_poll_failed", provider=name)
            await asyncio.sleep(interval * random.uniform(1.0, 1.1))  # noqa: S311 - spreads the replicas' calls

    async def _read(self, name: str, provider: InboundProvider, cursor: int | None) -> tuple[int, int | None]:
        """Read page after page.

        Returns:
            How many messages were handled here, and up to which time the inbox was read; None: unchanged.
        """
        handled, read_until = 0, None
        since = None if cursor is None else max(0, cursor - OVERLAP_SECONDS)
        for _ in range(MAX_PAGES):
            page = await _fetch(provider, since)
            if isinstance(page, Outcome):
                LOG.warning("inbound_poll_failed", provider=name, reason=page.value)
                break
            handled += await self._handle(name, page)
            # A time after now is of a clock or a time zone that differs from ours, and would skip messages.
            latest = min(int(max((one.at for one in page), default=0)), int(self._clock()))
            read_until = max(latest, read_until or 0, cursor or 0) or None
            if len(page) < provider.inbound_page_size:
                break
            since = max(latest, (since or 0) + 1)
        else:
            LOG.warning("inbound_backlog", provider=name, pages=MAX_PAGES)
        return handled, read_until

    async def _handle(self, name: str, page: Sequence[InboundMessage]) -> int:
        """Handle the messages of one sender in their order, and different senders at the same time."""
        by_sender: defaultdict[str, list[InboundMessage]] = defaultdict(list)
        for message in page:
            by_sender[message.sender].append(message)

        async def handle(messages: Sequence[InboundMessage]) -> int:
            return sum([await self._handler.handle(name, message) for message in messages])

        return sum(await asyncio.gather(*map(handle, by_sender.values())))


async def _fetch(provider: InboundProvider, since: int | None) -> Sequence[InboundMessage] | Outcome:
    """Return a page in the order in which the messages arrived."""
    page = await call_safely(provider, lambda: provider.fetch_inbound(since), Outcome.AMBIGUOUS)
    return page if isinstance(page, Outcome) else sorted(page, key=lambda one: one.at)
