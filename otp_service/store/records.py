"""Records of verifications as the store keeps them: packed, and not always readable."""

from __future__ import annotations

from typing import Final

import msgspec

from otp_service.domain.verification import VerificationRecord

__all__ = ["pack", "unpack"]

_DECODER: Final = msgspec.msgpack.Decoder(VerificationRecord)
pack = msgspec.msgpack.Encoder().encode


def unpack(packed: bytes) -> VerificationRecord | None:
    """Read a packed record; None for one that cannot be read: damaged, or not of this version's shape.

    The scripts refuse most of those already (`lua/_record.lua`); what is left is text that is not UTF-8.
    """
    try:
        return _DECODER.decode(packed)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # ValueError: bytes that are not UTF-8
        return None
