"""App Attest: the bounds of what an app sends, and the port that remembers the keys of attested apps.

A key is made by one installation of an app in the device's Secure Enclave. It is registered once, with an attestation
of Apple, and signs an assertion for each request for a code afterwards. Its counter grows with each assertion.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Protocol

__all__ = [
    "CHALLENGE_CHARS",
    "CHALLENGE_SECONDS",
    "MAX_ATTESTATION_CHARS",
    "AttestedKeys",
    "CounterUse",
]

CHALLENGE_CHARS: Final = 50
"""128 random bits and the time of expiry in 28 characters of base64url, and a keyed hash of 22."""

CHALLENGE_SECONDS: Final = 300
"""How long a challenge is valid."""

MAX_ATTESTATION_CHARS: Final = 16384
"""Attestations have 5,500 to 7,500 characters in base64; most of that is the receipt, which grows with iOS."""


class CounterUse(StrEnum):
    """What became of an assertion's counter: stored, not greater than the stored one, or of a key that is not known."""

    ADVANCED = "advanced"
    REPLAYED = "replayed"
    UNKNOWN = "unknown"


class AttestedKeys(Protocol):
    """The registered keys, by the keyed hash of tenant and key id. Each may raise `Refused`."""

    async def add(self, keyed_hash: str, public_key: bytes, seconds: int) -> None:
        """Register a key with the counter 0, for `seconds`. A key that is registered keeps its counter."""

    async def find(self, keyed_hash: str) -> bytes | None:
        """Return the public key; None if it is not registered."""

    async def advance(self, keyed_hash: str, counter: int, seconds: int) -> CounterUse:
        """Store a counter if it is greater than the stored one, and keep the key for `seconds` from now."""
