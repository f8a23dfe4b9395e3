"""Values that the delivery and the providers exchange: messages, results, receipts, balances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

import msgspec

from otp_service.domain.opt_out import OptOutAction
from otp_service.domain.outcomes import DeliveryStatus, HealthSignal, Outcome
from otp_service.domain.secret import MaskedStruct
from otp_service.domain.sms_segments import count_segments

__all__ = [
    "AccountLimits",
    "Balance",
    "Channel",
    "DeliveryReport",
    "GatewayEvent",
    "InboundMessage",
    "LinkClick",
    "OutboundMessage",
    "Receipt",
    "ReceiptForged",
    "ReceiptRequest",
    "SendResult",
    "TemplateReview",
]


class Channel(StrEnum):
    """How a message reaches its recipient. `voice` is a call that speaks the code."""

    SMS = "sms"
    WHATSAPP = "whatsapp"
    VOICE = "voice"
    EMAIL = "email"

    def segments(self, text: str) -> int:
        """Return how many units of the provider's price a text costs: SMS segments, or one message or call."""
        return count_segments(text) if self is Channel.SMS else 1


class OutboundMessage(MaskedStruct, frozen=True):
    """A message that a provider sends. `code` and `text` are secret and not part of the `repr`.

    Attributes:
        message_id: Our id of the message; the same in every retry and at every provider.
        to: The recipient's number in E.164; by e-mail, the address.
        country: The number's country, ISO 3166 alpha-2; "" for an address.
        national_digits: The national number, without country code and trunk prefix; "" for an address.
        text: What the recipient reads, with the code in it; in a call, what is spoken, with the digits apart.
        code: The code alone, for gateways that fill in a template of their own.
        expires_in: How many seconds the code is still valid; at least 1.
        brand: The tenant's brand, for the gateway's template.
        minutes: How many minutes the code is valid, as the text states it, for the gateway's template.
        receipt_url: Where the gateway sends receipts for this message; "" without a public URL.
        channel: How the message reaches its recipient.
        locale: The locale that the caller asked for, "" if none of the templates has it.
        purpose: What the code is for, for gateways with a template for each purpose.
        subject: The subject of an e-mail.
        html: The HTML of an e-mail, with the same content as `text`.
        link: The address in `text`, which may carry a token and is as secret as the code; "" if there is none.
        needs_text: The recipient must read `text`, because it names a transaction: a provider that sends a text of its
            own must reject the message.
    """

    message_id: str
    to: str
    country: str
    national_digits: str
    text: str
    code: str
    expires_in: int
    brand: str = ""
    minutes: int = 0
    receipt_url: str = ""
    channel: Channel = Channel.SMS
    locale: str = ""
    purpose: str = ""
    subject: str = ""
    html: str = ""
    link: str = ""
    needs_text: bool = False

    @property
    def segments(self) -> int:
        """How many units of the provider's price the message costs."""
        return self.channel.segments(self.text)

    def __repr__(self) -> str:
        """Show the id only."""
        return f"OutboundMessage({self.message_id})"


class SendResult(msgspec.Struct, frozen=True):
    """The result of a send.

    Attributes:
        outcome: What happened to the message.
        provider_message_id: The gateway's id of the message; "" if it returned none.
        retry_after: After how many seconds the gateway wants to be called again; None if it does not say.
        signal: What the result says about the provider's health, if that does not follow from the outcome. For example,
            an undocumented rejection is a `config_error` that counts as a FAILURE, but a rejected password is a TRIP.
        charged: The price that the gateway reports for the whole message; None if it reports none.
        charged_currency: The currency of `charged` (ISO 4217); "" if the gateway does not name it: the account's.
        parts: The gateway's id of each part of the message, if each has receipts of its own (`Receipt.part`); "" for a
            part without an id. Empty if receipts are about the whole message.
    """

    outcome: Outcome
    provider_message_id: str = ""
    retry_after: float | None = None
    signal: HealthSignal | None = None
    charged: Decimal | None = None
    charged_currency: str = ""
    parts: tuple[str, ...] = ()

    @property
    def health(self) -> HealthSignal:
        """What the result says about the provider's health."""
        return self.signal or HealthSignal.of(self.outcome)

    @classmethod
    def undocumented(cls, retry_after: float | None = None) -> SendResult:
        """Return the result of an undocumented rejection: not sent, and counted as a failure of the provider."""
        return cls(Outcome.CONFIG_ERROR, retry_after=retry_after, signal=HealthSignal.FAILURE)


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """The response to a delivery query.

    `status` None: not known yet. `error`: why the message is undelivered. `charged` and `charged_currency`: see
    `SendResult`.
    """

    status: DeliveryStatus | None
    error: Outcome | None = None
    charged: Decimal | None = None
    charged_currency: str = ""


@dataclass(frozen=True, slots=True)
class ReceiptRequest:
    """A call of a gateway to `/v1/receipts/{provider}[/{token}]`.

    Attributes:
        method: The HTTP method, in upper case.
        url: The public URL that the gateway called.
        message_id: Our message id from a token with a valid MAC. None without a token; then the adapter must verify
            the gateway's own signature.
        now: The current time in Unix seconds.
        has_account_token: Whether the path has the account's token; see `AccountTokenProvider`.
        content_type: The `Content-Type` header; "" if there is none.
        headers: The headers, with names in lower case.
        query: The decoded query parameters, in their order.
        body: The raw body.
    """

    method: str
    url: str
    message_id: str | None
    now: float
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    has_account_token: bool = False

    def __repr__(self) -> str:
        """Leave out the body and the query: they may contain a number."""
        return f"ReceiptRequest({self.method}, {self.message_id})"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One authentic report about one message.

    Attributes:
        message_id: Our id of the message; "" if the gateway names only its own id (`provider_message_id`) and the
            recipient (`to`), by which the message is found.
        status: `delivered` or `undelivered`; None if nothing changes (a test call, or the message was only sent).
        error: Why the message is undelivered.
        provider_message_id: The gateway's id of the message; "" if the receipt does not contain it.
        to: The recipient in the receipt, in E.164 or digits; "" if it contains none. A receipt for another number
            than the message's is ignored.
        nonce: A value that may be used for one receipt only, against replay; "" if there is none.
        part: The gateway's id of the part that the receipt is about, one of `SendResult.parts`; "" if it is about the
            whole message, which then has one receipt.
        call: The call to the provider that the receipt's URL names; None if it names none.
        charged: The price that the gateway reports for the whole message; None if it reports none.
        charged_currency: The currency of `charged` (ISO 4217); "" if the gateway does not name it: the account's.
    """

    message_id: str
    status: DeliveryStatus | None
    error: Outcome | None = None
    provider_message_id: str = ""
    to: str = ""
    nonce: str = ""
    part: str = ""
    call: int | None = None
    charged: Decimal | None = None
    charged_currency: str = ""


@dataclass(frozen=True, slots=True)
class TemplateReview:
    """The gateway reviewed one of the account's templates; `approved` is None while the review is not finished."""

    template_id: str
    approved: bool | None


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """A message that somebody sent to the account's number.

    Attributes:
        id: The gateway's id of the message, by which it is handled once; "" if the gateway has none, so that it is
            handled each time that it arrives.
        sender: The sender's number in E.164; "" if it is not a phone number.
        text: The text.
        at: When it was sent, in Unix seconds by the gateway's clock; 0: unknown.
        action: The opt-out or opt-in that the gateway itself has recognized; None: it follows from the text.
        nonce: A value that may be used for one event only, against replay; "" if there is none.
    """

    id: str
    sender: str
    text: str
    at: float = 0.0
    action: OptOutAction | None = None
    nonce: str = ""

    def __repr__(self) -> str:
        """Hide the number and the text."""
        return "InboundMessage()"


@dataclass(frozen=True, slots=True)
class LinkClick:
    """Somebody, or a program that previews messages, has opened the short address in our message `message_id`."""

    message_id: str


GatewayEvent = InboundMessage | LinkClick | Receipt | TemplateReview
"""What an authentic call of a gateway may report."""


class ReceiptForged(Exception):
    """The call is not authentic: its token or signature is wrong. It gets 401 and changes nothing."""


@dataclass(frozen=True, slots=True)
class Balance:
    """The balance of an account; `currency` is "" if the gateway does not name it."""

    amount: Decimal
    currency: str = ""


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """Daily caps that the gateway itself enforces for an account; None: no cap."""

    daily_message_cap: int | None
    daily_spend_cap: Decimal | None
    alert_threshold: float
    block_on_limit: bool
