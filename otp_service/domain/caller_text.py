"""A text of an SMS that a caller chooses for one message, with the code as a placeholder: `{{code}}`.

Templates are configured by an operator; such a text comes with a request. A caller could send anything with it under
the tenant's sender name, so it must contain the code, its length is bounded, and it may link only to hosts that the
tenant allows. It is as secret as the code, because a caller may write the code itself into it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Final

from otp_service.domain.typed_text import normalize_typed

__all__ = ["CODE_PLACEHOLDER", "clean_text", "find_code", "names_other_host", "render_text"]

CODE_PLACEHOLDER: Final = "{{code}}"

_SAMPLE_CODE: Final = "000000"
_CODE_DIGITS: Final = range(4, 11)
_DIGITS: Final = re.compile(r"[0-9]+")
_CONTROLS: Final = {code: " " for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029) if chr(code) != "\n"}
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]{1,16}://", re.IGNORECASE)
_HOST: Final = re.compile(r"(?:[\w-]|[^\x00-\x7f\s])\.(?:[^\W\d_]|[^\x00-\x7f\s]){2}|[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
"""What phones show as a link: a dot between a label and two letters, or an IPv4 address.

Neither side is anchored: a phone finds `evil.com` in `...evil.com-1234`, too. Marks and symbols are parts of labels.
"""

_ALLOWED_HOST: Final = r"(?:https://|@)?(?<![\w.-])HOST(?![^\s/?#]{0,480}[@%\\])(?![\w.-]*\w|[^\x00-\x7f\s])"
"""An allowed host, unless it is the user name (`https://host@1234567890`) or the beginning of another host."""


def clean_text(text: str) -> str:
    """Return a text in Unicode's normal form C, with a space for each control character but the line feed."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").translate(_CONTROLS))


def render_text(text: str, code: str) -> str:
    """Return the text with each placeholder replaced by the code."""
    return text.replace(CODE_PLACEHOLDER, code)


def names_other_host(text: str, allowed: Collection[str]) -> bool:
    """Return whether a phone may show a link in the text that leads to a host outside `allowed` (in lower case).

    The last line of an origin-bound code (`@host #code`) is not a link, but names a host, which must be allowed, too.
    Hosts are searched in the compatibility form (NFKC) of the text with a code inserted: phones recognize links in
    full-width letters, and `{{code}}.do` would be one.
    """
    rest = render_text(text, _SAMPLE_CODE)
    rest = unicodedata.normalize("NFKC", normalize_typed(rest)).lower()
    rest = re.sub("\u3002(?=[a-z])", ".", rest)  # before any other letter it is a full stop
    for host in sorted(allowed, key=len, reverse=True):
        rest = re.sub(_ALLOWED_HOST.replace("HOST", re.escape(host)), " ", rest)
    return _URL.search(rest) is not None or _HOST.search(rest) is not None


def find_code(text: str) -> str | None:
    """Return the only code in a message that another service has written: its one number of 4-10 digits.

    The same number may occur twice (`@host #123456`). None if there is none, or if two numbers could be the code.
    """
    found = {digits for digits in _DIGITS.findall(text) if len(digits) in _CODE_DIGITS}
    return found.pop() if len(found) == 1 else None
