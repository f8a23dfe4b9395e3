"""Parses e-mail addresses: from the accepted spellings of an address to one canonical form, the recipient's identity.

Accepted is what RFC 5321 calls a Dot-string before the @, in ASCII, and a domain name of at least two labels after it.
Quoted local parts, comments, display names, address literals (`[192.0.2.1]`) and local parts outside ASCII are refused:
public mail services do not issue such addresses, and parsers disagree about them.

The domain is written in lower case and as IDNA 2008 A-labels (UTS 46, non-transitional), so that `BÜCHER.example` and
`xn--bcher-kva.example` are one. The local part is sent as it was written, because only its server may interpret it (RFC
5321, 2.4). It is folded to lower case for the identity alone: servers that distinguish `Ann` from `ann` are practically
unknown, and limits must not be multiplied by spellings. Tags (`+tag`) and dots are kept also in the identity: their
meaning differs between servers.

All of it is linear in the length of the text, which is bounded before anything else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import idna

__all__ = ["MAX_ADDRESS_CHARS", "EmailAddress", "EmailInvalid", "mask_address", "parse_address"]

MAX_ADDRESS_CHARS: Final = 254
"""RFC 5321, 4.5.3.1.3: a path has at most 256 octets, two of which are its brackets."""

MAX_LOCAL_CHARS: Final = 64
MAX_DOMAIN_CHARS: Final = 253
MAX_LABEL_CHARS: Final = 63
MIN_SHOWN_LOCAL: Final = 3
"""The first character of a shorter local part is not shown: it would be half of it or more."""

_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+")
_LABEL: Final = re.compile(r"[a-z0-9-]+")

_ONE_ADDRESS: Final = "Send one e-mail address, such as name@example.com, with nothing before or after it."
_BAD_LOCAL: Final = "The part before the @ must be 1-64 ASCII letters, digits, dots or !#$%&'*+/=?^_`{|}~-."
_BAD_DOMAIN: Final = "The part after the @ must be a domain name, such as example.com."


class EmailInvalid(Exception):
    """The text is not one valid address. The message says what to send, and never contains the text."""


@dataclass(frozen=True, slots=True, repr=False)
class EmailAddress:
    """A valid address. Only `repr` and `masked` may be logged or shown before the address is verified.

    Attributes:
        address: What the message is sent to: the local part as it was written, and the domain in lower case and ASCII.
    """

    address: str

    @property
    def to(self) -> str:
        """What identifies the recipient; see `domain.recipient`."""
        return self.address

    @property
    def country(self) -> str:
        """An address belongs to no country."""
        return ""

    @property
    def domain(self) -> str:
        """The domain, which the `email_domain` limit counts."""
        return self.address.rpartition("@")[2]

    @property
    def masked(self) -> str:
        """`a***@example.com`: see `mask_address`."""
        return mask_address(self.address)

    def __repr__(self) -> str:
        return f"EmailAddress({self.masked})"


def mask_address(address: str) -> str:
    """Return `a***@example.com` for an address that `parse_address` has made: the form that may be shown."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1] if len(local) >= MIN_SHOWN_LOCAL else ''}***@{domain}"


def parse_address(text: str) -> EmailAddress:
    """Parse the one address that `text` is. Spaces around it are dropped.

    Raises:
        EmailInvalid: The text is longer than 254 characters, or is not one address that is accepted here.
    """
    if len(text) > MAX_ADDRESS_CHARS:
        raise EmailInvalid("The e-mail address is longer than 254 characters.")
    local, at, domain = text.strip(" ").partition("@")
    if not at or "@" in domain:
        raise EmailInvalid(_ONE_ADDRESS)
    if not _is_dot_string(local):
        raise EmailInvalid(_BAD_LOCAL)
    address = f"{local}@{_to_ascii(domain)}"
    if len(address) > MAX_ADDRESS_CHARS:  # A-labels are longer than what they stand for
        raise EmailInvalid("The e-mail address is longer than 254 characters.")
    return EmailAddress(address)


def _is_dot_string(local: str) -> bool:
    has_empty_atom = local.startswith(".") or local.endswith(".") or ".." in local
    return len(local) <= MAX_LOCAL_CHARS and _ATOMS.fullmatch(local) is not None and not has_empty_atom


def _to_ascii(domain: str) -> str:
    """Return the domain in lower case, as A-labels."""
    if domain.isascii():
        ascii_domain = domain.lower()
    else:
        try:
            ascii_domain = idna.encode(domain, uts46=True, transitional=False).decode()
        except UnicodeError:  # also idna.IDNAError
            raise EmailInvalid(_BAD_DOMAIN) from None
    labels = ascii_domain.split(".")
    is_name = len(labels) > 1 and len(ascii_domain) <= MAX_DOMAIN_CHARS and all(map(_is_label, labels))
    if not is_name or labels[-1].isdigit():  # a last label of digits is that of an IPv4 address
        raise EmailInvalid(_BAD_DOMAIN)
    return ascii_domain


def _is_label(label: str) -> bool:
    has_outer_hyphen = label.startswith("-") or label.endswith("-")
    return len(label) <= MAX_LABEL_CHARS and _LABEL.fullmatch(label) is not None and not has_outer_hyphen
