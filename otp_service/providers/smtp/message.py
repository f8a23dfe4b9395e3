"""Builds an e-mail: multipart/alternative with a plain text and HTML, in 7 bits and with CRLF.

No value of a recipient or a tenant can add a header or a command: addresses, the subject and the brand are checked
before anything is built, and have no control characters.

`Message-ID` contains our message id, so a message that is sent twice is one message for mail systems that compare it.
`Auto-Submitted` (RFC 3834) keeps automatic replies away.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr
from typing import Final

from otp_service.domain.email_address import EmailAddress
from otp_service.domain.message import OutboundMessage
from otp_service.providers.smtp.config import SmtpConfig

__all__ = ["build_message", "is_deliverable_text"]

MAX_SUBJECT_CHARS: Final = 200
MAX_BODY_CHARS: Final = 64 * 1024
MAX_LINE_CHARS: Final = 75
"""RFC 2047, 2: the longest encoded word."""


_POLICY: Final = SMTP.clone(cte_type="7bit")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_BODY_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LINE_START_DOT: Final = re.compile(rb"(?m)^\.")


def is_deliverable_text(outbound: OutboundMessage) -> bool:
    """Whether the subject is one line, and there is a text of a sensible size without control characters."""
    bodies = (outbound.text, outbound.html)
    if not 0 < len(outbound.subject) <= MAX_SUBJECT_CHARS or _CONTROL.search(outbound.subject):
        return False
    if not outbound.text or any(len(body) > MAX_BODY_CHARS for body in bodies):
        return False
    return not any(_BODY_CONTROL.search(body) for body in bodies) and not _CONTROL.search(outbound.brand)


def build_message(config: SmtpConfig, outbound: OutboundMessage, to: EmailAddress, now: float) -> bytes:
    """Return the content of the DATA command, with dots doubled and the final one; `now` is in Unix seconds."""
    mail = EmailMessage(policy=_POLICY)
    mail.set_content(outbound.text)
    if outbound.html:
        mail.add_alternative(outbound.html, subtype="html")
    headers = (
        f"From: {_mailbox(config.from_name or outbound.brand, config.sender)}",
        f"To: {to.address}",
        f"Subject: {_encoded(outbound.subject, 'Subject')}",
        f"Date: {format_datetime(datetime.fromtimestamp(now, UTC))}",
        f"Message-ID: <{outbound.message_id}@{config.domain}>",
        "Auto-Submitted: auto-generated",
    )
    content = "".join(f"{header}\r\n" for header in headers).encode("ascii") + mail.as_bytes()
    return _LINE_START_DOT.sub(b"..", content) + b".\r\n"


def _mailbox(name: str, address: str) -> str:
    return formataddr((name, address)) if _is_plain(name) else f"{_encoded(name, 'From')}\r\n <{address}>"


def _encoded(text: str, header: str) -> str:
    """Return a text for a header, as encoded words (RFC 2047) if it is not ASCII.

    `EmailMessage` encodes headers itself, but loses spaces between encoded words (Python 3.11).
    """
    charset = "us-ascii" if _is_plain(text) else "utf-8"
    return Header(text, charset, maxlinelen=MAX_LINE_CHARS, header_name=header).encode(linesep="\r\n")


def _is_plain(text: str) -> bool:
    return text.isascii() and "=?" not in text
