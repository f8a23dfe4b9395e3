"""The output of `check-config --texts`: every text of the tenants at its longest, with what it is billed as."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from otp_service.cli.provider_table import align
from otp_service.settings.sms_texts import SmsText

__all__ = ["format_texts"]

_NONE: Final = "-"
_HEADER: Final = ("TENANT", "LOCALE", "PURPOSE", "APP", "CHARACTERS", "ENCODING", "SEGMENTS", "TEXT")


def format_texts(texts: Iterable[tuple[str, SmsText]]) -> str:
    """Align the texts, each with the name of its tenant, in columns under a header.

    A character counts as the network counts it: one of GSM-7's extension as two, one beyond the BMP as two.
    """
    return align([_HEADER, *(_cells(tenant, text) for tenant, text in texts)])


def _cells(tenant: str, text: SmsText) -> tuple[str, ...]:
    size = text.size
    return (
        tenant,
        text.locale,
        text.purpose,
        f"{text.app} (too long)" if text.misses_line else text.app or _NONE,
        str(size.units),
        size.encoding.value,
        str(size.segments),
        text.text.replace("\n", " / "),
    )
