"""What a package needs that adds a type of provider; everything public of this module is kept stable.

Such a package names an entry of the group `otp_service.providers`, which is the `type` that it adds:

    [project.entry-points."otp_service.providers"]
    acmesms = "acmesms:PLUGIN"

The entry refers to a `ProviderPlugin`: the struct of its table in the config, and what makes a provider out of one.

    class AcmesmsTable(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="acmesms"):
        base_url: BaseUrl
        token: SecretText

    PLUGIN = ProviderPlugin(AcmesmsTable, Acmesms)

- **The table** has every key of `CommonProvider` (timeout, pace, price, caps) beside its own. Keys are checked by
  their types: plain ones with msgspec's `Meta`, `BaseUrl`, `Account` (an identity, plainly or by reference), `Text`,
  and `SecretText`, which is only ever written `env:NAME` or `file:/path` and arrives as a `Secret`. Every mistake is
  named by its path. What several values do together is judged by `mistakes`, which yields a `Finding` for each.
- **The provider** is a `Provider`: it hands a message over once, within its timeout, and says an `Outcome` whatever
  happens; it never retries, waits or chooses. It calls its gateway through the `GatewayClient` that it is given, which
  says `transient` or `ambiguous` for every call without a reply, and it closes that client. What else its gateway can
  do are capabilities: it has the methods of `ReceiptProvider`, `PollingProvider` or `BalanceProvider`, or it does not.
  Texts, codes, numbers and secrets go into no log, error or `repr`.

An entry is imported only when a configured provider has its type. One that is broken is a mistake of the config then.
`tests/plugin_example` is a whole package.
"""

from otp_service.domain.message import (
    Balance,
    DeliveryReport,
    OutboundMessage,
    Receipt,
    ReceiptForged,
    ReceiptRequest,
    SendResult,
)
from otp_service.domain.outcomes import DeliveryStatus, HealthSignal, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.base import BalanceProvider, PollingProvider, Provider, ReceiptProvider
from otp_service.providers.http_client import GatewayClient, GatewayResponse
from otp_service.providers.lenient_json import foreign_answer, integer, json_object, seconds_to_wait
from otp_service.settings.gateways import CommonProvider
from otp_service.settings.mistakes import Finding
from otp_service.settings.plugins import ProviderPlugin
from otp_service.settings.secrets import SecretText
from otp_service.settings.values import Account, BaseUrl, Text

__all__ = [
    "Account",
    "Balance",
    "BalanceProvider",
    "BaseUrl",
    "CommonProvider",
    "DeliveryReport",
    "DeliveryStatus",
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
    "foreign_answer",
    "integer",
    "json_object",
    "seconds_to_wait",
]
