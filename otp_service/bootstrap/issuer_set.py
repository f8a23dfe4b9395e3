"""The issuers of access tokens, built from `[issuers.*]`: their HTTP clients, key sets and tenants."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from otp_service.api.access_tokens import AccessTokens, TrustedIssuer
from otp_service.crypto.jwt_verification import TokenRules
from otp_service.domain.tenant import Tenant
from otp_service.providers.issuer_client import IssuerClient
from otp_service.service.token_issuers import FetchedKeys, KeySetPolicy, TokenIssuer
from otp_service.settings import Settings
from otp_service.settings.issuer_model import Issuer

__all__ = ["IssuerSet", "build_issuer_set"]


@dataclass(frozen=True, slots=True)
class IssuerSet:
    """The issuers; `access_tokens` is None if there are none."""

    access_tokens: AccessTokens | None
    clients: tuple[IssuerClient, ...]

    def start(self) -> None:
        """Start to fetch the key sets."""
        if self.access_tokens is not None:
            self.access_tokens.start()

    async def stop(self) -> None:
        """Cancel the fetches in progress, and close the connections."""
        if self.access_tokens is not None:
            await self.access_tokens.stop()
        for client in self.clients:
            await client.close()


def build_issuer_set(
    settings: Settings,
    tenants: Mapping[str, Tenant],
    now: Callable[[], float],
    kept: dict[Hashable, FetchedKeys],
) -> IssuerSet:
    """Build the issuers.

    Args:
        settings: The configuration.
        tenants: The tenants of the issuers' clients, by name.
        now: Returns the Unix time in seconds.
        kept: The key sets that the issuers of earlier configurations have fetched; those of other issuers are removed.
    """
    sources = {name: _key_source(table) for name, table in settings.issuers.items()}
    for source in kept.keys() - sources.values():
        del kept[source]
    trusted, clients = [], []
    for name, table in settings.issuers.items():
        client = IssuerClient(
            name,
            table.issuer,
            jwks_url=table.jwks_url,
            discovery=table.discovery,
            timeout_seconds=table.timeout_seconds,
        )
        clients.append(client)
        fetched = kept.setdefault(sources[name], FetchedKeys())
        trusted.append(_trusted_issuer(name, table, client, tenants, fetched))
    return IssuerSet(AccessTokens(trusted, now) if trusted else None, tuple(clients))


def _key_source(table: Issuer) -> Hashable:
    """Return what the keys of an issuer depend on."""
    return table.issuer, table.jwks_url, table.discovery, frozenset(table.algorithms)


def _trusted_issuer(
    name: str, table: Issuer, client: IssuerClient, tenants: Mapping[str, Tenant], fetched: FetchedKeys
) -> TrustedIssuer:
    rules = TokenRules(
        issuer=table.issuer,
        audience=table.audience,
        algorithms=frozenset(table.algorithms),
        requires_type=not table.allow_plain_jwt,
        leeway_seconds=table.leeway_seconds,
    )
    policy = KeySetPolicy(table.jwks_ttl_seconds, table.jwks_min_refresh_seconds, table.jwks_max_stale_seconds)
    return TrustedIssuer(
        issuer=TokenIssuer(name, rules, client.fetch_key_set, policy, fetched=fetched),
        clients={value: tenants[tenant] for value, tenant in table.clients.items()},
        client_claim=table.client_claim,
        scopes=frozenset(table.scopes),
        scope_prefix=table.scope_prefix,
    )
