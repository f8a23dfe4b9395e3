"""Cross-checks of templates: texts leave room for the line of an app, and name the transactions of their purpose."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from otp_service.domain.apps import ANDROID_MAX_BYTES
from otp_service.domain.sms_segments import measure
from otp_service.domain.templates import DEFAULT_PURPOSE, TRANSACTION_PURPOSE, Template
from otp_service.providers.config_parsing import Finding, Path
from otp_service.settings.checked_values import is_valid
from otp_service.settings.model import App, Settings, Tenant
from otp_service.settings.sms_texts import brand_of, build_app, longest_code, longest_text


def app_has_one_line(app: App) -> Iterator[Finding]:
    """An app is a web site or an Android app: a message with both lines would be for two apps."""
    if not is_valid(app.domain, app.hash):
        return
    if app.domain is None and app.hash is None:
        yield ("domain",), "missing", "the domain of a web site, or in hash the hash of an Android app"
    elif app.domain is not None and app.hash is not None:
        yield ("hash",), "not allowed beside domain", "one of domain and hash; give each app a table of its own"


def texts_leave_the_last_line(settings: Settings) -> Iterator[Finding]:
    """A template of a tenant with apps has no line for a web site: an app's line would be a second one."""
    for path, tenant, template in _own_templates(settings):
        if any(line.startswith("@") for line in longest_text(tenant, template).splitlines()):
            yield path, "a line with @, and the tenant has apps", "no such line: request-code's member app adds it"


def transactions_have_purposes(tenant: Tenant) -> Iterator[Finding]:
    """Whether the message names a transaction depends on its purpose only, not on the language; and `default` never."""
    for locale, texts in tenant.templates.items():
        for purpose, template in texts.items() if is_valid(texts) else ():
            if not is_valid(template):
                continue
            path = ("templates", locale, purpose)
            if purpose == DEFAULT_PURPOSE and template.has_transaction:
                yield (
                    path,
                    "{payee} in default",
                    f"a template of a purpose, or of {TRANSACTION_PURPOSE}, with {{payee}}",
                )
            elif not template.has_transaction and _names_transaction(tenant, purpose):
                yield path, "no {amount}, {currency} and {payee}", "all three: its messages name a transaction"


def _names_transaction(tenant: Tenant, purpose: str) -> bool:
    """Whether the messages of a purpose name a transaction, in another language or because of what it is for."""
    if purpose == TRANSACTION_PURPOSE and purpose not in tenant.purposes:
        return True
    others = (texts.get(purpose) for texts in tenant.templates.values() if is_valid(texts))
    return any(other is not None and is_valid(other) and other.has_transaction for other in others)


def android_texts_fit(settings: Settings) -> Iterator[Finding]:
    """Each own template can be read by the tenant's Android apps; a built-in text is sent without the line instead."""
    for path, tenant, template in _own_templates(settings):
        code = longest_code(tenant)
        for name, table in tenant.apps.items():
            app = build_app(table)
            text = f"{longest_text(tenant, template)}\n{app.last_line(code)}"
            if app.is_too_long(text):
                found = f"the longest text has {measure(text).bytes} bytes with the hash of the app {name}"
                yield path, found, f"at most {ANDROID_MAX_BYTES} bytes; shorten the text or the brand"


def _own_templates(settings: Settings) -> Iterator[tuple[Path, Tenant, Template]]:
    """Yield the templates of the tenants that have apps, if nothing that they are rendered with was refused."""
    for name, tenant in settings.tenants.items():
        if not is_valid(tenant) or not tenant.apps or not is_valid(tenant.brand, tenant.policy):
            continue
        if not is_valid(tenant.policy.code_length, tenant.policy.ttl_seconds, *_values(tenant)):
            continue
        named = msgspec.structs.replace(tenant, brand=brand_of(name, tenant))
        for locale, texts in tenant.templates.items():
            for purpose, template in texts.items() if is_valid(texts) else ():
                if is_valid(template):
                    yield ("tenants", name, "templates", locale, purpose), named, template


def _values(tenant: Tenant) -> Iterator[object]:
    for app in tenant.apps.values():
        yield app
        if is_valid(app):
            yield from (app.domain, app.hash)
