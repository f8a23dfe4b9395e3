"""Integrations: callers that use the protocol of another product, and what a tenant allows them.

CAMARA OneTimePasswordSMS is another form of the tenant's own requests. A code hook receives codes that another service
(Supabase Auth, Ory Kratos, a plugin of Keycloak) has made and will verify; this service only delivers them.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from otp_service.domain.message import Channel
from otp_service.domain.secret import Secret

if TYPE_CHECKING:
    from otp_service.domain.tenant import Tenant

__all__ = ["CamaraRules", "CodeHook", "HookType", "RelayedCode"]


@dataclass(frozen=True, slots=True)
class CamaraRules:
    """How a tenant's requests over CAMARA OneTimePasswordSMS are handled.

    Attributes:
        purpose: The purpose of all of them, because CAMARA has none.
        own_text: The SMS has the text of the request; False: that of the tenant's template.
    """

    purpose: str
    own_text: bool


class HookType(StrEnum):
    """The product that calls a code hook, and so the form of its calls."""

    SUPABASE = "supabase"
    KRATOS = "kratos"
    KEYCLOAK = "keycloak"


@dataclass(frozen=True, slots=True)
class CodeHook:
    """One configured code hook.

    Attributes:
        name: Its name in the URL, unique among the hooks of all tenants.
        type: The product that calls it.
        tenant: The tenant whose limits, routes, templates and brand are used.
        purpose: The purpose of its codes.
        ttl_seconds: How long its codes are valid: an SMS is not sent later, and the text states it.
        secrets: The valid secrets, two while one replaces the other.
        channel: The channel of its messages, or `auto`.
        own_text: The SMS has the text that the product wrote; False: that of the tenant's template.
        counts_client_ip: The end user's address, where the product sends it, counts for the `client_ip` limit.
        purposes: The purpose by Kratos' template type, for those that have one of their own.
        receiver_attribute: The member with the number (Keycloak).
        message_attribute: The member with the text (Keycloak).
        token_attribute: The member with the secret, if it is not in a header (Keycloak).
    """

    name: str
    type: HookType
    tenant: Tenant
    purpose: str
    ttl_seconds: int
    secrets: tuple[Secret, ...]
    channel: str = Channel.SMS.value
    own_text: bool = False
    counts_client_ip: bool = False
    purposes: Mapping[str, str] = field(default_factory=dict)
    receiver_attribute: str = "to"
    message_attribute: str = "message"
    token_attribute: str = "token"  # noqa: S105  # the name of a member

    def accepts(self, token: str) -> bool:
        """Return whether a token is one of the secrets, in constant time."""
        sent = token.encode()
        matches = [hmac.compare_digest(secret.reveal().encode(), sent) for secret in self.secrets]
        return any(matches)


@dataclass(frozen=True, slots=True)
class RelayedCode:
    """A code that another service has made, for a phone number.

    Attributes:
        phone: The number as the service sent it.
        code: ASCII digits.
        text: The text that the service wrote, with `{{code}}` in the place of the code; "" if it wrote none.
        template: Kratos' template type; "" for none.
        client_ip: The end user's address; "" if the service did not send it.
    """

    phone: str
    code: str
    text: str = ""
    template: str = ""
    client_ip: str = ""

    def __repr__(self) -> str:
        """Hide everything."""
        return "RelayedCode()"
