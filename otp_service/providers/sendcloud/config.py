"""The table of an Aurora SendCloud provider in the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, field

from otp_service.providers.config_fields import Account, BaseUrl, CommonProvider, SecretText, Text
from otp_service.providers.config_parsing import FieldContext, Finding, InvalidValue, Parse, invalid

__all__ = ["MAX_VARIABLE_CHARS", "SendcloudConfig"]

PLACEHOLDERS: Final = ("brand", "code", "minutes")
MAX_VARIABLE_CHARS: Final = 32
"""Longest value of a template variable that SendCloud accepts."""

_WORD: Final = re.compile(r"\{([A-Za-z_]+)\}")


def _variable(raw: Any, _: FieldContext) -> str:
    if not isinstance(raw, str) or not 0 < len(raw) <= MAX_VARIABLE_CHARS:
        raise invalid(raw)
    if unknown := [word for word in _WORD.findall(raw) if word not in PLACEHOLDERS]:
        raise InvalidValue(f"unknown placeholder {{{unknown[0]}}}", ", ".join(f"{{{word}}}" for word in PLACEHOLDERS))
    return raw


Variable = Annotated[
    str,
    Parse(_variable, {"type": "string", "minLength": 1, "maxLength": MAX_VARIABLE_CHARS}),
    Meta(description=f"1 to {MAX_VARIABLE_CHARS} characters with {{code}}, {{brand}} or {{minutes}}"),
]


class SendcloudConfig(CommonProvider, frozen=True, kw_only=True, tag_field="type", tag="sendcloud"):
    """Aurora SendCloud.

    `variables`: the values of the template's variables, by their names in the template (also written `%code%`).
    `hook_key`: the APP KEY of the webhook page; without it no webhook call is accepted.
    """

    base_url: BaseUrl = "https://api.aurorasendcloud.com"
    sms_user: Account
    sms_key: SecretText
    mode: Literal["template", "text"] = "template"
    template_id: Annotated[int, Meta(ge=1, le=2**53, description="the number of an approved template")] | None = None
    variables: Mapping[Text, Variable] = field(default_factory=lambda: MappingProxyType({"code": "{code}"}))
    auth: Literal["parameters", "signature"] = "parameters"
    hook_key: SecretText | None = None
    sender_id: Text | None = None

    @property
    def reports_delivery(self) -> bool:
        """Whether its webhook can be verified."""
        return self.hook_key is not None

    def cross_check(self) -> Iterator[Finding]:
        """Require a template, and a variable with the code, in template mode."""
        if self.mode != "template":
            return
        if self.template_id is None:
            yield ("template_id",), "missing", 'the number of an approved template; or mode = "text"'
        if not any("{code}" in value for value in self.variables.values()):
            yield ("variables",), "no variable has {code}", 'such as { code = "{code}" }'
