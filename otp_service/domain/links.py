"""The address that a message may contain (`{link}`), such as one to reset a password.

It may carry a token, so it is as secret as the code.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["LINK_PATTERN", "MAX_LINK_CHARS", "is_short_link", "link_host"]

MAX_LINK_CHARS: Final = 2048

LINK_PATTERN: Final = r"\Ahttps://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?(?:[/?#][A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*)?\Z"
"""A URL with a plain host name, no user or password, in the characters of RFC 3986: all parsers find the same host."""

_LINK: Final = re.compile(LINK_PATTERN)
_END_OF_HOST: Final = re.compile(r"[:/?#]")


def link_host(link: str) -> str:
    """Return the host of an address that matches `LINK_PATTERN`, in lower case."""
    return _END_OF_HOST.split(link.removeprefix("https://"), maxsplit=1)[0].lower()


def is_short_link(short: str, link: str) -> bool:
    """Return whether `short`, which a gateway returned, is an address and shorter than `link`."""
    return len(short) < len(link) and _LINK.fullmatch(short) is not None
