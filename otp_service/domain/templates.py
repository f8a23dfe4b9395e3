"""The message templates: how they are compiled and rendered.

A template has the placeholders `{brand}`, `{code}`, `{minutes}`, `{link}`, and those of a transaction: `{amount}`,
`{currency}` and `{payee}`, all three or none. There is nothing else: no format specifications, no attributes, no
escapes (`str.format` would give access to objects). It is divided into parts once. An inserted value is not parsed
again, so a brand spelled `{code}` is sent literally.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from otp_service.domain.code_binding import Transaction

Templates = Mapping[str, Mapping[str, "Template"]]
"""Templates by locale, then by purpose or `default`."""

DEFAULT_PURPOSE: Final = "default"

TRANSACTION_PURPOSE: Final = "transaction"
"""The key, beside `default`, of the template for transactions of all purposes without a template of their own."""

_OF_TRANSACTION: Final = frozenset({"amount", "currency", "payee"})
_NO_TRANSACTION: Final = dict.fromkeys(_OF_TRANSACTION, "")
"""The values if the template named no transaction when its message was requested."""
_PLACEHOLDERS: Final = ("brand", "code", "minutes", "link", "amount", "currency", "payee")
_ALLOWED: Final = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
_BRACED: Final = re.compile(r"\{([^{}]*)\}")


class TemplateInvalid(Exception):
    """The source is not a template. The message says what was found, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template: literal text at even indexes of `parts`, names of placeholders at odd ones."""

    parts: tuple[str, ...]

    @property
    def placeholders(self) -> frozenset[str]:
        """The names of the placeholders that the template contains."""
        return frozenset(self.parts[1::2])

    @property
    def has_link(self) -> bool:
        """Whether the text contains the address of the request."""
        return "link" in self.placeholders

    @property
    def has_transaction(self) -> bool:
        """Whether the text names the transaction of the request."""
        return "payee" in self.placeholders

    def render(
        self, brand: str, code: str, minutes: int, link: str = "", transaction: Transaction | None = None
    ) -> str:
        """Return the text to send, in Unicode's normal form C. It contains the code: never log it.

        A letter and its accent as two characters would make a text UCS-2 (`e` and U+0301), or longer.
        """
        values = {"brand": brand, "code": code, "minutes": str(minutes), "link": link}
        values |= transaction.values if transaction else _NO_TRANSACTION
        parts = list(self.parts)
        parts[1::2] = map(values.__getitem__, parts[1::2])
        return unicodedata.normalize("NFC", "".join(parts))


def compile_template(source: str) -> Template:
    """Compile a template. `{code}` is required, and may appear twice (`@host #{code}`).

    Raises:
        TemplateInvalid: There is an unknown placeholder, a single brace, no `{code}`, or a part of a transaction only.
    """
    parts = tuple(_BRACED.split(source))
    literals, names = parts[::2], parts[1::2]
    if unknown := [name for name in names if name not in _PLACEHOLDERS]:
        raise TemplateInvalid(f"unknown placeholder {{{unknown[0]}}}; allowed: {_ALLOWED}")
    if any("{" in literal or "}" in literal for literal in literals):
        raise TemplateInvalid(f"a single brace; use braces only around {', '.join(_PLACEHOLDERS)}")
    if "code" not in names:
        raise TemplateInvalid("{code} is missing; add it where the message shows the code")
    if missing := not _OF_TRANSACTION.isdisjoint(names) and sorted(_OF_TRANSACTION - set(names)):
        raise TemplateInvalid(f"{{{missing[0]}}} is missing; a text names amount, currency and payee, or none of them")
    return Template(parts)


def validity_minutes(ttl_seconds: int) -> int:
    """Return the `minutes` of a message: how long the code is valid, rounded up."""
    return max(1, -(-ttl_seconds // 60))
