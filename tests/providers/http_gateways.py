"""Gateways that are configured as type `http` from nothing but TOML, and servers that check the bytes they receive.

Each table is what an operator writes for such a gateway: KedaSMS (JSON, a national number beside the country, a
callback URL for each message), Zenziva (a form, 08..., HTTP 200 for every result) and Infobip (JSON, an API key in a
header, reports in batches).
"""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from otp_service.bootstrap.settings_mapping import build_providers
from otp_service.domain.message import OutboundMessage
from otp_service.providers.http.adapter import HttpProvider
from otp_service.providers.http.config import HttpConfig
from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.sandbox.simulators.http_server import Request, Simulator, SimulatorResponse
from otp_service.settings import load

ENVIRON: Final[Mapping[str, str]] = {
    "KEDA_KEY": 'keda "key"',
    "ZENZIVA_USER": "user&key",
    "ZENZIVA_PASS": "pass=key 100%",
    "INFOBIP_KEY": "infobip-key",
    "INFOBIP_TOKEN": "infobip-receipts-token",
}

KEDASMS_LIKE: Final = """
[providers.keda]
type = "http"
url = "https://www.kedasms.net/api/sms/send"
body = '''{"apiKey": "{api_key}", "countryCode": "{country}", "phoneNumbers": ["{to}"], "content": "{text}",
 "senderId": "{sender}", "trackClick": false, "callbackUrl": "{receipt_url}"}'''
secrets = { api_key = "env:KEDA_KEY" }
to_format = "national_digits"
sender = "Acme"
accepted_when = { status = "2xx", "/code" = "0" }
message_id = "/data/taskId"
outcomes = [
  { when = { status = 402 }, outcome = "funds" },
  { when = { status = [400, 422], text_contains = ["phone", "number"] }, outcome = "recipient_invalid" },
]
[providers.keda.receipts]
status = "/status"
delivered = ["DELIVERED"]
undelivered = { UNDELIVERED = "transient", REJECTED = "content_rejected" }
underway = ["SENT"]
to = "/recipient"
provider_message_id = "/msgid"
"""

ZENZIVA_LIKE: Final = """
[providers.zenziva]
type = "http"
url = "https://console.zenziva.net/reguler/api/sendsms/"
body = "userkey={userkey}&passkey={passkey}&to={to}&message={text}"
secrets = { userkey = "env:ZENZIVA_USER", passkey = "env:ZENZIVA_PASS" }
to_format = "national"
accepted_when = { "/status" = "1" }
message_id = "/messageId"
outcomes = [
  { when = { "/status" = "0", text_contains = "Userkey" }, outcome = "config_error" },
  { when = { "/status" = "0", text_contains = ["Saldo", "balance"] }, outcome = "funds" },
  { when = { "/status" = "0" }, outcome = "transient" },
]
balance = { url = "https://console.zenziva.net/api/balance/?userkey={userkey}&passkey={passkey}", amount = "/balance" }
"""

INFOBIP_LIKE: Final = """
[providers.infobip]
type = "http"
url = "https://abc.api.infobip.com/sms/3/messages"
headers = { Authorization = "App {api_key}" }
body = '''
{
  "messages": [
    {
      "sender": "{sender}",
      "destinations": [{ "to": "{to}", "messageId": "{message_id}" }],
      "content": { "text": "{text}" }
    }
  ]
}
'''
secrets = { api_key = "env:INFOBIP_KEY" }
to_format = "digits"
sender = "Acme"
accepted_when = { "/messages/0/status/groupName" = ["PENDING", "DELIVERED"] }
message_id = "/messages/0/messageId"
balance = { url = "https://abc.api.infobip.com/account/1/balance", amount = "/balance", currency = "EUR" }
outcomes = [
  { when = { "/messages/0/status/name" = "REJECTED_NOT_ENOUGH_CREDITS" }, outcome = "funds" },
  { when = { "/messages/0/status/id" = [6, 7] }, outcome = "destination_unsupported" },
  { when = { "/messages/0/status/id" = [8, 14] }, outcome = "recipient_invalid" },
  { when = { "/messages/0/status/id" = 24 }, outcome = "recipient_blocked" },
  { when = { "/messages/0/status/id" = 13 }, outcome = "config_error" },
  { when = { "/messages/0/status/groupName" = "REJECTED" }, outcome = "content_rejected" },
]
[providers.infobip.receipts]
token = "env:INFOBIP_TOKEN"
items = "/results"
message_id = "/messageId"
to = "/to"
status = "/status/name"
delivered = ["DELIVERED_TO_HANDSET"]
undelivered = { UNDELIVERABLE_NOT_DELIVERED = "transient", EXPIRED_EXPIRED = "transient" }
underway = ["PENDING_ACCEPTED", "DELIVERED_TO_OPERATOR"]
"""

RULED: Final[Mapping[str, Any]] = {
    "type": "http",
    "url": "https://sms.example.com/send?code={code}",
    "body": '{"to": "{to}", "text": "{text}", "brand": "{brand}"}',
    "accepted_when": {"/code": [0, 1]},
    "outcomes": [{"when": {"status": 400, "text_contains": ["a", "0"]}, "outcome": "funds"}] * 64,
}
"""A provider with as many rules as are allowed."""

RECEIPT_URL: Final = "https://otp.example.com/v1/receipts/keda/m-1.mac"
MESSAGE: Final = OutboundMessage(
    "m-1",
    "+6281210100055",
    "ID",
    "81210100055",
    'Kopi & "Café" <b>: kode 739251\n+ 100% \u2713',
    "739251",
    300,
    brand='A&B "x"',
    minutes=5,
    receipt_url=RECEIPT_URL,
)


def http_table(toml: str, **changes: Any) -> dict[str, Any]:
    """Return the one provider table of a TOML text, with changed keys; None removes a key."""
    [table] = tomllib.loads(toml)["providers"].values()
    return {name: value for name, value in {**table, **changes}.items() if value is not None}


def load_http(table: Mapping[str, Any], environ: Mapping[str, str] = ENVIRON) -> HttpConfig:
    """Load the provider `it` with this table, as the service does."""
    document = merged(dev_config("redis://127.0.0.1"), {"providers": {"it": dict(table)}})
    config = load(document, environ, plain_secrets=True).providers["it"]
    assert isinstance(config, HttpConfig)
    return config


@asynccontextmanager
async def http_provider(table: Mapping[str, Any]) -> AsyncIterator[HttpProvider]:
    """Build the provider `it` from its table, as the composition root does."""
    document = merged(dev_config("redis://127.0.0.1"), {"providers": {"it": dict(table)}})
    document["routes"] = [{"providers": ["it"]}]
    provider = build_providers(load(document, ENVIRON, plain_secrets=True))["it"]
    assert isinstance(provider, HttpProvider)
    yield provider
    await provider.close()


def reply(members: Any, status: int = 200) -> SimulatorResponse:
    """Return a JSON response."""
    return SimulatorResponse(msgspec.json.encode(members), status, {"Content-Type": "application/json"})


class RecordingGateway(Simulator):
    """Records every request, and answers with the same response."""

    def __init__(self, response: SimulatorResponse | None = None) -> None:
        super().__init__()
        self.response = response or reply({})

    def answer(self, request: Request) -> SimulatorResponse:  # noqa: ARG002 - it answers all alike
        """Return the response."""
        return self.response


class KedasmsLike(Simulator):
    """Accepts a message only in exactly the documented members."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[dict[str, Any]] = []

    def answer(self, request: Request) -> SimulatorResponse:
        """Accept a message."""
        if (request.method, request.target) != ("POST", "/api/sms/send"):
            return reply({"code": "404", "message": "Not found"}, 404)
        message = msgspec.json.decode(request.body)
        if message.pop("apiKey") != ENVIRON["KEDA_KEY"]:
            return reply({"code": "401", "message": "Invalid API key"}, 401)
        names = ["countryCode", "phoneNumbers", "content", "senderId", "trackClick", "callbackUrl"]
        if list(message) != names or request.headers["content-type"] != "application/json":
            return reply({"code": "400", "message": "Invalid payload"}, 400)
        self.messages.append(message)
        data = {"taskId": f"task-{len(self.messages)}", "debitedAmount": 0.048, "currency": "USD"}
        return reply({"code": "0", "message": "Success", "data": data})


class ZenzivaLike(Simulator):
    """Answers every request with HTTP 200, and accepts exactly the documented fields in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[tuple[str, str]] = []

    def answer(self, request: Request) -> SimulatorResponse:
        """Accept a message, or return the balance."""
        is_balance = request.method == "GET" and request.path == "/api/balance/"
        fields = parse_qsl(request.query if is_balance else request.body.decode(), keep_blank_values=True)
        if fields[:2] != [("userkey", ENVIRON["ZENZIVA_USER"]), ("passkey", ENVIRON["ZENZIVA_PASS"])]:
            return reply({"status": "0", "text": "Userkey / Passkey salah"})
        if is_balance:
            return reply({"status": "1", "balance": "1,234,567.50"})
        if (request.method, request.path) != ("POST", "/reguler/api/sendsms/"):
            return reply({"status": "0", "text": "Not found"}, 404)
        [(to_name, to), (text_name, text)] = fields[2:]
        if (to_name, text_name) != ("to", "message") or not to.startswith("08"):
            return reply({"status": "0", "text": "Nomor salah"})
        self.messages.append((to, text))
        return reply({"messageId": 100 + len(self.messages), "to": to, "status": "1", "text": "Success"})
