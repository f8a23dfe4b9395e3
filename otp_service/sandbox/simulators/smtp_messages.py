"""Check the content of a message at an SMTP server, byte by byte, and read its parts."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from typing import Final

__all__ = ["InvalidMessage", "SmtpMessage", "read_message"]

MAX_LINE_BYTES: Final = 1000
"""RFC 5321, 4.5.3.1.6: with CRLF."""

ONCE: Final = ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Auto-Submitted", "Content-Type")
_ENCODED_WORD: Final = re.compile(rb"=\?[!->@-~]*\?[A-Za-z]\?[!->@-~]*\?=")
MAX_ENCODED_WORD: Final = 75
"""RFC 2047, 2."""

_MESSAGE_ID: Final = re.compile(r"<[^\s<>@]+@[^\s<>@]+>")


class InvalidMessage(Exception):
    """The content is not what a correct client sends; the text says why."""


@dataclass(frozen=True, slots=True)
class SmtpMessage:
    """An accepted message; `sender` and `to` are those of the envelope, `raw` is the content with its CRLFs."""

    id: str
    sender: str
    to: str
    subject: str
    text: str
    html: str
    message_id: str
    raw: bytes
    at: datetime


def read_message(raw: bytes, sender: str, to: str, number: int, at: datetime) -> SmtpMessage:
    """Check and read the content that followed DATA, without its doubled dots.

    Raises:
        InvalidMessage: It has bytes outside ASCII, bare line ends, overlong lines, missing or repeated headers, other
            addresses than the envelope, or not one plain text and one HTML part with the same code.
    """
    if not raw.isascii() or b"\0" in raw:
        raise InvalidMessage("send 7 bits: BODY=8BITMIME was not asked for")
    lines = raw.split(b"\r\n")
    if any(b"\r" in line or b"\n" in line or len(line) + 2 > MAX_LINE_BYTES for line in lines):
        raise InvalidMessage("send lines of at most 998 bytes that end with CRLF")
    if any(len(word) > MAX_ENCODED_WORD for word in _ENCODED_WORD.findall(raw.partition(b"\r\n\r\n")[0])):
        raise InvalidMessage("send encoded words of at most 75 characters")
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(mail, EmailMessage)  # noqa: S101 - what the policy makes
    if repeated := [name for name in ONCE if len(mail.get_all(name, ())) != 1]:
        raise InvalidMessage(f"send exactly one {repeated[0]}")
    if mail["From"].addresses[0].addr_spec != sender or [one.addr_spec for one in mail["To"].addresses] != [to]:
        raise InvalidMessage("From and To must be the addresses of the envelope")
    if not _MESSAGE_ID.fullmatch(str(mail["Message-ID"])) or mail["Date"].datetime is None:
        raise InvalidMessage("Message-ID or Date is malformed")
    text, html = _parts(mail)
    return SmtpMessage(f"{number:010X}", sender, to, str(mail["Subject"]), text, html, str(mail["Message-ID"]), raw, at)


def _parts(mail: EmailMessage) -> tuple[str, str]:
    """Return the plain text and the HTML ("" if there is none)."""
    parts = list(mail.iter_parts()) if mail.is_multipart() else [mail]
    kinds = [part.get_content_type() for part in parts]
    whole = mail.get_content_type()
    if (whole, kinds) not in (("multipart/alternative", ["text/plain", "text/html"]), ("text/plain", ["text/plain"])):
        raise InvalidMessage("send text/plain, or multipart/alternative of text/plain and text/html")
    texts = [str(part.get_content()).replace("\r\n", "\n") for part in parts]
    return texts[0], texts[1] if len(texts) > 1 else ""
