"""What a code is bound to besides its recipient: a transaction, an opaque text of the caller, both or neither.

A bound code verifies only together with the same values, which are part of what its hash is made of and are not stored
beside it. The transaction is also what the message names (PSD2, RTS (EU) 2018/389, Article 5: dynamic linking), so the
message holds it, encrypted with the code.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from otp_service.domain.secret import MaskedStruct

__all__ = [
    "AMOUNT_PATTERN",
    "BINDING_PATTERN",
    "CURRENCY_PATTERN",
    "MAX_PAYEE_CHARS",
    "PAYEE_PATTERN",
    "UNBOUND",
    "CodeBinding",
    "Transaction",
]

MAX_PAYEE_CHARS: Final = 70
"""The length of a name in SEPA payments."""

AMOUNT_PATTERN: Final = r"\A(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,4})?\Z"
"""A decimal number with a point, without sign, exponent, grouping or superfluous zeros in front of it."""

CURRENCY_PATTERN: Final = r"\A[A-Z]{3}\Z"
"""The form of a code of ISO 4217."""

_INVISIBLE: Final = (
    r"\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u2028-\u202f\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb"
)
"""Control characters, line ends, invisible characters, and those that change the direction of text."""

_SPACES: Final = r" \u00a0\u1680\u2000-\u200a\u205f\u3000"

PAYEE_PATTERN: Final = rf"\A[^{_SPACES}\ufe00-\ufe0f{_INVISIBLE}](?:[^{_INVISIBLE}]*[^{_SPACES}{_INVISIBLE}])?\Z"
"""A name on one line, without spaces at its ends, that a phone shows exactly as it was sent.

Variation selectors are allowed after another character: emoji and Japanese names have them.
"""

_INVISIBLE_BEYOND_BMP: Final = re.compile(
    "[\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]|\\A[\U000e0100-\U000e01ef]"
)
"""What `PAYEE_PATTERN` cannot name, because it is part of a JSON Schema: tags, and controls of scripts and of music."""

BINDING_PATTERN: Final = r"\A[!-~]{1,128}\Z"
"""1 to 128 visible ASCII characters, which no system between the callers changes."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A payment that a code authorizes. The texts are compared as they are: `12.5` is not `12.50`.

    Attributes:
        amount: The amount, as `AMOUNT_PATTERN` describes it.
        currency: The code of its currency (ISO 4217).
        payee: Who is paid, in Unicode's normal form C.
    """

    amount: str
    currency: str
    payee: str

    @classmethod
    def of(cls, amount: str, currency: str, payee: str) -> Transaction:
        """Return a transaction of a request: two encodings of the same letters in `payee` are one payee."""
        return cls(amount, currency, unicodedata.normalize("NFC", payee))

    @property
    def has_plain_payee(self) -> bool:
        """Whether the payee, which matches `PAYEE_PATTERN`, is visible and short also in its normal form."""
        return len(self.payee) <= MAX_PAYEE_CHARS and not _INVISIBLE_BEYOND_BMP.search(self.payee)

    @property
    def values(self) -> dict[str, str]:
        """The values by the name of their placeholder in a template, and of their member in requests and proofs."""
        return {"amount": self.amount, "currency": self.currency, "payee": self.payee}

    def __repr__(self) -> str:
        """Hide the values: they are personal data."""
        return "Transaction()"


class CodeBinding(MaskedStruct, frozen=True):
    """What a code is bound to; `text` is "" for no opaque text."""

    transaction: Transaction | None = None
    text: str = ""

    @property
    def hashed_parts(self) -> tuple[str, ...]:
        """The parts that are hashed after the code: none for a code that is bound to nothing.

        Different bindings have different parts: 4 for a transaction, then 2 for a text; each group begins with its
        name.
        """
        parts: tuple[str, ...] = ()
        if self.transaction is not None:
            parts = ("transaction", *self.transaction.values.values())
        return (*parts, "binding", self.text) if self.text else parts

    def __repr__(self) -> str:
        """Hide the text: only its caller knows what it says."""
        return f"CodeBinding({self.transaction})"


UNBOUND: Final = CodeBinding()
"""The binding of a code that is bound to nothing."""
