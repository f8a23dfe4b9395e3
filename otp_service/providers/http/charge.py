"""The tables `charged` of an `http` provider: where a response or a receipt says what the gateway charged."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from otp_service.providers.config_fields import Table
from otp_service.providers.http.json_pointer import JsonPointer, resolve, scalar_text
from otp_service.providers.lenient_json import parse_amount

__all__ = ["ChargeMapping", "read_charge"]

MAX_CURRENCY_CHARS: Final = 8


class ChargeMapping(Table, frozen=True, kw_only=True):
    """What the gateway charged for the whole message; without `currency` it is that of the provider."""

    amount: JsonPointer
    currency: JsonPointer | None = None


def read_charge(mapping: ChargeMapping | None, document: Any) -> tuple[Decimal | None, str]:
    """Return the amount and its currency, "" for that of the provider; None if the document does not name an amount.

    A currency that cannot be read is not that of the provider, so the amount has no effect.
    """
    if mapping is None or (amount := parse_amount(scalar_text(resolve(document, mapping.amount)))) is None:
        return None, ""
    if mapping.currency is None:
        return amount, ""
    return amount, (scalar_text(resolve(document, mapping.currency)) or "unknown").strip()[:MAX_CURRENCY_CHARS]
