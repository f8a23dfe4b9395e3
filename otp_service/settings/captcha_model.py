"""The tables `[captcha.*]`: verifiers of captcha tokens and attestations, to which the policy of a tenant refers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from msgspec import Meta

from otp_service.providers.captcha.siteverify import VERIFY_URLS
from otp_service.providers.config_fields import Account, SecretText, Table, Text
from otp_service.providers.config_parsing import Finding, quoted
from otp_service.settings.field_types import AppDomain
from otp_service.settings.issuer_model import SecureUrl

CaptchaType = Literal["turnstile", "hcaptcha", "recaptcha", "siteverify"]
Score = Annotated[float, Meta(ge=0, le=1)]

_ONLY_FOR: Final = {
    "action": ("turnstile", "recaptcha", "siteverify"),
    "min_score": ("recaptcha", "siteverify"),
    "max_score": ("hcaptcha",),
    "site_key": ("hcaptcha",),
}
"""The types whose answers or requests have what a key is about."""


class Captcha(Table, frozen=True, kw_only=True):
    """A verifier of captcha tokens, which a tenant uses by `captcha` in its policy.

    `required_for` says whose requests need a token: `all`, those with `publishable` API keys, or `none` (a token is
    verified if it is there: for the time in which apps learn to send it). `hostnames`, `action`, `min_score`
    (reCAPTCHA: 1 is a person) and `max_score` (hCaptcha Enterprise: 1 is a threat) are what a success must state.

    While the vendor does not answer, requests are refused, or with `on_failure = "allow"` served unverified. The
    person's address is sent to the vendor only with `send_client_ip`. The type `siteverify` is any service of that
    protocol, at `verify_url`.
    """

    type: CaptchaType
    secret: SecretText
    verify_url: SecureUrl | None = None
    required_for: Literal["all", "publishable", "none"] = "all"
    on_failure: Literal["deny", "allow"] = "deny"
    hostnames: tuple[AppDomain, ...] = ()
    action: Text | None = None
    min_score: Score | None = None
    max_score: Score | None = None
    site_key: Account | None = None
    send_client_ip: bool = False
    timeout_seconds: Annotated[float, Meta(ge=0.5, le=5)] = 3.0
    max_concurrent: Annotated[int, Meta(ge=1, le=128)] = 32

    def cross_check(self) -> Iterator[Finding]:
        """A key has a meaning for the type, and the type has an address."""
        for name, types in _ONLY_FOR.items():
            if getattr(self, name) is not None and self.type not in types:
                yield (
                    (name,),
                    f"not allowed with type = {quoted(self.type)}",
                    "type = " + " or ".join(map(quoted, types)),
                )
        if self.verify_url is None and self.type not in VERIFY_URLS:
            yield ("verify_url",), "missing", "an https URL, or an http URL of this machine"
