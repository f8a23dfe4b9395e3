"""OAuth 2.0 access tokens as an alternative to API keys: a JWT of a configured issuer, in the same header.

A token that is verified once is remembered by its SHA-256 until it expires, so a client that sends it with each request
costs one verification. A forged token is never remembered: it costs one verification at most, and none if its issuer or
its key is unknown. Every refused token gets the same response; the log line says why it was refused.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from otp_service.api.auth import ApiKeys, Principal, UnusableKey
from otp_service.api.problems import RefusedWithHeaders
from otp_service.crypto.jwt_verification import (
    MAX_TOKEN_BYTES,
    InvalidToken,
    SignedToken,
    TokenFault,
    VerificationKey,
    read_token,
    verify_token,
)
from otp_service.domain.errors import Reason, Refused
from otp_service.domain.tenant import Tenant
from otp_service.observability import METRICS
from otp_service.service.token_issuers import TokenIssuer

__all__ = ["DEFAULT_CLIENT_CLAIM", "AccessTokens", "TrustedIssuer", "authenticate"]

DEFAULT_CLIENT_CLAIM: Final = "client_id"
"""RFC 9068, section 2.2. Some issuers name the client in `azp` instead, which is then used."""

MAX_REMEMBERED: Final = 4096
"""Verified tokens that are remembered: about 2 MB."""

MAX_CLIENT_CHARS: Final = 64
"""Characters of a client id in the log."""

_JWT_START: Final = b"eyJ"
"""How every JWT begins: `{"` in base64."""

_INVALID_TOKEN: Final = [(b"www-authenticate", b'Bearer realm="otp-service", error="invalid_token"')]
"""RFC 6750, section 3.1."""


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer, and what its tokens may do.

    Attributes:
        issuer: The issuer with its keys.
        clients: The tenants by the value of the claim that names the client.
        client_claim: The claim that names the client.
        scopes: The scopes that a token may have.
        scope_prefix: The prefix of our scopes in the token.
    """

    issuer: TokenIssuer
    clients: Mapping[str, Tenant]
    client_claim: str
    scopes: frozenset[str]
    scope_prefix: str

    def principal(self, claims: Mapping[str, Any]) -> Principal:
        """Return the caller that verified claims name; raises `InvalidToken` if no tenant has this client."""
        client = claims.get(self.client_claim)
        if client is None and self.client_claim == DEFAULT_CLIENT_CLAIM:
            client = claims.get("azp")
        tenant = self.clients.get(client) if isinstance(client, str) else None
        if tenant is None:
            raise InvalidToken(TokenFault.CLIENT)
        name = ascii(client)[1:-1][:MAX_CLIENT_CHARS]
        return Principal(f"{self.issuer.name}:{name}", self._scopes(claims), tenant)

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """Return our scopes in `scope` (RFC 8693: separated by spaces) or `scp` (the same, or a list)."""
        value = claims.get("scope", claims.get("scp", ""))
        listed = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
        named = {text for text in listed if isinstance(text, str)}
        return frozenset(scope for scope in self.scopes if self.scope_prefix + scope in named)


@dataclass(frozen=True, slots=True)
class _Verified:
    """A token that was verified with `key`, and until when it is valid (Unix seconds, without leeway)."""

    trusted: TrustedIssuer
    token_key: tuple[str, str]
    key: VerificationKey
    expires_at: float
    principal: Principal


class AccessTokens:
    """Authenticates the tokens of all configured issuers."""

    def __init__(self, trusted: Sequence[TrustedIssuer], clock: Callable[[], float] = time.time) -> None:
        """Trust these issuers; `clock` returns Unix seconds."""
        self._trusted = {one.issuer.rules.issuer: one for one in trusted}
        self._clock = clock
        self._verified: dict[bytes, _Verified] = {}

    def start(self) -> None:
        """Start to fetch the keys of all issuers."""
        for trusted in self._trusted.values():
            trusted.issuer.start()

    async def stop(self) -> None:
        """Cancel the fetches in progress."""
        for trusted in self._trusted.values():
            await trusted.issuer.stop()

    async def authenticate(self, text: bytes, log_fields: dict[str, Any]) -> Principal:
        """Return the caller that a token names.

        Args:
            text: The token.
            log_fields: Gets `token_fault`, if the token is refused.

        Raises:
            Refused: `key_invalid`, or `issuer_unavailable` if the keys of the issuer cannot be fetched.
        """
        if len(text) > MAX_TOKEN_BYTES:
            raise self._refused(TokenFault.MALFORMED, "", log_fields)
        digest = hashlib.sha256(text).digest()
        if (found := self._remembered(digest)) is not None:
            METRICS.access_tokens.labels(found.trusted.issuer.name, "remembered").inc()
            return found.principal
        name = ""
        try:
            token = read_token(text)
            if (trusted := self._trusted.get(token.issuer)) is None:
                raise InvalidToken(TokenFault.ISSUER)
            name = trusted.issuer.name
            verified = await self._verify(token, trusted)
        except InvalidToken as invalid:
            raise self._refused(invalid.fault, name, log_fields) from None
        self._remember(digest, verified)
        METRICS.access_tokens.labels(name, "verified").inc()
        return verified.principal

    async def _verify(self, token: SignedToken, trusted: TrustedIssuer) -> _Verified:
        issuer, token_key = trusted.issuer, (token.key_id, token.algorithm)
        if token.algorithm not in issuer.rules.algorithms:
            raise InvalidToken(TokenFault.ALGORITHM)
        key = await issuer.key(*token_key)
        if key is None:
            raise InvalidToken(TokenFault.KEY_UNKNOWN)
        claims = verify_token(token, key, issuer.rules, self._clock())
        return _Verified(trusted, token_key, key, float(claims["exp"]), trusted.principal(claims))

    def _remembered(self, digest: bytes) -> _Verified | None:
        """Return what is known of a token, as long as it is valid and its issuer still has the same key."""
        found = self._verified.get(digest)
        if found is None:
            return None
        issuer = found.trusted.issuer
        is_valid = self._clock() < found.expires_at + issuer.rules.leeway_seconds
        if is_valid and issuer.known_key(*found.token_key) is found.key:
            return found
        del self._verified[digest]
        return None

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        while len(self._verified) >= MAX_REMEMBERED:
            del self._verified[next(iter(self._verified))]  # the oldest
        self._verified[digest] = verified

    def _refused(self, fault: TokenFault, issuer: str, log_fields: dict[str, Any]) -> Refused:
        log_fields["token_fault"] = fault.value
        METRICS.access_tokens.labels(issuer, fault.value).inc()
        detail = "Send an API key that is configured, or a valid access token of a configured issuer and client."
        return RefusedWithHeaders(_INVALID_TOKEN, Reason.KEY_INVALID, detail)


async def authenticate(
    api_keys: ApiKeys, access_tokens: AccessTokens, authorization: bytes, log_fields: dict[str, Any]
) -> Principal:
    """Return the caller of an `Authorization` header: that of an API key, or else of an access token.

    Args:
        api_keys: The configured keys.
        access_tokens: The configured issuers.
        authorization: The value of the header, empty if there is none.
        log_fields: Gets `token_fault`, if a token is refused.

    Raises:
        Refused: `key_missing`, `key_invalid` (`UnusableKey`: of a configured key) or `issuer_unavailable`.
    """
    try:
        return api_keys.authenticate(authorization)
    except UnusableKey:
        raise
    except Refused as refused:
        presented = authorization.strip().partition(b" ")[2].strip()
        if refused.reason is not Reason.KEY_INVALID or not presented.startswith(_JWT_START):
            raise
    return await access_tokens.authenticate(presented, log_fields)
