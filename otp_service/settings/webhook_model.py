"""The tables of webhooks: `[tenants.x.webhooks.name]` for a tenant, `[webhooks.name]` for the operator."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta, field

from otp_service.crypto.standard_webhooks import Ed25519SigningKey, SigningKey, parse_webhook_secret
from otp_service.domain.secret import Secret
from otp_service.providers.config_fields import CaFile, Table, is_web_url
from otp_service.providers.config_parsing import (
    REFERENCE_SYNTAX,
    FieldContext,
    Finding,
    InvalidValue,
    Parse,
    invalid,
    invalid_secret,
    is_reference,
    resolve_secret,
    unquoted,
)
from otp_service.settings.field_types import Name
from otp_service.webhooks.endpoint import DEFAULT_TIMEOUT_SECONDS
from otp_service.webhooks.target_addresses import is_address_allowed

__all__ = ["OperatorWebhook", "OperatorWebhooks", "TenantWebhooks", "Webhook", "WebhookSecret"]

MAX_URL_CHARS: Final = 2048
MAX_ENDPOINTS: Final = 8
MIN_SECRET_BYTES: Final = 24
"""Standard Webhooks: 24 to 64 bytes."""

MAX_KEYS: Final = 2
"""Of each kind: one replaces the other."""

_PREFIX: Final = "whsec_"
_KEY_PREFIX: Final = Ed25519SigningKey.PREFIX
_PUBLIC_PREFIX: Final = "whpk_"
_REFERENCE_SCHEMA: Final = {"type": "string", "pattern": "^(env:|file:/).+"}


class WebhookSecret(Secret):
    """A secret of Standard Webhooks: `whsec_` and 24 to 64 bytes, or `whsk_` and an Ed25519 key, in base64."""

    __slots__ = ()

    @property
    def is_asymmetric(self) -> bool:
        """Whether it is an Ed25519 key."""
        return self.reveal().startswith(_KEY_PREFIX)

    def signing_key(self) -> SigningKey:
        """Return the key that signs; raises `ValueError` for an invalid one."""
        text = self.reveal()
        return Ed25519SigningKey(text) if self.is_asymmetric else parse_webhook_secret(text)


def _secret(raw: Any, context: FieldContext) -> WebhookSecret:
    text = unquoted(resolve_secret(raw, context))
    if text.startswith(_PUBLIC_PREFIX):
        raise invalid_secret(f"is a public key ({_PUBLIC_PREFIX}), which cannot sign: give the key with {_KEY_PREFIX}")
    if not text.startswith((_PREFIX, _KEY_PREFIX)):
        raise invalid_secret(f"does not begin with {_PREFIX} or {_KEY_PREFIX}")
    secret = WebhookSecret(text)
    try:
        key = secret.signing_key()
    except ValueError as error:
        raise invalid_secret(f"is {error}") from None
    if isinstance(key, bytes) and len(key) < MIN_SECRET_BYTES:
        raise invalid_secret(f"has {len(key)} bytes instead of {MIN_SECRET_BYTES} to 64")
    return secret


def _secrets(raw: Any, context: FieldContext) -> tuple[WebhookSecret, ...]:
    """Read one secret, or a list with at most two of each kind while one replaces the other."""
    items = raw if isinstance(raw, list | tuple) else [raw]
    if not 1 <= len(items) <= 2 * MAX_KEYS:
        raise InvalidValue(f"{len(items)} secrets are not allowed")
    secrets = tuple(_secret(item, context) for item in items)
    asymmetric = sum(secret.is_asymmetric for secret in secrets)
    for prefix, count in ((_KEY_PREFIX, asymmetric), (_PREFIX, len(secrets) - asymmetric)):
        if count > MAX_KEYS:
            raise InvalidValue(f"{count} secrets with {prefix} are not allowed")
    return secrets


def _url(raw: Any, context: FieldContext) -> str:
    """Read a URL, or a reference to one that contains a token; it is not shown."""
    if not isinstance(raw, str):
        raise invalid(raw)
    url = resolve_secret(raw, context) if is_reference(raw) else raw
    if len(url) > MAX_URL_CHARS or not url.isascii() or not is_web_url(url):
        raise InvalidValue("the URL (not shown) is not allowed")
    return url


Secrets = Annotated[
    tuple[WebhookSecret, ...],
    Parse(
        _secrets,
        {
            "anyOf": [
                _REFERENCE_SCHEMA,
                {"type": "array", "items": _REFERENCE_SCHEMA, "minItems": 1, "maxItems": 2 * MAX_KEYS},
            ]
        },
    ),
    Meta(
        description=f"{REFERENCE_SYNTAX}, with {_PREFIX} and 24 to 64 bytes, or {_KEY_PREFIX} and an Ed25519 key of 32 "
        "or 64 bytes, in base64; or a list of at most two of each"
    ),
]
WebhookUrl = Annotated[
    str,
    Parse(_url, {"type": "string", "maxLength": MAX_URL_CHARS, "pattern": "^(https?://[^#@]+|env:.+|file:/.+)$"}),
    Meta(description="an https URL in ASCII without user, password and fragment, or a reference to one"),
]

TenantEvent = Literal[
    "verification.requested",
    "verification.verified",
    "verification.exhausted",
    "message.sent",
    "message.delivered",
    "message.failed",
    "recipient.locked",
]
OperatorEvent = Literal["cap.near", "circuit.opened", "circuit.closed", "guard.triggered"]
_SOME: Final = Meta(min_length=1, description="at least one type of event")


class _Endpoint(Table, frozen=True, kw_only=True):
    """What all endpoints have in common."""

    url: WebhookUrl
    secret: Secrets
    allow_private_targets: bool = False
    timeout_seconds: Annotated[float, Meta(ge=1, le=30)] = DEFAULT_TIMEOUT_SECONDS
    max_concurrent: Annotated[int, Meta(ge=1, le=64)] = 8
    ca_file: CaFile | None = None

    def cross_check(self) -> Iterator[Finding]:
        """Plain http, and an address in a private network, must be allowed."""
        parts = urlsplit(self.url)
        if not self.allow_private_targets and parts.scheme == "http":
            yield ("url",), "http is not allowed", "https; or allow_private_targets = true"
        elif _is_address(parts.hostname or "") and not is_address_allowed(
            parts.hostname or "", allow_private=self.allow_private_targets
        ):
            yield ("url",), "an address that is not public", "a public host; or allow_private_targets = true"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Webhook(_Endpoint, frozen=True, kw_only=True):
    """An endpoint of a tenant. Numbers and addresses are masked in events unless `full_recipient` is set.

    `secret` signs each event: one with `whsec_` by HMAC (`v1`), one with `whsk_` by Ed25519 (`v1a`), whose public key
    `otp-service webhooks list` shows. Several give several signatures, so that the receiver can change its own at any
    time.
    An endpoint in a private network, or with http, needs `allow_private_targets`. `events` is by default all types.
    """

    events: Annotated[tuple[TenantEvent, ...], _SOME] = TenantEvent.__args__  # type: ignore[attr-defined]  # of a Literal
    full_recipient: bool = False


class OperatorWebhook(_Endpoint, frozen=True, kw_only=True):
    """An endpoint of the operator, for events that concern the whole service: caps, circuits and the pumping guard."""

    events: Annotated[tuple[OperatorEvent, ...], _SOME] = OperatorEvent.__args__  # type: ignore[attr-defined]  # of a Literal


_AT_MOST: Final = Meta(max_length=MAX_ENDPOINTS, description=f"at most {MAX_ENDPOINTS} tables with a name each")
TenantWebhooks = Annotated[Mapping[Name, Webhook], _AT_MOST]
OperatorWebhooks = Annotated[Mapping[Name, OperatorWebhook], _AT_MOST]


def no_webhooks() -> Any:
    """Return the declaration of a field without webhooks by default."""
    return field(default_factory=lambda: MappingProxyType({}))
