"""Fetches the key set of a token issuer: from its configured address, or from the one in its metadata.

The metadata is that of OpenID Connect Discovery 1.0 (section 4) or RFC 8414 (section 3). It is read only if the
configuration says so, must name the configured issuer, and may only lead to a secure address.

The module is in this package because of the HTTP client: it never follows a redirect, reads at most 64 KiB of an
response, and ignores proxy settings.
"""

from __future__ import annotations

import ipaddress
from typing import Final, Literal
from urllib.parse import urlsplit

from otp_service.observability import LOG
from otp_service.providers.config_fields import is_web_url
from otp_service.providers.http_client import GatewayClient, GatewayResponse
from otp_service.providers.lenient_json import json_object

__all__ = ["DiscoveryKind", "IssuerClient", "is_secure_url"]

DiscoveryKind = Literal["openid", "oauth"]
MAX_URL_CHARS: Final = 2048
HTTP_OK: Final = 200
"""No other status has a key set in its body; a redirect is not followed."""


def is_secure_url(text: str) -> bool:
    """Return whether `text` is an https URL, or an http URL of this machine."""
    if not is_web_url(text):
        return False
    parts = urlsplit(text)
    return parts.scheme == "https" or _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class IssuerClient:
    """Fetches the key set of one issuer."""

    def __init__(
        self, name: str, issuer: str, *, jwks_url: str | None, discovery: DiscoveryKind | None, timeout_seconds: float
    ) -> None:
        """Fetch from `jwks_url`; if it is None, from the address in the issuer's metadata of the kind `discovery`.

        `name` is that of the issuer's table, for the log. Each fetch may take `timeout_seconds`, twice with metadata.
        """
        self._name = name
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._discovery = discovery
        self._client = GatewayClient(timeout_seconds, keepalive_seconds=0)

    async def fetch_key_set(self) -> bytes | None:
        """Return the body of the key set; None if it cannot be fetched, which is logged."""
        try:
            return await self._get(self._jwks_url or await self._discovered_url())
        except _FetchFailed as failed:
            LOG.warning("issuer_fetch_failed", issuer=self._name, why=str(failed))
            return None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _discovered_url(self) -> str:
        metadata = json_object(await self._get(_metadata_url(self._issuer, self._discovery)))
        url = metadata.get("jwks_uri")
        if metadata.get("issuer") != self._issuer:
            raise _FetchFailed("metadata_of_another_issuer")
        if not isinstance(url, str) or len(url) > MAX_URL_CHARS or not is_secure_url(url):
            raise _FetchFailed("no_secure_jwks_uri")
        return url

    async def _get(self, url: str) -> bytes:
        response = await self._client.call("GET", url)
        if not isinstance(response, GatewayResponse):
            raise _FetchFailed("no_answer")
        if response.status != HTTP_OK:
            raise _FetchFailed(f"status_{response.status}")
        return response.body


class _FetchFailed(Exception):
    """An address cannot be used; the text of the error says why."""


def _metadata_url(issuer: str, discovery: DiscoveryKind | None) -> str:
    """Return the address of an issuer's metadata: OpenID appends its path, RFC 8414 puts its own in front of it."""
    if discovery == "openid":
        return issuer.rstrip("/") + "/.well-known/openid-configuration"
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{path}"
