"""The tables of a tenant for callers that speak the protocol of another product: CAMARA, and code hooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from msgspec import Meta, field

from otp_service.crypto.standard_webhooks import parse_webhook_secret
from otp_service.domain.secret import Secret
from otp_service.providers.config_fields import SecretText, Table
from otp_service.providers.config_parsing import Finding
from otp_service.settings.checked_values import is_valid
from otp_service.settings.field_types import Purpose

MIN_TOKEN_CHARS = 16
"""A token that a product sends is a random text of at least this length."""

MAX_TOKEN_CHARS = 512

Attribute = Annotated[
    str,
    Meta(pattern=r"\A[A-Za-z][A-Za-z0-9_.-]{0,63}\Z", description="a name of 1 to 64 of A-Z a-z 0-9 _ . -"),
]
TemplateType = Annotated[
    str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,63}\Z", description="a template type, such as recovery_code_valid")
]

_KEYCLOAK_ONLY = {"token_attribute": "token", "message_attribute": "message", "receiver_attribute": "to"}


class Camara(Table, frozen=True, kw_only=True):
    """CAMARA OneTimePasswordSMS: whether the tenant's keys may use it, and for which purpose.

    With `text` `given`, the SMS has the `message` of the request, and the key needs the scope `server`; with
    `template`, it has the text of the tenant's template.
    """

    enabled: bool = False
    purpose: Purpose = "login"
    text: Literal["given", "template"] = "given"


class CodeHook(Table, frozen=True, kw_only=True):
    """A receiver of codes that another service has made and verifies: `POST /v1/hooks/<type>/<name>`.

    `secret` is for `supabase` the secret of the hook (`v1,whsec_...`), for the others a token. `previous_secret` is
    accepted, too, while the secret is replaced. `ttl_seconds` is how long the other service accepts its codes, at most
    600. `text` `given` sends the text that the service wrote (not `supabase`, which writes none). `purposes` gives
    Kratos' template types a purpose of their own. `client_ip` counts the end user's address that Supabase sends. The
    attributes are those that the Keycloak plugin is configured with.
    """

    type: Literal["supabase", "kratos", "keycloak"]
    secret: SecretText
    previous_secret: SecretText | None = None
    purpose: Purpose = "login"
    purposes: Mapping[TemplateType, Purpose] = field(default_factory=lambda: MappingProxyType({}))
    ttl_seconds: Annotated[int, Meta(ge=10, le=600)] = 300
    channel: Literal["sms", "whatsapp", "voice", "auto"] = "sms"
    text: Literal["template", "given"] = "template"
    client_ip: bool = False
    token_attribute: Attribute = "token"  # noqa: S105  # the name of a member
    message_attribute: Attribute = "message"
    receiver_attribute: Attribute = "to"

    def cross_check(self) -> Iterator[Finding]:
        """Check the secrets for the type, and that no key is set that the type does not use."""
        for name in ("secret", "previous_secret"):
            value = getattr(self, name)
            if value is not None and (found := _secret_error(self.type, value)):
                yield (name,), *found
        if self.type == "supabase" and self.text == "given":
            yield ("text",), '"given" is not allowed for supabase, which sends no text', '"template"'
        if self.type != "supabase" and self.client_ip:
            yield ("client_ip",), "true is not allowed: only supabase sends the address", "false"
        if self.type != "kratos" and self.purposes:
            yield ("purposes",), "not allowed: only kratos has template types", "purpose"
        for name, default in _KEYCLOAK_ONLY.items() if self.type != "keycloak" else ():
            if getattr(self, name) != default:
                yield (name,), "not allowed: only keycloak has attributes", "a hook of type keycloak"
        names = [getattr(self, name) for name in _KEYCLOAK_ONLY]
        if is_valid(*names) and len(set(names)) < len(names):
            yield ("receiver_attribute",), "the same name as another attribute", "three different names"


def _secret_error(hook_type: str, value: Secret) -> tuple[str, str] | None:
    """Return what is wrong with a secret for this type, and what is allowed."""
    text = value.reveal()
    if hook_type == "supabase":
        try:
            parse_webhook_secret(text)
        except ValueError as error:
            return f"the value (not shown) is {error}", "the secret of the hook, v1,whsec_<base64>"
        return None
    if not MIN_TOKEN_CHARS <= len(text) <= MAX_TOKEN_CHARS or not text.isascii() or not text.isprintable():
        return (
            "the value (not shown) is not a token",
            f"{MIN_TOKEN_CHARS} to {MAX_TOKEN_CHARS} printable ASCII characters",
        )
    return None
