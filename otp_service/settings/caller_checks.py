"""Cross-checks of who may call: API keys, clients of token issuers and captcha verifiers, over all tenants."""

from __future__ import annotations

from collections.abc import Iterator

from otp_service.providers.config_parsing import Finding, Path, dotted_path, quoted
from otp_service.settings.checked_values import duplicates, is_valid, valid_items
from otp_service.settings.model import Settings


def api_keys_are_unique(settings: Settings) -> Iterator[Finding]:
    """A key belongs to one tenant, because it is found by its hash alone."""
    hashes = (
        (("tenants", name, "api_keys", index, "sha256"), (key.sha256,))
        for name, tenant in settings.tenants.items()
        if is_valid(tenant)
        for index, key in valid_items(tenant.api_keys)
    )
    for path, first in duplicates(hashes):
        yield path, f"the same hash as that of {dotted_path(first[:-1])}", "a unique key"


def issuers_are_unique(settings: Settings) -> Iterator[Finding]:
    """An issuer has one table, because a token names its issuer only."""
    names = (
        (("issuers", name, "issuer"), (table.issuer,)) for name, table in settings.issuers.items() if is_valid(table)
    )
    for path, first in duplicates(names):
        yield path, f"the same issuer as that of {dotted_path(first[:-1])}", "one table for each issuer"


def clients_have_tenants(settings: Settings) -> Iterator[Finding]:
    """A client of an issuer belongs to a tenant that exists."""
    for name, table in settings.issuers.items():
        for client, tenant in table.clients.items() if is_valid(table) and is_valid(table.clients) else ():
            if is_valid(tenant) and tenant not in settings.tenants:
                path = ("issuers", name, "clients", client)
                yield path, f"{quoted(tenant)} is not a tenant", ", ".join(settings.tenants)


def guard_operators_exist(settings: Settings) -> Iterator[Finding]:
    """A tenant that may use the guard of all tenants exists."""
    operators = settings.guard.operator_tenants if is_valid(settings.guard) else ()
    for index, tenant in valid_items(operators) if is_valid(operators) else ():
        if tenant not in settings.tenants:
            path = ("guard", "operator_tenants", index)
            yield path, f"{quoted(tenant)} is not a tenant", ", ".join(settings.tenants)


def captchas_exist(settings: Settings) -> Iterator[Finding]:
    """A tenant, and an API key, refer to a verifier that is configured."""
    for name, tenant in settings.tenants.items():
        if not is_valid(tenant):
            continue
        named: list[tuple[Path, str | None]] = [
            (("tenants", name, "api_keys", index, "captcha"), key.captcha)
            for index, key in valid_items(tenant.api_keys)
        ]
        if is_valid(tenant.policy):
            named.append((("tenants", name, "policy", "captcha"), tenant.policy.captcha))
        for path, captcha in named:
            if captcha is not None and is_valid(captcha) and captcha not in settings.captcha:
                allowed = ", ".join(settings.captcha) or "the name of a table [captcha.<name>]"
                yield path, f"{quoted(captcha)} is not configured", allowed


def tenants_have_callers(settings: Settings) -> Iterator[Finding]:
    """A tenant without API keys has a client of an issuer."""
    issuers = [table for table in settings.issuers.values() if is_valid(table)]
    clients = {
        tenant for table in issuers if is_valid(table.clients) for tenant in table.clients.values() if is_valid(tenant)
    }
    for name, tenant in settings.tenants.items():
        if is_valid(tenant) and is_valid(tenant.api_keys) and not tenant.api_keys and name not in clients:
            allowed = "at least one key: { id, sha256, scopes }; or a client of an issuer: [issuers.<name>.clients]"
            yield ("tenants", name, "api_keys"), "missing", allowed
