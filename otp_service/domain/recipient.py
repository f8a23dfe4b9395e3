"""A recipient: a phone number or an e-mail address.

Where only its text is known (after decryption, or from a receipt), the @ distinguishes the two: E.164 has none.
Keyed hashes of numbers and of addresses are of different kinds, so that the two never share a chain, a lock, a limit or
the subject of a token.
"""

from __future__ import annotations

from typing import Final

from otp_service.domain.email_address import EmailAddress, mask_address
from otp_service.domain.phone import PhoneNumber, mask

__all__ = ["Recipient", "hashed_as", "is_address", "mask_recipient"]

Recipient = PhoneNumber | EmailAddress

_ADDRESS_KIND_PREFIX: Final = "email_"


def is_address(to: str) -> bool:
    """Return whether a recipient is an e-mail address, not a number in E.164."""
    return "@" in to


def hashed_as(kind: str, to: str) -> tuple[str, str]:
    """Return the kind and the text under which a recipient is hashed, as `Keyring.keyed_hash` takes them.

    Args:
        kind: What the hash is for: `recipient`, `partition` or `token`.
        to: The number in E.164, or the address. Spellings of an address that differ in case are one.
    """
    return (_ADDRESS_KIND_PREFIX + kind, to.lower()) if is_address(to) else (kind, to)


def mask_recipient(to: str) -> str:
    """Return the form of a recipient that may be shown."""
    return mask_address(to) if is_address(to) else mask(to)
