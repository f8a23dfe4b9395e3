"""The texts of a tenant's SMS at their longest: with its brand, its longest code, and the line of each app."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from otp_service.domain import apps
from otp_service.domain.built_in_templates import BUILT_IN
from otp_service.domain.code_binding import Transaction
from otp_service.domain.locale_matching import choose_template
from otp_service.domain.sms_segments import SmsSize, measure
from otp_service.domain.templates import Template, validity_minutes
from otp_service.settings.field_types import MAX_BRAND_CHARS
from otp_service.settings.model import App, Tenant

NO_APP: Final = ""
LINK_PATH_CHARS: Final = 24
"""Characters after the host of the example address: a random token of 128 bits and a path."""
EXAMPLE_TRANSACTION: Final = Transaction("1250000.00", "IDR", "Toko Budi Jaya Abadi")
"""An example transaction, of a usual length."""


@dataclass(frozen=True, slots=True)
class SmsText:
    """A text; `is_own`: its template is the tenant's. `app` is the app whose line ends it, or "".

    `misses_line`: the text is too long for its Android app, so that it goes without the line.
    """

    locale: str
    purpose: str
    is_own: bool
    app: str
    text: str
    misses_line: bool = False

    @property
    def size(self) -> SmsSize:
        """The size of the text."""
        return measure(self.text)


def build_app(app: App) -> apps.App:
    """Return the app of a table."""
    return apps.App(app.domain or "", app.hash or "")


def brand_of(name: str, tenant: Tenant) -> str:
    """Return the brand of a tenant: by default, its name."""
    return tenant.brand or name[:MAX_BRAND_CHARS]


def sms_texts(tenant: Tenant) -> Iterator[SmsText]:
    """Yield every text that a message of a tenant can have: without an app, then with the line of each app.

    A built-in text that the tenant has a template for is left out, and so are those of purposes that it does not have.
    """
    for locale, purpose, template, is_own in _templates(tenant):
        text = longest_text(tenant, template)
        yield SmsText(locale, purpose, is_own, NO_APP, text)
        for name, table in tenant.apps.items():
            app, code = build_app(table), longest_code(tenant)
            with_line = app.add_line(text, code)
            yield SmsText(locale, purpose, is_own, name, with_line, misses_line=with_line is text)


def longest_text(tenant: Tenant, template: Template) -> str:
    """Return the longest text of a template."""
    minutes = validity_minutes(tenant.policy.ttl_seconds)
    return template.render(tenant.brand, longest_code(tenant), minutes, _example_link(tenant), EXAMPLE_TRANSACTION)


def _example_link(tenant: Tenant) -> str:
    """Return an address of a usual length, to the longest host that is allowed; "" if none is."""
    return f"https://{max(tenant.link_hosts, key=len)}/{'x' * LINK_PATH_CHARS}" if tenant.link_hosts else ""


def longest_code(tenant: Tenant) -> str:
    """Return a code of the tenant's length; every one is equally long."""
    return "8" * tenant.policy.code_length


def _templates(tenant: Tenant) -> Iterator[tuple[str, str, Template, bool]]:
    for locale, texts in tenant.templates.items():
        for purpose, template in texts.items():
            yield locale, purpose, template, True
    for locale, texts in BUILT_IN.items():
        for purpose in tenant.text_keys():
            built_in = texts.get(purpose)
            if built_in and choose_template(tenant.templates, locale, "", purpose) is built_in:
                yield locale, purpose, built_in, False
