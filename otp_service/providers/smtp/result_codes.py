"""What a reply of an SMTP server means, by the phase in which it comes.

Sources: RFC 5321, 4.2 (reply codes); RFC 4954, 6 (AUTH); RFC 3207, 4 (STARTTLS); RFC 7504 (521, 556); RFC 3463 and the
IANA registry of enhanced status codes, which is named beside each code. An enhanced code decides before the reply
code, because 550 alone may mean anything from an unknown mailbox to a filter.

A reply to the end of the message is definite, too: a server that refuses there has not accepted the message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import HealthSignal, Outcome

__all__ = ["ENHANCED_OUTCOMES", "Phase", "result_of_reply"]

MAX_CODE_CHARS: Final = 12
_ENHANCED: Final = re.compile(r"([245])\.([0-9]{1,3}\.[0-9]{1,3})(?![0-9.])", re.ASCII)
_RECIPIENT_SUBJECTS: Final = ("1.", "2.")
"""Subjects of enhanced codes that concern one address or one mailbox, and say nothing about the server."""


class Phase(Enum):
    """How far a message is. Before `CONTENT` the server cannot have accepted it."""

    CONNECT = auto()
    """Greeting, EHLO, STARTTLS."""
    LOGIN = auto()
    SENDER = auto()
    """MAIL."""
    RECIPIENT = auto()
    """RCPT."""
    DATA = auto()
    """The DATA command, before any content."""
    CONTENT = auto()
    """The message with its final dot is written."""


ENHANCED_OUTCOMES: Final[Mapping[str, Outcome]] = MappingProxyType(
    {
        "1.1": Outcome.RECIPIENT_INVALID,  # Bad destination mailbox address
        "1.2": Outcome.RECIPIENT_INVALID,  # Bad destination system address
        "1.3": Outcome.RECIPIENT_INVALID,  # Bad destination mailbox address syntax
        "1.6": Outcome.RECIPIENT_INVALID,  # Destination mailbox has moved, no forwarding address
        "1.10": Outcome.RECIPIENT_INVALID,  # Recipient address has null MX (RFC 7505)
        "1.7": Outcome.CONFIG_ERROR,  # Bad sender's mailbox address syntax
        "1.8": Outcome.CONFIG_ERROR,  # Bad sender's system address
        "2.1": Outcome.RECIPIENT_INVALID,  # Mailbox disabled, not accepting messages
        "2.2": Outcome.TRANSIENT,  # Mailbox full
        "2.3": Outcome.CONTENT_REJECTED,  # Message length exceeds administrative limit
        "3.4": Outcome.CONTENT_REJECTED,  # Message too big for system
        "4.4": Outcome.DESTINATION_UNSUPPORTED,  # Unable to route
        "4.5": Outcome.THROTTLED,  # Mail system congestion
        "6.1": Outcome.CONTENT_REJECTED,  # Media not supported
        "6.3": Outcome.CONTENT_REJECTED,  # Conversion required but not supported
        "7.8": Outcome.CONFIG_ERROR,  # Authentication credentials invalid (RFC 4954)
        "7.9": Outcome.CONFIG_ERROR,  # Authentication mechanism is too weak (RFC 4954)
        "7.13": Outcome.CONFIG_ERROR,  # User account disabled (RFC 5248)
        "7.20": Outcome.CONFIG_ERROR,  # No passing DKIM signature found (RFC 7372)
        "7.23": Outcome.CONFIG_ERROR,  # SPF validation failed (RFC 7372)
        "7.25": Outcome.CONFIG_ERROR,  # Reverse DNS validation failed (RFC 7372)
        "7.26": Outcome.CONFIG_ERROR,  # Multiple authentication checks failed (RFC 7372)
        "7.27": Outcome.CONFIG_ERROR,  # Sender address has null MX (RFC 7505)
        "7.28": Outcome.THROTTLED,  # Mail flood detected
    }
)
"""Outcomes of a 5xx reply with this enhanced code, without its class."""

_ACCOUNT_CODES: Final = frozenset({"7.8", "7.9", "7.13"})
_THROTTLED_CODES: Final = frozenset({"4.5", "7.28"})
_INVALID_RECIPIENT_REPLIES: Final = frozenset({550, 551, 553, 556})
"""Mailbox unavailable, user not local, mailbox name not allowed, domain does not accept mail."""

_REPLY_LOGIN_REQUIRED: Final = 530
_REPLY_TEMPORARY_LOGIN_FAILURE: Final = 454
_REPLY_STORAGE_EXCEEDED: Final = 552


def result_of_reply(phase: Phase, code: int, text: str) -> SendResult:
    """Return the result of a reply that is not the expected one; `text` begins with the enhanced code, if any."""
    match = _ENHANCED.match(text[:MAX_CODE_CHARS])
    enhanced = match[2] if match and match[1] == str(code)[:1] else ""
    if 400 <= code < 500:
        return _temporary(phase, code, enhanced)
    if not 500 <= code < 600:  # not a refusal that SMTP has, also -1 for a reply that cannot be read
        return SendResult(Outcome.AMBIGUOUS if phase is Phase.CONTENT else Outcome.TRANSIENT)
    if phase is Phase.LOGIN or code == _REPLY_LOGIN_REQUIRED or enhanced in _ACCOUNT_CODES:
        return SendResult(Outcome.CONFIG_ERROR)
    if enhanced in ENHANCED_OUTCOMES:
        return _permanent(ENHANCED_OUTCOMES[enhanced], enhanced)
    return _by_reply_code(phase, code, enhanced)


def _temporary(phase: Phase, code: int, enhanced: str) -> SendResult:
    """Return the result of a 4xx reply: nothing was accepted. One about a mailbox does not count as a failure."""
    is_rate = code == _REPLY_TEMPORARY_LOGIN_FAILURE and phase not in (Phase.CONNECT, Phase.LOGIN)  # Amazon SES
    if is_rate or enhanced in _THROTTLED_CODES:
        return SendResult(Outcome.THROTTLED)
    return _permanent(Outcome.TRANSIENT, enhanced)


def _permanent(outcome: Outcome, enhanced: str) -> SendResult:
    if outcome is Outcome.CONFIG_ERROR:
        return SendResult.undocumented()
    is_of_recipient = outcome is Outcome.TRANSIENT and enhanced.startswith(_RECIPIENT_SUBJECTS)
    return SendResult(outcome, signal=HealthSignal.NONE if is_of_recipient else None)


def _by_reply_code(phase: Phase, code: int, enhanced: str) -> SendResult:
    """Return the result of a 5xx reply without an enhanced code that decides; `7.1` is a policy of the phase."""
    if phase is Phase.CONTENT:
        return SendResult(Outcome.CONTENT_REJECTED)
    if phase is Phase.RECIPIENT and code == _REPLY_STORAGE_EXCEEDED:  # RFC 5321, 4.5.3.1.10: like 452
        return SendResult(Outcome.TRANSIENT, signal=HealthSignal.NONE)
    is_policy = enhanced.startswith("7.")
    if phase is Phase.RECIPIENT and code in _INVALID_RECIPIENT_REPLIES and not is_policy:
        return SendResult(Outcome.RECIPIENT_INVALID)
    return SendResult.undocumented()
