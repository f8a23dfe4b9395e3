"""Keeps a session bound: binds, waits until the session ends, and binds again after a growing delay."""

from __future__ import annotations

import asyncio
import random
import ssl
from typing import Final

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import HealthSignal, Outcome
from otp_service.observability import LOG
from otp_service.providers.smpp import result_codes
from otp_service.providers.smpp.config import SmppConfig
from otp_service.providers.smpp.session import BindRefused, DeliverHandler, SmppSession

__all__ = ["Binding", "bind_refusal"]

MIN_DELAY_SECONDS: Final = 0.5
MAX_DELAY_SECONDS: Final = 30.0
JITTER: Final = 0.25
"""Delays differ by up to this share, so that replicas do not bind at the same time."""

_NOT_CONNECTED: Final = SendResult(Outcome.TRANSIENT)


class Binding:
    """The session of one provider in this process."""

    def __init__(self, name: str, config: SmppConfig, handle_deliver: DeliverHandler) -> None:
        """Bind as `config` says; `handle_deliver` processes what the SMSC sends."""
        self._name = name
        self._config = config
        self._handle_deliver = handle_deliver
        self._tls = ssl.create_default_context(cafile=config.ca_file) if config.tls else None
        self._state: SmppSession | SendResult | None = None
        """The session; or the result of messages while there is none; None: the first bind is under way."""
        self._retry_at = 0.0
        self.is_held_elsewhere = False
        """The SMSC refuses a bind because another process is bound."""
        self._changed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Bind in the background, once."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name=f"smpp-{self._name}")

    async def session(self, deadline: float) -> SmppSession | SendResult:
        """Return the session as soon as it is bound, or the result of a message that cannot wait for it.

        A refused bind is the result at once. Without a connection, the result comes at once if the next attempt is
        after `deadline` (in the loop's time), and otherwise at the deadline.
        """
        while True:
            state = self._state
            if isinstance(state, SmppSession) and not state.ended.is_set():
                return state
            if isinstance(state, SendResult) and (state is not _NOT_CONNECTED or self._retry_at >= deadline):
                return state
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                return _NOT_CONNECTED

    async def close(self) -> None:
        """Unbind; the messages that wait for a session are not sent."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def _keep(self) -> None:
        delay = MIN_DELAY_SECONDS
        while True:
            made = await self._bind()
            if isinstance(made, SmppSession):
                await self._serve(made)
                made, delay = _NOT_CONNECTED, MIN_DELAY_SECONDS
            pause = delay * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, keeps no secret
            self._retry_at = asyncio.get_running_loop().time() + pause
            self._set_state(made)
            await asyncio.sleep(pause)
            delay = min(delay * 2, MAX_DELAY_SECONDS)

    async def _serve(self, session: SmppSession) -> None:
        """Offer a session until it ends."""
        LOG.info("smpp_bound", provider=self._name)
        self._set_state(session)
        try:
            await session.ended.wait()
            LOG.warning("smpp_session_ended", provider=self._name)
        finally:
            await session.close()

    async def _bind(self) -> SmppSession | SendResult:
        try:
            session = await SmppSession.bind(self._config, self._tls, self._handle_deliver)
        except BindRefused as refused:
            self.is_held_elsewhere = refused.status == result_codes.ALREADY_BOUND
            LOG.warning("smpp_bind_refused", provider=self._name, command_status=f"0x{refused.status:02x}")
            return bind_refusal(refused.status)
        except Exception as error:  # also a host name that cannot be encoded: binding goes on whatever happens
            LOG.warning("smpp_bind_failed", provider=self._name, kind=type(error).__name__)
            self.is_held_elsewhere = False
            return _NOT_CONNECTED
        self.is_held_elsewhere = False
        return session

    def _set_state(self, state: SmppSession | SendResult) -> None:
        self._state = state
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def bind_refusal(status: int) -> SendResult:
    """Return the result of messages while the SMSC refuses the bind with `status`."""
    outcome = result_codes.BIND_OUTCOMES.get(status, Outcome.CONFIG_ERROR)
    if status == result_codes.ALREADY_BOUND:
        return SendResult(outcome, signal=HealthSignal.NONE)  # the account works, in the process that is bound
    if outcome is Outcome.CONFIG_ERROR and status not in result_codes.ACCOUNT_ERRORS:
        return SendResult.undocumented()
    return SendResult(outcome)
