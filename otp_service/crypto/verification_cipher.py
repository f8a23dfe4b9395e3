"""What is secret about a verification: its code and its number, bound to what they belong to.

A code's hash is Argon2id over HMAC-SHA256(pepper, tenant, id, recipient, purpose, code), each part with its length,
so it fits no other verification, number, purpose or tenant, and a dump without the pepper cannot be tried out.
"""

from __future__ import annotations

from otp_service.crypto.fair_queue import ANYBODY, Caller
from otp_service.crypto.hashing import HashPool
from otp_service.crypto.keyring import Keyring
from otp_service.domain.phone import parse
from otp_service.domain.ports import SealBroken
from otp_service.domain.verification import VerificationRecord, VerificationSnapshot

__all__ = ["VerificationCipher"]


class VerificationCipher:
    """Seals, hashes and compares for the use cases and the delivery."""

    def __init__(self, keyring: Keyring, pool: HashPool) -> None:
        """Use the keys of `keyring` and the threads of `pool`."""
        self._keyring = keyring
        self._pool = pool

    @property
    def key_id(self) -> str:
        """The key that new things are made under."""
        return self._keyring.current

    async def hash_code(
        self,
        verification_id: str,
        tenant: str,
        recipient: str,
        purpose: str,
        code: str,
        *,
        caller: Caller = ANYBODY,
    ) -> str:
        """Hash a new code under the current key, in the turn of `caller`; the PHC string."""
        peppered = self._keyring.pepper_code(self.key_id, tenant, verification_id, recipient, purpose, code)
        if peppered is None:  # the current key is always listed
            raise KeyError(self.key_id)
        return await self._pool.hash(peppered, caller)

    async def is_code(self, snapshot: VerificationSnapshot, code: str, *, caller: Caller = ANYBODY) -> bool:
        """Compare a guess, in the turn of `caller`.

        Raises `SealBroken` when the key of the hash is not listed: no guess can be told right.
        """
        record = snapshot.record
        peppered = self._keyring.pepper_code(
            record.key_id, record.tenant, snapshot.id, record.recipient, record.purpose, code
        )
        if peppered is None:
            raise SealBroken(f"key {record.key_id} is not listed")
        return await self._pool.matches(record.phc, peppered, caller)

    def seal_phone(self, verification_id: str, e164: str) -> str:
        """Seal the number for the record."""
        return self._keyring.seal_text("phone", verification_id, e164)

    def open_phone(self, verification_id: str, record: VerificationRecord) -> str:
        """Read the number; raises `SealBroken`."""
        return self._keyring.open_text("phone", verification_id, record.phone, record.key_id)

    def masked_phone(self, snapshot: VerificationSnapshot) -> str:
        """Read as much of the number as may be shown before it is proved."""
        return parse(self.open_phone(snapshot.id, snapshot.record), snapshot.record.country).masked

    def seal_code(self, verification_id: str, code: str) -> bytes:
        """Seal the code for the outbox."""
        return self._keyring.seal("message", verification_id, code.encode())

    def open_code(self, verification_id: str, sealed: bytes, record: VerificationRecord) -> str:
        """Read the code; raises `SealBroken`."""
        return self._keyring.open("message", verification_id, sealed, record.key_id).decode()
