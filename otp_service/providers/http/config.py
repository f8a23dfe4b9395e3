"""The table of an `http` provider in the configuration: a request, and what the responses to it mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta, field

from otp_service.domain.message import Channel
from otp_service.domain.secret import Secret
from otp_service.providers.config_fields import (
    Account,
    BaseUrl,
    ChannelName,
    CommonProvider,
    Currency,
    SecretText,
    Table,
    Text,
)
from otp_service.providers.config_fields import is_web_url as is_complete_url
from otp_service.providers.config_parsing import (
    REFERENCE_SYNTAX,
    FieldContext,
    Finding,
    InvalidValue,
    Parse,
    Path,
    is_reference,
)
from otp_service.providers.http.charge import ChargeMapping
from otp_service.providers.http.conditions import Conditions, OutcomeRule
from otp_service.providers.http.json_pointer import JsonPointer
from otp_service.providers.http.receipt_config import HeaderName, ReceiptMapping
from otp_service.providers.http.request_template import (
    MESSAGE_PLACEHOLDERS,
    BodyFormat,
    NotRenderable,
    Template,
    TemplateFromReference,
    body_fault,
    escape_header,
    parse_template,
    placeholders,
)
from otp_service.providers.sender_ids import SenderIds, no_sender_ids, sender_findings

__all__ = ["BalanceQuery", "HttpConfig"]

MAX_HEADERS: Final = 32
MAX_PARAMETERS: Final = 64
MAX_SECRETS: Final = 16
MAX_RULES: Final = 64

CLIENT_HEADERS: Final = frozenset({
    "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te",
    "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
"""Headers that the client sets by itself: another value would change where a request ends, or what comes back."""

_CREDENTIAL: Final = re.compile(r"authorization|cookie|key|token|secret|password|signature", re.IGNORECASE)
_LINE_END: Final = re.compile(r"[\r\n\x00]")
_TEXT_OF_FORM: Final = re.compile(r"\s*[\w.\[\]~-]{1,64}=")
_FORMATS_OF_MEDIA_TYPES: Final[Mapping[str, BodyFormat]] = {
    "json": "json", "x-www-form-urlencoded": "form", "xml": "xml", "plain": "text"
}  # fmt: skip


def _header(raw: Any, context: FieldContext) -> Template:
    is_plain = isinstance(raw, str) and not is_reference(raw) and not placeholders(Secret(raw))
    if is_plain and _CREDENTIAL.search(str(context.path[-1])) and not context.plain_secrets:
        raise InvalidValue("a plain value (not shown) is not allowed", REFERENCE_SYNTAX)
    value = parse_template(raw, context)
    if _LINE_END.search(value.reveal()):
        raise InvalidValue("a value of several lines (not shown) is not allowed")
    if not value.reveal().isascii() or not value.reveal().isprintable():
        raise InvalidValue("a value with other characters than printable ASCII (not shown) is not allowed")
    return value


def _upper_case(raw: Any, _: FieldContext) -> Any:
    return raw.upper() if isinstance(raw, str) else raw


RequestTemplate = Annotated[Template, Parse(parse_template), Meta(description="text, or env:NAME or file:/path")]
HeaderTemplate = Annotated[Template, Parse(_header), Meta(description="one line of text, or env:NAME or file:/path")]
SecretName = Annotated[
    str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,31}\Z", description="a name of 1 to 32 of a-z 0-9 _, the first a letter")
]


class BalanceQuery(Table, frozen=True, kw_only=True):
    """A GET request for the balance, with the provider's authentication and its headers without facts of a message.

    `amount` is where the response has it, as a number or as text (`1,234.50`). Only secrets may be in the `url`.
    """

    url: RequestTemplate
    amount: JsonPointer
    currency: Currency | None = None


class HttpConfig(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="http"):
    """Any gateway that takes one request for one message.

    `url`, `query`, `headers` and `body` are templates with `{to}`, `{text}`, `{code}`, `{message_id}`, `{sender}`,
    `{brand}`, `{minutes}`, `{expires_in}` (seconds), `{country}`, `{receipt_url}`, of e-mails `{subject}` and `{html}`,
    and the names of `secrets`. Other braces are kept. `base_url` replaces the scheme and host of `url`, or precedes a
    `url` that is a path. `sender` is for the countries that `sender_ids` does not name.

    `outcomes` is read in order, and its first rule that a response meets decides. Then `accepted_when` does; without
    it, every 2xx that is not an HTML page, and that has `message_id` if that is set, is an acceptance. Anything else is
    ambiguous, except what HTTP itself defines (401, 403, 404, 429, 503 with Retry-After).

    `idempotent_send`: a message is sent only once for one `{message_id}`. `channel` is how messages are sent.
    """

    channel: ChannelName = Channel.SMS
    base_url: BaseUrl | None = None
    method: Annotated[
        Literal["GET", "POST", "PUT"],
        Parse(_upper_case, {"enum": ["GET", "POST", "PUT", "get", "post", "put"]}),
    ] = "POST"
    url: RequestTemplate
    query: Annotated[Mapping[Text, RequestTemplate], Meta(max_length=MAX_PARAMETERS)] = field(
        default_factory=lambda: MappingProxyType({})
    )
    headers: Annotated[Mapping[HeaderName, HeaderTemplate], Meta(max_length=MAX_HEADERS)] = field(
        default_factory=lambda: MappingProxyType({})
    )
    body: RequestTemplate | None = None
    body_format: BodyFormat | None = None
    secrets: Annotated[Mapping[SecretName, SecretText], Meta(max_length=MAX_SECRETS)] = field(
        default_factory=lambda: MappingProxyType({})
    )
    username: Account | None = None
    password: SecretText | None = None
    bearer_token: SecretText | None = None
    to_format: Literal["e164", "digits", "national", "national_digits"] = "e164"
    sender: Text | None = None
    sender_ids: SenderIds = field(default_factory=no_sender_ids)
    accepted_when: Conditions | None = None
    message_id: JsonPointer | None = None
    charged: ChargeMapping | None = None
    outcomes: Annotated[tuple[OutcomeRule, ...], Meta(max_length=MAX_RULES)] = ()
    idempotent_send: bool = False
    receipts: ReceiptMapping | None = None
    balance: BalanceQuery | None = None

    @property
    def channels(self) -> frozenset[Channel]:
        """The one channel of the messages that the gateway takes."""
        return frozenset({self.channel})

    @property
    def kind_of_body(self) -> BodyFormat | None:
        """The format of `body`: `body_format`, or what Content-Type or the first character says."""
        if self.body is None or self.body_format is not None:
            return self.body_format
        if named := [kind for fragment, kind in _FORMATS_OF_MEDIA_TYPES.items() if fragment in self._media_type()]:
            return named[0]
        text = self.body.reveal().lstrip()
        by_start: dict[str, BodyFormat] = {"{": "json", "[": "json", "<": "xml"}
        return by_start.get(text[:1]) or ("form" if _TEXT_OF_FORM.match(text) else None)

    def message_placeholders(self) -> set[str]:
        """Return the placeholders of the whole request."""
        return set().union(*(placeholders(template) for _, template in self._templates()))

    @property
    def reports_delivery(self) -> bool:
        """Whether the table describes receipts."""
        return self.receipts is not None

    def cross_check(self) -> Iterator[Finding]:
        """Require a complete request for one message whose every value can be escaped, and rules that can be met."""
        unknown = list(self._unknown_placeholders())
        yield from unknown
        if not unknown:
            yield from self._url_findings()
            yield from self._header_findings()
            yield from self._body_findings()
            yield from self._message_findings()
            yield from self._authentication_findings()
            yield from self._receipt_findings()

    def _templates(self) -> Iterator[tuple[Path, Template]]:
        """Yield every template of the request with its path."""
        yield ("url",), self.url
        yield from ((("query", name), template) for name, template in self.query.items())
        yield from ((("headers", name), template) for name, template in self.headers.items())
        if self.body is not None:
            yield ("body",), self.body

    def _unknown_placeholders(self) -> Iterator[Finding]:
        for name in self.secrets:
            if name in MESSAGE_PLACEHOLDERS:
                yield ("secrets", name), "the name of a fact of the message is not allowed", "another name"
        for path, template in self._templates():
            yield from _unknown(path, template, (*MESSAGE_PLACEHOLDERS, *self.secrets))
        if self.balance is not None:
            yield from _unknown(("balance", "url"), self.balance.url, tuple(self.secrets))

    def _url_findings(self) -> Iterator[Finding]:
        urls = [(("url",), self.url)] + ([(("balance", "url"), self.balance.url)] if self.balance else [])
        for path, template in urls:
            url = template.reveal()
            if url.startswith("/"):
                if self.base_url is None:
                    yield path, "a path without base_url is not allowed", "an http(s) URL; or a path with base_url"
            elif not is_complete_url(url) or "{" in urlsplit(url).netloc:
                yield path, "the value (not shown) is not allowed", "http://host or https://host, with path and query"

    def _header_findings(self) -> Iterator[Finding]:
        in_headers: set[str] = set()
        for name, template in self.headers.items():
            if name.lower() in CLIENT_HEADERS:
                yield ("headers", name), "a header that the client sets is not allowed", "other headers"
            in_headers |= placeholders(template)
        for name in self.secrets.keys() & in_headers:
            if not _is_header_value(self.secrets[name]):
                yield ("secrets", name), "the value (not shown) cannot be in a header", "printable ASCII"

    def _body_findings(self) -> Iterator[Finding]:
        if self.body is None:
            return
        kind = self.kind_of_body
        if self.method == "GET":
            yield ("body",), "a body is not allowed with GET", 'a query; or method = "POST"'
        elif kind is None:
            yield ("body_format",), "missing", '"json", "form", "xml" or "text"'
        elif fault := body_fault(self.body.reveal(), kind):
            yield ("body",), fault, f"a template of {kind}, or another body_format"
        elif kind == "text" and any(part in self._media_type() for part in ("json", "xml", "form")):
            yield ("body_format",), '"text" escapes nothing, and Content-Type is another format', "that format"

    def _message_findings(self) -> Iterator[Finding]:
        used = self.message_placeholders()
        if "to" not in used:
            yield ("body",), "{to} is missing from url, query, headers and body", "a request with {to}"
        if not used & {"text", "code"}:
            found = "{text} and {code} are missing from url, query, headers and body"
            yield ("body",), found, "a request with {text} or {code}"
        if self.channel is Channel.EMAIL and self.to_format != "e164":
            yield ("to_format",), "not allowed with the channel email, whose {to} is an address", '"e164"'
        required = "the sender that {sender} stands for; or sender_ids.default" if "sender" in used else ""
        yield from sender_findings("sender", self.sender, self.sender_ids, required=required)
        if self.idempotent_send and "message_id" not in used:
            found = "not allowed without {message_id}, by which the gateway could recognize a message"
            yield ("idempotent_send",), found, "a request with {message_id}"

    def _authentication_findings(self) -> Iterator[Finding]:
        if (self.username is None) != (self.password is None):
            missing = "username" if self.username is None else "password"
            yield (missing,), "missing", "both username and password"
        if self.username is not None and ":" in self.username:
            yield ("username",), "a colon is not allowed (RFC 7617)", "text without a colon"
        has_header = any(name.lower() == "authorization" for name in self.headers)
        if [self.username is not None, self.bearer_token is not None, has_header].count(True) > 1:
            found = "username, bearer_token and the header Authorization exclude each other"
            yield ("bearer_token",) if self.bearer_token else ("username",), found, "one of them"
        if self.bearer_token is not None and not _is_header_value(self.bearer_token):
            yield ("bearer_token",), "the value (not shown) cannot be in a header", "printable ASCII"

    def _receipt_findings(self) -> Iterator[Finding]:
        if self.receipts is None:
            return
        used = self.message_placeholders()
        if self.receipts.token is None and "receipt_url" not in used:
            yield ("receipts", "token"), "missing", "a token; or a request with {receipt_url}"
        elif self.receipts.message_id is None and "receipt_url" not in used:
            allowed = "where a receipt has {message_id}; or a request with {receipt_url}"
            yield ("receipts", "message_id"), "missing", allowed
        elif self.receipts.message_id is not None and "message_id" not in used:
            yield ("receipts", "message_id"), "the request has no {message_id}", "a request with {message_id}"

    def _media_type(self) -> str:
        types = [value.reveal() for name, value in self.headers.items() if name.lower() == "content-type"]
        return types[0].lower() if types else ""


def _unknown(path: Path, template: Template, known: tuple[str, ...]) -> Iterator[Finding]:
    names = sorted(placeholders(template) - set(known))
    if names:
        is_hidden = isinstance(template, TemplateFromReference)
        found = "an unknown placeholder (not shown)" if is_hidden else f"unknown placeholder {{{names[0]}}}"
        yield path, found, ", ".join(f"{{{name}}}" for name in known) or "none"


def _is_header_value(secret: Secret) -> bool:
    try:
        escape_header(secret.reveal())
    except NotRenderable:
        return False
    return True
