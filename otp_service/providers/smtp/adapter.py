"""E-mail through an SMTP submission server.

Until the final dot of the message is written, the server cannot have accepted it, so every failure before is definite.
A reply after it is definite, too; a connection that is lost there leaves the outcome ambiguous. SMTP has no idempotency
key. Whether a message arrives is reported by other e-mails (bounces), which are not read.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable

from aiosmtplib import SMTPAuthenticationError, SMTPException, SMTPResponseException

from otp_service.domain.email_address import EmailInvalid, parse_address
from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.observability import LOG
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.smtp.config import SmtpConfig
from otp_service.providers.smtp.connection import Envelope, SmtpConnections
from otp_service.providers.smtp.message import build_message, is_deliverable_text
from otp_service.providers.smtp.result_codes import Phase, result_of_reply

__all__ = ["Smtp"]


class Smtp:
    """One account at an SMTP server."""

    def __init__(
        self, name: str, config: SmtpConfig, client: GatewayClient, clock: Callable[[], float] = time.time
    ) -> None:
        """Send within the timeout of `client`, which makes no requests; `clock` returns Unix seconds."""
        self.name = name
        self.idempotent_send = False
        self.reports_delivery = config.reports_delivery
        self.timeout_seconds = client.timeout_seconds
        self._config = config
        self._client = client
        self._clock = clock
        self._connections = SmtpConnections(config)

    async def close(self) -> None:
        """Close all connections."""
        self._connections.close()
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Send one message; see `Provider.send`. Only a single valid address is sent to the server."""
        try:
            to = parse_address(outbound.to)
        except EmailInvalid:
            return SendResult(Outcome.RECIPIENT_INVALID)
        if not is_deliverable_text(outbound):
            return SendResult(Outcome.CONTENT_REJECTED)
        content = build_message(self._config, outbound, to, self._clock())
        envelope = Envelope(self._config.sender, to.address, content)
        try:
            async with asyncio.timeout(self.timeout_seconds):
                await self._connections.submit(envelope)
        except SMTPResponseException as refused:
            phase = Phase.LOGIN if isinstance(refused, SMTPAuthenticationError) else envelope.phase
            LOG.info("smtp_refused", provider=self.name, phase=phase.name.lower(), code=refused.code)
            return result_of_reply(phase, refused.code, refused.message)
        except Exception as error:  # the library does not wrap every error: TLS, for example
            kind = type(error.__cause__ or error).__name__
            LOG.info("gateway_call_failed", kind=kind, request_written=envelope.phase is Phase.CONTENT)
            return _result_of_failure(error, envelope.phase)
        return SendResult(Outcome.ACCEPTED)


def _result_of_failure(error: Exception, phase: Phase) -> SendResult:
    """Return the result without a reply; a wrong certificate, or no STARTTLS or AUTH, is an error of the config."""
    if phase is Phase.CONTENT:
        return SendResult(Outcome.AMBIGUOUS)
    is_certificate = isinstance(error, ssl.SSLCertVerificationError) or isinstance(
        error.__cause__, ssl.SSLCertVerificationError
    )
    is_unsupported = isinstance(error, SMTPException) and not isinstance(error, OSError)
    return SendResult.undocumented() if is_certificate or is_unsupported else SendResult(Outcome.TRANSIENT)
