"""Text that an editor or a shell wrote into a file: UTF-8, with or without a BOM."""

from __future__ import annotations

import codecs

__all__ = ["decode_utf8"]

_OTHERS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def decode_utf8(data: bytes) -> str:
    """Decode `data`, without the BOM in front. Raises ValueError with a reason that shows nothing of it."""
    for mark, encoding in _OTHERS:
        if data.startswith(mark):
            raise ValueError(f"not text in UTF-8: it is {encoding}")
    if b"\x00" in data:
        raise ValueError("not text in UTF-8: it has NUL bytes, as UTF-16 has")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("not text in UTF-8") from None
