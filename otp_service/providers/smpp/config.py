"""The table of an SMPP provider in the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Annotated, Final, Literal

from msgspec import Meta, field

from otp_service.providers.config_fields import Account, CaFile, CommonProvider, Host, SecretText
from otp_service.providers.config_parsing import Finding
from otp_service.providers.sender_ids import SenderIds, no_sender_ids, sender_findings

__all__ = ["EXTRA", "ReceiptIdFormat", "SmppConfig", "is_installed"]

EXTRA: Final = "otp-service[smpp]"
"""What installs the library of this provider type."""

MAX_SYSTEM_ID_CHARS: Final = 15
MAX_PASSWORD_CHARS: Final = 64
"""The specification allows 8; many SMSCs accept longer ones, and refuse what they do not accept."""

MAX_SENDER_CHARS: Final = 20
MAX_NAME_CHARS: Final = 11

ReceiptIdFormat = Literal["as_is", "hex_to_decimal", "decimal_to_hex"]
AddressCode = Annotated[int, Meta(ge=0, le=255)]


class SmppConfig(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="smpp"):
    """An account at an SMSC, bound as a transceiver (SMPP 3.4).

    At most `window` messages wait for a response. `sender_ids` are the senders by country; `from_ton` and `from_npi`
    replace what follows from the kind of a sender. `gsm_packed`: septets are packed. `latin1`: texts of Latin-1 that
    GSM 03.38 does not have are sent as such. `long_messages`: a text of several segments is sent in parts with a user
    data header, or whole as the parameter message_payload. `receipt_id_format`: the id in a receipt is converted before
    it is compared with the response's.
    """

    host: Host
    port: Annotated[int, Meta(ge=1, le=65535)] = 2775
    tls: bool = False
    ca_file: CaFile | None = None
    system_id: Account
    password: SecretText
    system_type: Annotated[str, Meta(pattern=r"\A[ -~]{1,12}\Z", description="1 to 12 characters of ASCII")] | None = (
        None
    )
    sender: Account | None = field(name="from", default=None)
    sender_ids: SenderIds = field(default_factory=no_sender_ids)
    from_ton: AddressCode | None = None
    from_npi: AddressCode | None = None
    service_type: Annotated[str, Meta(pattern=r"\A[!-~]{0,5}\Z", description="at most 5 characters")] = ""
    window: Annotated[int, Meta(ge=1, le=1000)] = 10
    enquire_link_seconds: Annotated[float, Meta(ge=1, le=600)] = 30.0
    gsm_packed: bool = False
    latin1: bool = False
    long_messages: Literal["udh", "payload"] = "udh"
    receipt_id_format: ReceiptIdFormat = "as_is"

    def cross_check(self) -> Iterator[Finding]:
        """Check the lengths that the protocol has, and that keys fit together."""
        limits = (
            ("system_id", self.system_id, MAX_SYSTEM_ID_CHARS),
            ("from", self.sender or "", MAX_SENDER_CHARS if _is_number(self.sender or "") else MAX_NAME_CHARS),
        )
        for name, value, limit in limits:
            if not _is_text_of(value, limit):
                yield (name,), "a value of this length or with these characters is not allowed", _allowed(limit)
        if not _is_text_of(self.password.reveal(), MAX_PASSWORD_CHARS):
            yield ("password",), "the value (not shown) is not allowed", _allowed(MAX_PASSWORD_CHARS)
        yield from sender_findings("from", self.sender, self.sender_ids, required="a sender; or sender_ids.default")
        if self.ca_file is not None and not self.tls:
            yield ("ca_file",), "not allowed without TLS", "tls = true"

    def senders(self) -> frozenset[str]:
        """Return every sender that messages can have, numbers without a plus."""
        return frozenset(sender.removeprefix("+") for sender in (self.sender, *self.sender_ids.values()) if sender)


def is_installed() -> bool:
    """Whether the library of this provider type is installed. It is not imported."""
    return find_spec("smpp34") is not None


def _is_number(sender: str) -> bool:
    return sender.removeprefix("+").isdigit()


def _is_text_of(value: str, limit: int) -> bool:
    """Return whether a value fits into a field of the protocol: printable ASCII, which no NUL ends early."""
    return len(value) <= limit and value.isascii() and value.isprintable()


def _allowed(limit: int) -> str:
    return f"at most {limit} characters of ASCII"
