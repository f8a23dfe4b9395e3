"""How values are written for the scripts, and how records are read from their replies."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from otp_service.domain.limits import Lockout, Window
from otp_service.domain.results import NotFound
from otp_service.domain.verification import VerificationRecord, VerificationSnapshot

__all__ = ["encode_lockout", "encode_optional", "encode_windows", "pack", "unpack_record", "unpack_snapshot"]

_DECODER: Final = msgspec.msgpack.Decoder(VerificationRecord)

pack = msgspec.msgpack.Encoder().encode
"""Write a record, or a list of strings, as MessagePack."""


def unpack_record(packed: bytes) -> VerificationRecord | None:
    """Read a packed record.

    Returns:
        None for a damaged record or one of another version. The scripts refuse most of those (`lua/_record.lua`); what
        remains is text that is not UTF-8.
    """
    try:
        return _DECODER.decode(packed)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # ValueError: not UTF-8
        return None


def unpack_snapshot(verification_id: str, packed: bytes, now: int) -> VerificationSnapshot | NotFound:
    """Read a packed record as it was at `now` (ms of the store's clock); an unreadable one is `NotFound`."""
    record = unpack_record(packed)
    return NotFound() if record is None else VerificationSnapshot(verification_id, record, now)


@lru_cache(maxsize=1024)
def encode_windows(windows: tuple[Window, ...]) -> str:
    """Write windows for `lua/_window.lua`: count and milliseconds of each. Those of a config are few, and kept."""
    return " ".join([f"{window.count} {window.seconds * 1000}" for window in windows])


@lru_cache(maxsize=1024)
def encode_lockout(lockout: Lockout) -> str:
    """Write a lockout policy for `lua/_lockout.lua`: first and longest wait in ms, maximum of failures."""
    return f"{lockout.first_seconds * 1000} {lockout.longest_seconds * 1000} {lockout.max_failures}"


def encode_optional(number: int | None) -> str:
    """Write a number, or "" for None."""
    return "" if number is None else str(number)
