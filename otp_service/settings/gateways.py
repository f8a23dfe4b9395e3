"""`[providers.*]`: one struct for each type of gateway, told apart by `type`.

What a key means on the wire, and why it is there, is in the gateway's adapter. A vendor with one public host has it
as default; a gateway that everyone runs on a host of their own has none. Accounts may be written plainly or as
`env:NAME` or `file:/path`; passwords only as the latter. Installed packages add types of their own (`plugins`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from otp_service.settings.forms import Before
from otp_service.settings.mistakes import Finding
from otp_service.settings.secrets import SealingKey, SecretText
from otp_service.settings.values import Account, BaseUrl, Currency, Price, PriceArea, SpendCap, Text
from otp_service.settings.wire import Accepted, Headers, HttpMethod, Placeholder, Pointer, WireText

__all__ = [
    "BUILT_IN",
    "Caps",
    "CommonProvider",
    "Eims",
    "Http",
    "Inbox",
    "Kedasms",
    "Sendcloud",
    "Smshub",
    "Table",
    "Twilio",
    "Vonage",
]

EimsMethod = Annotated[Literal["get", "post"], Before(lambda raw: raw.lower() if isinstance(raw, str) else raw)]


PollSeconds = Annotated[float, Meta(ge=0, le=3600)]
"""How often a gateway is asked what became of a message; 0: never."""


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the config: frozen, and without unknown keys."""


class Caps(Table, frozen=True, kw_only=True):
    """Most messages and most money of one UTC day; an alert at a share of them. None: no cap."""

    daily_message_cap: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None
    daily_spend_cap: SpendCap | None = None
    alert_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.8
    block_on_limit: bool = True
    currency: Currency = "USD"


class CommonProvider(Caps, frozen=True, kw_only=True):
    """What every provider has.

    `price` is for one segment, by country or `default`; `max_per_second` and `max_concurrent` count over all replicas.
    """

    timeout_seconds: Annotated[float, Meta(ge=0.5, le=30)] = 8.0
    max_per_second: Annotated[float, Meta(gt=0, le=10_000)] | None = None
    max_concurrent: Annotated[int, Meta(ge=1, le=1000)] = 16
    price: Mapping[PriceArea, Price] = field(default_factory=lambda: MappingProxyType[str, Decimal]({}))

    @property
    def type(self) -> str:
        """The type as the config writes it."""
        return str(self.__struct_config__.tag)

    def mistakes(self) -> Iterator[Finding]:
        """Say what is wrong with values that stand together; for structs of packages, ours are judged by `checks`."""
        yield from ()


class Kedasms(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="kedasms"):
    """KedaSMS. Messages go to `base_url`, sealed with `encryption_key`; states are asked at `status_base_url`.

    `report_poll_seconds` is 0 here: a state is asked for by an id that only a callback names, and that callback tells
    the state by itself.
    """

    base_url: BaseUrl = "https://www.kedasms.net"
    status_base_url: BaseUrl = "https://backup.kedasms.net"
    api_key: SecretText
    encryption_key: SealingKey
    sender_id: Text | None = None
    report_poll_seconds: PollSeconds = 0.0


class Eims(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="eims"):
    """EIMS / Ejoin. Its document shows GET only, so that is the default.

    Its reports may end with "sent" (`zero_is_delivered`).
    """

    base_url: BaseUrl
    account: Account
    password: SecretText
    variant: Literal["v1", "v2"] = "v1"
    method: EimsMethod = "get"
    sender_id: Text | None = None
    zero_is_delivered: bool = False
    report_poll_seconds: PollSeconds = 30.0


class Sendcloud(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="sendcloud"):
    """Aurora SendCloud. `variables` are what the template of `template_id` asks for, by its own names."""

    base_url: BaseUrl = "https://api.aurorasendcloud.com"
    sms_user: Account
    sms_key: SecretText
    mode: Literal["template", "text"] = "template"
    template_id: Annotated[int, Meta(ge=1, le=2**53, description="the number of an approved template")] | None = None
    variables: Mapping[Text, Placeholder] = field(default_factory=lambda: MappingProxyType({"code": "{code}"}))
    auth: Literal["parameters", "signature"] = "parameters"
    hook_key: SecretText | None = None
    sender_id: Text | None = None


class Smshub(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="smshub"):
    """CSU SMS Hub. Its own pace is one text a second: what comes faster would wait there, where nobody sees it."""

    max_per_second: Annotated[float, Meta(gt=0, le=10_000)] | None = 1.0
    base_url: BaseUrl
    program_sid: SecretText
    program_key: SecretText
    program_id: Text | None = None


class Twilio(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="twilio"):
    """Twilio Programmable Messaging. `sender` is written `from`; it or a messaging service must stand."""

    base_url: BaseUrl = "https://api.twilio.com"
    account_sid: Account
    auth_token: SecretText
    sender: Account | None = field(name="from", default=None)
    messaging_service_sid: Account | None = None


class Vonage(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="vonage"):
    """Vonage SMS API. `sender` is written `from`; with `signature_secret` only signed receipts are believed."""

    base_url: BaseUrl = "https://rest.nexmo.com"
    api_key: Account
    api_secret: SecretText
    sender: Account = field(name="from")
    signature_secret: SecretText | None = None
    signature_method: Literal["md5hash", "md5", "sha1", "sha256", "sha512"] = "md5hash"


class Http(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="http"):
    """Any gateway with one request for one message.

    `url`, `headers` and `body` are templates, kept secret because tokens stand in them; values go in escaped for
    where they stand. `base_url` takes the place of scheme and host of `url`, or stands before a `url` that is a path.
    Without `accepted_when`, every 2xx is acceptance.
    """

    base_url: BaseUrl | None = None
    method: HttpMethod = "POST"
    url: WireText
    headers: Headers = field(default_factory=lambda: MappingProxyType({}))
    body: WireText | None = None
    accepted_when: Accepted | None = None
    message_id: Pointer | None = None


class Inbox(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="inbox"):
    """Keeps messages instead of sending them, for development and tests."""

    base_url: BaseUrl | None = None


BUILT_IN: Final[Mapping[str, type[CommonProvider]]] = MappingProxyType(
    {str(kind.__struct_config__.tag): kind for kind in (Kedasms, Eims, Sendcloud, Smshub, Twilio, Vonage, Http, Inbox)}
)
"""By what stands in `type`."""
