"""The tables `[issuers.*]`: whose access tokens are accepted instead of API keys, and for which tenants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from msgspec import Meta

from otp_service.crypto.jwt_verification import ALGORITHMS
from otp_service.providers.config_fields import Table, Text
from otp_service.providers.config_parsing import FieldContext, Finding, Parse, invalid
from otp_service.providers.issuer_client import DiscoveryKind, is_secure_url
from otp_service.settings.api_key_model import DEFAULT_SCOPES, Scope
from otp_service.settings.field_types import Name

_URL = "an https URL, or an http URL of this machine"


def _secure_url(raw: Any, _: FieldContext) -> str:
    if isinstance(raw, str) and is_secure_url(raw):
        return raw
    raise invalid(raw)


def _algorithm(raw: Any, _: FieldContext) -> str:
    if raw in ALGORITHMS:
        return str(raw)
    raise invalid(raw)


SecureUrl = Annotated[
    str, Parse(_secure_url, {"type": "string", "pattern": "^https?://[^#@]+$"}), Meta(description=_URL)
]
Algorithm = Annotated[
    str,
    Parse(_algorithm, {"enum": list(ALGORITHMS)}),
    Meta(description=" or ".join(f'"{name}"' for name in ALGORITHMS)),
]
Claim = Annotated[
    str, Meta(pattern=r"\A[!-~]{1,128}\Z", description="the name of a claim: 1 to 128 visible ASCII characters")
]
ScopePrefix = Annotated[
    str, Meta(pattern=r"\A[!#-\[\]-~]{0,64}\Z", description="at most 64 characters that a scope may have")
]


class Issuer(Table, frozen=True, kw_only=True):
    """An issuer of OAuth 2.0 access tokens (JWT, RFC 9068).

    Its keys come from `jwks_url`, or from the address in its metadata: of OpenID Connect (`discovery = "openid"`) or
    RFC 8414 (`"oauth"`). They are fetched again after `jwks_ttl_seconds`, and for a token with an unknown key at most
    every `jwks_min_refresh_seconds`; while fetches fail, they are used for `jwks_max_stale_seconds`.

    With `allow_plain_jwt`, the `typ` of a token may be `JWT` or missing, as some issuers write it, instead of `at+jwt`.
    `clients` gives each value of the claim `client_claim` its tenant; without `client_id` in a token, its `azp` counts.
    A token has those of `scopes` that its `scope` or `scp` contains, each with the prefix `scope_prefix`.
    """

    issuer: SecureUrl
    audience: Text
    jwks_url: SecureUrl | None = None
    discovery: DiscoveryKind | None = None
    algorithms: Annotated[tuple[Algorithm, ...], Meta(min_length=1, description="at least one algorithm")] = (
        "EdDSA",
        "ES256",
        "RS256",
    )
    allow_plain_jwt: bool = False
    leeway_seconds: Annotated[float, Meta(ge=0, le=60)] = 10.0
    client_claim: Claim = "client_id"
    clients: Annotated[
        Mapping[Text, Name], Meta(min_length=1, description='at least one client: { "client id" = "tenant" }')
    ]
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, description="at least one scope")] = DEFAULT_SCOPES
    scope_prefix: ScopePrefix = "otp:"
    jwks_ttl_seconds: Annotated[float, Meta(ge=60, le=86_400)] = 3600.0
    jwks_min_refresh_seconds: Annotated[float, Meta(ge=1, le=3600)] = 30.0
    jwks_max_stale_seconds: Annotated[float, Meta(ge=60, le=604_800)] = 86_400.0
    timeout_seconds: Annotated[float, Meta(ge=0.5, le=10)] = 3.0

    def cross_check(self) -> Iterator[Finding]:
        """The keys come from one address, and are fetched again before they are too old."""
        if (self.jwks_url is None) == (self.discovery is None):
            found = "set together with discovery" if self.jwks_url else "missing"
            yield ("jwks_url",), found, "jwks_url or discovery"
        if self.jwks_max_stale_seconds < self.jwks_ttl_seconds:
            found = f"{self.jwks_max_stale_seconds:g} is less than jwks_ttl_seconds"
            yield ("jwks_max_stale_seconds",), found, f"at least {self.jwks_ttl_seconds:g}"
