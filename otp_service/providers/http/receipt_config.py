"""The table `receipts` of an `http` provider: how a gateway's delivery receipts are authenticated and read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

from msgspec import Meta, field

from otp_service.providers.config_fields import ReceiptToken, Table, Text
from otp_service.providers.config_parsing import Finding
from otp_service.providers.http.charge import ChargeMapping
from otp_service.providers.http.json_pointer import JsonPointer

__all__ = ["HeaderName", "ReceiptMapping"]

MAX_STATES: Final = 64


HeaderName = Annotated[
    str, Meta(pattern=r"\A[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}\Z", description="the name of an HTTP header")
]
States = Annotated[tuple[Text, ...], Meta(max_length=MAX_STATES)]
UndeliveredReason = Literal[
    "recipient_invalid", "recipient_blocked", "destination_unsupported", "content_rejected", "config_error", "funds",
    "throttled", "transient",
]  # fmt: skip


class ReceiptMapping(Table, frozen=True, kw_only=True):
    """Delivery receipts. They are JSON; a form or a query is read as an object with a member for each field.

    A receipt is authenticated by the URL of its message (`{receipt_url}`), or by `token`: for one URL of the account,
    `/v1/receipts/NAME/TOKEN` (a token without a slash) or `/v1/receipts/NAME?token=TOKEN` (`token_parameter`), or in
    the header `token_header`, as its whole value. `message_id` is then where a receipt has our `{message_id}`. `items`
    is the list in a call with several receipts, and the other pointers start at one of its items.

    `delivered` and `underway` list states of the gateway; `undelivered` has the reason for each state that means that
    the message will not arrive. Any other state is logged (`receipt_state_unknown`), and changes nothing.
    """

    status: JsonPointer
    delivered: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=MAX_STATES)]
    undelivered: Annotated[Mapping[Text, UndeliveredReason], Meta(max_length=MAX_STATES)] = field(
        default_factory=lambda: MappingProxyType({})
    )
    underway: States = ()
    items: JsonPointer | None = None
    message_id: JsonPointer | None = None
    provider_message_id: JsonPointer | None = None
    to: JsonPointer | None = None
    charged: ChargeMapping | None = None
    token: ReceiptToken | None = None
    token_parameter: Text = "token"  # noqa: S105 - a name
    token_header: HeaderName | None = None

    def cross_check(self) -> Iterator[Finding]:
        """Require that every state has one meaning."""
        states = [*self.delivered, *self.undelivered, *self.underway]
        for state in sorted({state for state in states if states.count(state) > 1}):
            yield ("status",), f"the state {state!r} is listed twice", "each state once"
