"""The secrets of a verification: its code, and its phone number or e-mail address.

The hash of a code is Argon2id over HMAC-SHA256(pepper, tenant, id, recipient, purpose, code), each part with its
length, and after them the parts of what the code is bound to, if anything (`CodeBinding.hashed_parts`). It therefore
matches no other verification, number, purpose, tenant, transaction or binding, and codes cannot be tried against a dump
of the store without the pepper. If the hash was computed in advance, a mask is stored beside it: then the hash is over
the exclusive or of the HMAC and the mask (see `hashing`), for which all of this holds as well.
"""

from __future__ import annotations

import base64
import contextlib
from typing import Final, NamedTuple

import msgspec

from otp_service.crypto.fair_queue import DEFAULT_CALLER, Caller
from otp_service.crypto.hashing import SECRET_BYTES, HashPool, MaskedHash
from otp_service.crypto.keyring import DecryptionError, Keyring
from otp_service.domain.code_binding import UNBOUND, CodeBinding, Transaction
from otp_service.domain.message import Channel
from otp_service.domain.recipient import is_address, mask_recipient
from otp_service.domain.verification import VerificationRecord, VerificationSnapshot

__all__ = ["SealedContent", "VerificationCipher"]

_PHONE: Final = "phone"
_ADDRESS: Final = "email"
"""The kinds of sealed recipients."""


class SealedContent(NamedTuple):
    """What the outbox keeps sealed of a message. Members may be added at the end.

    Attributes:
        code: The code.
        link: The address that the message contains; "" for none.
        text: The text that the caller chose, with a placeholder for the code; "" for the tenant's template.
        transaction: The transaction that the template names; None for none.
    """

    code: str
    link: str = ""
    text: str = ""
    transaction: Transaction | None = None

    def __repr__(self) -> str:
        """Hide everything."""
        return "SealedContent()"


class VerificationCipher:
    """Seals, hashes and compares, for the use cases and for delivery."""

    def __init__(self, keyring: Keyring, pool: HashPool) -> None:
        self._keyring = keyring
        self._pool = pool

    @property
    def key_id(self) -> str:
        """The id of the key that new records are made under."""
        return self._keyring.current

    async def hash_code(
        self,
        verification_id: str,
        tenant: str,
        recipient: str,
        purpose: str,
        code: str,
        *,
        bound: CodeBinding = UNBOUND,
        caller: Caller = DEFAULT_CALLER,
    ) -> tuple[str, str]:
        """Hash a new code under the current key, in the turn of `caller` unless a hash is prepared.

        Returns:
            A PHC string and the mask of the code in base64, "" for none: for the members of the record.
        """
        context = (tenant, verification_id, recipient, purpose, code, *bound.hashed_parts)
        peppered = self._keyring.pepper_code(self.key_id, *context)
        if peppered is None:  # cannot happen: the current key is always configured
            raise KeyError(self.key_id)
        phc, mask = await self._pool.hash(peppered, caller)
        return phc, base64.b64encode(mask).decode()

    async def code_matches(
        self,
        snapshot: VerificationSnapshot,
        code: str,
        *,
        bound: CodeBinding = UNBOUND,
        caller: Caller = DEFAULT_CALLER,
    ) -> bool:
        """Compare a submitted code, and what it is bound to, with the hash of the record, in the turn of `caller`.

        Raises:
            DecryptionError: The key of the record is not configured, or its mask is damaged, so no code can match.
        """
        record = snapshot.record
        context = (record.tenant, snapshot.id, record.recipient, record.purpose, code, *bound.hashed_parts)
        peppered = self._keyring.pepper_code(record.key_id, *context)
        if peppered is None:
            raise DecryptionError(f"key {record.key_id} is not configured")
        return await self._pool.matches(MaskedHash(record.code_hash, _mask_of(record)), peppered, caller)

    async def compare_with_none(self, code: str, *, caller: Caller = DEFAULT_CALLER) -> None:
        """Take the time of `code_matches` in the turn of `caller`, without a record."""
        await self._pool.matches_none(self._keyring.pepper_code(self.key_id, *("",) * 4, code) or b"", caller)

    def seal_recipient(self, verification_id: str, to: str) -> str:
        """Encrypt the number in E.164, or the address, for the record."""
        return self._keyring.seal_text(_ADDRESS if is_address(to) else _PHONE, verification_id, to)

    def open_recipient(self, verification_id: str, record: VerificationRecord) -> str:
        """Decrypt the number, in E.164, or the address; raises `DecryptionError`."""
        is_email = record.channel == Channel.EMAIL
        return self.open_sealed_recipient(verification_id, record.phone, record.key_id, is_email=is_email)

    def open_sealed_recipient(self, verification_id: str, sealed: str, key_id: str, *, is_email: bool) -> str:
        """Decrypt a number, or with `is_email` an address, that was copied from a record; raises `DecryptionError`."""
        return self._keyring.open_text(_ADDRESS if is_email else _PHONE, verification_id, sealed, key_id)

    def seal_reference(self, verification_id: str, reference: str) -> str:
        """Encrypt the caller's reference for events; "" for none."""
        return self._keyring.seal_text("reference", verification_id, reference) if reference else ""

    def open_reference(self, verification_id: str, sealed: str, key_id: str) -> str | None:
        """Decrypt the caller's reference, None for none; raises `DecryptionError`."""
        return self._keyring.open_text("reference", verification_id, sealed, key_id) if sealed else None

    def masked_recipient(self, snapshot: VerificationSnapshot) -> str:
        """Decrypt the recipient, and return the masked form that may be shown; raises `DecryptionError`."""
        return mask_recipient(self.open_recipient(snapshot.id, snapshot.record))

    def seal_content(self, verification_id: str, content: SealedContent) -> bytes:
        """Encrypt the content of a message for the outbox.

        With an address or a text it is another kind of item: a version that does not know it cannot open it, and leaves
        the message to other replicas.
        """
        code, link, *others = content
        if any(others):
            return self._keyring.seal("message with text", verification_id, msgspec.msgpack.encode(content))
        if link:
            return self._keyring.seal("message with link", verification_id, f"{code}\n{link}".encode())
        return self._keyring.seal("message", verification_id, code.encode())

    def open_content(self, verification_id: str, sealed: bytes, record: VerificationRecord) -> SealedContent:
        """Decrypt what `seal_content` has encrypted; raises `DecryptionError`."""
        with contextlib.suppress(DecryptionError):
            return SealedContent(self._keyring.open("message", verification_id, sealed, record.key_id).decode())
        with contextlib.suppress(DecryptionError):
            both = self._keyring.open("message with link", verification_id, sealed, record.key_id).decode()
            code, _, link = both.partition("\n")
            return SealedContent(code, link)
        packed = self._keyring.open("message with text", verification_id, sealed, record.key_id)
        return msgspec.msgpack.decode(packed, type=SealedContent)


def _mask_of(record: VerificationRecord) -> bytes:
    """Return the mask of the record's hash, b"" for none; raises `DecryptionError`."""
    try:
        mask = base64.b64decode(record.code_mask, validate=True)
    except ValueError:
        mask = None
    if mask is None or len(mask) not in (0, SECRET_BYTES):
        raise DecryptionError("the mask is damaged")
    return mask
