"""The public API for packages that add a type of provider. All of its names are kept stable.

Such a package registers an entry point in the group `otp_service.providers`, named after the `type` that it adds:

    [project.entry-points."otp_service.providers"]
    acmesms = "acmesms:PLUGIN"

The entry point refers to a `ProviderPlugin`: the struct of the provider's table in the configuration, and a function
or class that makes the provider.

    class AcmesmsConfig(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="acmesms"):
        base_url: BaseUrl
        token: SecretText

    PLUGIN = ProviderPlugin(AcmesmsConfig, Acmesms)

**The table** inherits the keys of `CommonProvider` (timeout, rate, price, daily caps) and adds its own. A key is
validated by its type: a plain type with msgspec's `Meta`, or one of these:

- `BaseUrl`: the address of the gateway;
- `Text`: text that is not a secret;
- `Account`: an account name or id, written as text, `env:NAME` or `file:/path`;
- `SecretText`: always written `env:NAME` or `file:/path`, and delivered as a `Secret`.

An error names the path of its key. Override `cross_check` to validate keys together; it yields a `Finding` per error.

**The provider** implements `Provider`. It sends a message once, within its timeout, and returns an `Outcome` for every
failure; `msgspec.structs.replace` copies a message or a result. It does not repeat a send, wait for capacity or select
another provider. It calls its gateway with the `GatewayClient` that it is given, which returns `TRANSIENT` or
`AMBIGUOUS` when there is no response, and closes that client in `close`. To support delivery receipts, delivery reports
or balances, it also implements `ReceiptProvider`, `PollingProvider` or `BalanceProvider`; `UrlCheckProvider` if the
gateway checks the URL of receipts; `AccountTokenProvider` if one URL with a token of the account serves all messages;
`ChargeReportingProvider` if it says what it charged, in `charged` of a result, a receipt or a report, and
`ChargeQueryProvider` if it says so in reports only, after the message was sent; `FeedbackProvider` if it wants to know
which messages were verified. Another channel than SMS is declared by the property `channels` of the table. Never put
message texts, codes, phone numbers or secrets into a log, an error or a `repr`.

The entry point is imported only if a configured provider has its type; if it is broken, the configuration is invalid.
See `tests/plugin_example` for a complete package.
"""

from otp_service.domain.message import (
    Balance,
    Channel,
    DeliveryReport,
    OutboundMessage,
    Receipt,
    ReceiptForged,
    ReceiptRequest,
    SendResult,
)
from otp_service.domain.outcomes import DeliveryStatus, HealthSignal, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.base import (
    AccountTokenProvider,
    BalanceProvider,
    ChargeQueryProvider,
    ChargeReportingProvider,
    FeedbackProvider,
    PollingProvider,
    Provider,
    ReceiptProvider,
    UrlCheckProvider,
)
from otp_service.providers.config_fields import Account, BaseUrl, CommonProvider, SecretText, Text
from otp_service.providers.config_parsing import Finding
from otp_service.providers.http_client import GatewayClient, GatewayResponse
from otp_service.providers.lenient_json import json_object, parse_integer
from otp_service.providers.registry import ProviderPlugin
from otp_service.providers.responses import retry_after_seconds, undocumented_response

__all__ = [
    "Account",
    "AccountTokenProvider",
    "Balance",
    "BalanceProvider",
    "BaseUrl",
    "Channel",
    "ChargeQueryProvider",
    "ChargeReportingProvider",
    "CommonProvider",
    "DeliveryReport",
    "DeliveryStatus",
    "FeedbackProvider",
    "Finding",
    "GatewayClient",
    "GatewayResponse",
    "HealthSignal",
    "OutboundMessage",
    "Outcome",
    "PollingProvider",
    "Provider",
    "ProviderPlugin",
    "Receipt",
    "ReceiptForged",
    "ReceiptProvider",
    "ReceiptRequest",
    "Secret",
    "SecretText",
    "SendResult",
    "Text",
    "UrlCheckProvider",
    "json_object",
    "parse_integer",
    "retry_after_seconds",
    "undocumented_response",
]
