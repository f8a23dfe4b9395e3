"""Cross-checks of CAMARA and code hooks: their purposes are the tenant's, and a hook's name is in its URL."""

from __future__ import annotations

from collections.abc import Iterator

from otp_service.providers.config_parsing import Finding, Path, dotted_path, quoted
from otp_service.settings.checked_values import duplicates, is_valid
from otp_service.settings.model import Settings, Tenant


def integrations_have_purposes(tenant: Tenant) -> Iterator[Finding]:
    """The purposes of CAMARA and of code hooks are purposes of the tenant."""
    if not is_valid(tenant.purposes) or not is_valid(*tenant.purposes):
        return
    for path, purpose in _named_purposes(tenant):
        if is_valid(purpose) and purpose not in tenant.purposes:
            yield path, f"{quoted(purpose)} is not a purpose of this tenant", ", ".join(tenant.purposes)


def _named_purposes(tenant: Tenant) -> Iterator[tuple[Path, str]]:
    if is_valid(tenant.camara) and is_valid(tenant.camara.enabled) and tenant.camara.enabled:
        yield ("camara", "purpose"), tenant.camara.purpose
    for name, hook in tenant.hooks.items() if is_valid(tenant.hooks) else ():
        if is_valid(hook):
            yield ("hooks", name, "purpose"), hook.purpose
            for template, purpose in hook.purposes.items() if is_valid(hook.purposes) else ():
                yield ("hooks", name, "purposes", template), purpose


def hook_names_are_unique(settings: Settings) -> Iterator[Finding]:
    """A code hook is found by the name in its URL, so no two tenants have a hook of the same name."""
    names: Iterator[tuple[Path, tuple[str]]] = (
        (("tenants", tenant_name, "hooks", name), (name,))
        for tenant_name, tenant in settings.tenants.items()
        if is_valid(tenant) and is_valid(tenant.hooks)
        for name in tenant.hooks
    )
    for path, first in duplicates(names):
        yield path, f"the same name as that of {dotted_path(first)}", "a unique name"
