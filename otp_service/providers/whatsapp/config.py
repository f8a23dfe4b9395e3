"""The table of a WhatsApp provider in the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final

from msgspec import Meta

from otp_service.domain.locale_lookup import for_locale
from otp_service.domain.message import Channel
from otp_service.providers.config_fields import Account, BaseUrl, CommonProvider, SecretText, Table
from otp_service.providers.config_parsing import Finding

__all__ = ["DEFAULT_TEMPLATE", "AuthenticationTemplate", "WhatsappConfig"]

DEFAULT_TEMPLATE: Final = "default"

_PHONE_NUMBER_ID: Final = re.compile(r"[0-9]{5,32}", re.ASCII)

ApiVersion = Annotated[
    str, Meta(pattern=r"\Av[1-9][0-9]{0,2}\.[0-9]{1,2}\Z", description="a version of the Graph API, such as v24.0")
]
TemplateLocale = Annotated[
    str,
    Meta(
        pattern=r"\A[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,3}\Z",
        description=f"a locale, such as id or zh-Hans, or {DEFAULT_TEMPLATE}",
    ),
]
TemplateName = Annotated[
    str, Meta(pattern=r"\A[a-z0-9_]{1,512}\Z", description="the name of a template: a-z, 0-9 and _")
]
TemplateLanguage = Annotated[
    str,
    Meta(pattern=r"\A[a-z]{2,3}(_[A-Za-z]{2,4})?\Z", description="a language code of WhatsApp, such as id or en_US"),
]


class AuthenticationTemplate(Table, frozen=True, kw_only=True):
    """An approved template of the category `authentication`, in one of its languages."""

    name: TemplateName
    language: TemplateLanguage


class WhatsappConfig(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="whatsapp"):
    """WhatsApp, through Meta's Cloud API.

    `phone_number_id` is the id of the business phone number, not the number. `templates` has the template for each
    locale of our texts, and `default` for all others. Receipts are verified with `app_secret`; `verify_token` answers
    the request by which Meta checks the webhook's URL. Calls carry `appsecret_proof` if there is an `app_secret`, which
    must be that of the app of the access token.
    """

    base_url: BaseUrl = "https://graph.facebook.com"
    api_version: ApiVersion = "v24.0"
    phone_number_id: Account
    access_token: SecretText
    templates: Annotated[Mapping[TemplateLocale, AuthenticationTemplate], Meta(max_length=64, description="a table")]
    app_secret: SecretText | None = None
    verify_token: SecretText | None = None
    appsecret_proof: bool = True

    @property
    def channels(self) -> frozenset[Channel]:
        """Only WhatsApp."""
        return frozenset({Channel.WHATSAPP})

    @property
    def reports_delivery(self) -> bool:
        """Whether its webhook can be verified."""
        return self.app_secret is not None

    def cross_check(self) -> Iterator[Finding]:
        """Require a default template, the id of a number, and both secrets of the webhook or none."""
        if DEFAULT_TEMPLATE not in self.templates:
            yield ("templates", DEFAULT_TEMPLATE), "missing", '{ name = "...", language = "en_US" }'
        if not _PHONE_NUMBER_ID.fullmatch(self.phone_number_id):
            yield ("phone_number_id",), "the value (not shown) is not an id", "5 to 32 digits; not a phone number"
        if self.verify_token is not None and self.app_secret is None:
            yield ("app_secret",), "missing beside verify_token", "env:NAME or file:/path"

    def template_for(self, locale: str) -> AuthenticationTemplate:
        """Return the template for the locale of our text."""
        return for_locale(self.templates, locale) or self.templates[DEFAULT_TEMPLATE]
