"""The tables `[captcha.*]`: verifiers of captcha tokens and attestations, to which the policy of a tenant refers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from msgspec import Meta, field

from otp_service.crypto.app_attest_objects import AppEnvironment
from otp_service.crypto.attestation_chain import load_root
from otp_service.crypto.service_account import InvalidServiceAccount, ServiceAccount
from otp_service.domain.secret import Secret
from otp_service.providers.config_fields import Account, SecretText, Table, Text, secret
from otp_service.providers.config_parsing import REFERENCE_SYNTAX, Finding, invalid_secret, quoted
from otp_service.providers.issuer_client import is_secure_url
from otp_service.settings.field_types import AppDomain
from otp_service.settings.issuer_model import SecureUrl

CaptchaType = Literal["turnstile", "hcaptcha", "recaptcha", "siteverify", "play_integrity", "app_attest"]
SITEVERIFY_TYPES: Final = ("turnstile", "hcaptcha", "recaptcha", "siteverify")
Score = Annotated[float, Meta(ge=0, le=1)]


def _key_file(text: str) -> Secret:
    """Read the key file of a service account whose token endpoint is secure."""
    try:
        account = ServiceAccount(text)
    except InvalidServiceAccount as error:
        raise invalid_secret(str(error)) from None
    if not is_secure_url(account.token_url):
        raise invalid_secret("has a token_uri that is not an https URL")
    return Secret(text)


KeyFile = Annotated[
    Secret, secret(_key_file), Meta(description=f"{REFERENCE_SYNTAX}, with the JSON key file of a service account")
]
PackageName = Annotated[
    str,
    Meta(
        pattern=r"\A[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)+\Z",
        max_length=255,
        description="the package of an Android app, such as com.example.app",
    ),
]
AppId = Annotated[
    str,
    Meta(
        pattern=r"\A[A-Z0-9]{10}\.[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\Z",
        max_length=255,
        description="the team id, a period and the bundle id of an iOS app, such as A1B2C3D4E5.com.example.app",
    ),
]


def _root_certificate(text: str) -> Secret:
    """Read the certificate of an authority."""
    try:
        load_root(text)
    except ValueError:
        raise invalid_secret("is not the PEM of an authority with a key on an elliptic curve") from None
    return Secret(text)


RootCertificate = Annotated[
    Secret, secret(_root_certificate), Meta(description=f"{REFERENCE_SYNTAX}, with a certificate in PEM")
]
Certificate = Annotated[
    str, Meta(pattern=r"\A[A-Za-z0-9_-]{43}\Z", description="a SHA-256 in base64url: 43 characters, without padding")
]
DeviceIntegrity = Literal["MEETS_BASIC_INTEGRITY", "MEETS_DEVICE_INTEGRITY", "MEETS_STRONG_INTEGRITY"]

_ONLY_FOR: Final = {
    "secret": SITEVERIFY_TYPES,
    "action": ("turnstile", "recaptcha", "siteverify"),
    "min_score": ("recaptcha", "siteverify"),
    "max_score": ("hcaptcha",),
    "site_key": ("hcaptcha",),
    "package_name": ("play_integrity",),
    "credentials": ("play_integrity",),
    "root_certificate": ("app_attest",),
    "verify_url": (*SITEVERIFY_TYPES, "play_integrity"),
}
"""The types whose responses or requests have what a key is about."""

_REQUIRED: Final = {"secret": SITEVERIFY_TYPES, "package_name": ("play_integrity",), "credentials": ("play_integrity",)}

USED_BY: Final = {
    "hostnames": SITEVERIFY_TYPES,
    "send_client_ip": SITEVERIFY_TYPES,
    "checks": ("play_integrity",),
    "environment": ("app_attest",),
    "key_days": ("app_attest",),
    "timeout_seconds": (*SITEVERIFY_TYPES, "play_integrity"),
}
"""The types for which a key with a default has an effect; the start log names it for all others."""


class PlayIntegrityChecks(Table, frozen=True, kw_only=True):
    """What Google must say of an app: one of `device` of the device, and the app's certificate if some are listed.

    With `bind_request` the app must have made the token for this recipient and purpose. `require_license`: it must have
    been installed from Play.
    """

    device: Annotated[tuple[DeviceIntegrity, ...], Meta(min_length=1, description="at least one")] = (
        "MEETS_DEVICE_INTEGRITY",
    )
    certificates: tuple[Certificate, ...] = ()
    require_license: bool = False
    bind_request: bool = True
    max_age_seconds: Annotated[float, Meta(ge=10, le=600)] = 120.0


class Captcha(Table, frozen=True, kw_only=True):
    """A verifier of captcha tokens, which a tenant uses by `captcha` in its policy.

    `required_for` says whose requests need a token: `all`, those with `publishable` API keys, or `none` (a token is
    verified if it is there: for the time in which apps learn to send it). `hostnames`, `action`, `min_score`
    (reCAPTCHA: 1 is a person) and `max_score` (hCaptcha Enterprise: 1 is a threat) are what a success must state.

    While the vendor does not respond, requests are refused, or with `on_failure = "allow"` served unverified. The
    person's address is sent to the vendor only with `send_client_ip`. The type `siteverify` is any service of that
    protocol, at `verify_url`. The type `play_integrity` has `package_name`, the `credentials` of a service account, and
    `checks`; its `verify_url` is the base of the API.

    The type `app_attest` has no vendor that is called. It accepts the apps `app_ids`, installed from the App Store or
    TestFlight, or by Xcode with `environment = "development"`, and keeps the key of each installation for `key_days`
    after its last use. `root_certificate` replaces Apple's, which is built in.
    """

    type: CaptchaType
    secret: SecretText | None = None
    verify_url: SecureUrl | None = None
    required_for: Literal["all", "publishable", "none"] = "all"
    on_failure: Literal["deny", "allow"] = "deny"
    hostnames: tuple[AppDomain, ...] = ()
    action: Text | None = None
    min_score: Score | None = None
    max_score: Score | None = None
    site_key: Account | None = None
    send_client_ip: bool = False
    package_name: PackageName | None = None
    credentials: KeyFile | None = None
    checks: PlayIntegrityChecks = field(default_factory=PlayIntegrityChecks)
    app_ids: tuple[AppId, ...] = ()
    environment: AppEnvironment = "production"
    root_certificate: RootCertificate | None = None
    key_days: Annotated[int, Meta(ge=1, le=730)] = 90
    timeout_seconds: Annotated[float, Meta(ge=0.5, le=5)] = 3.0
    max_concurrent: Annotated[int, Meta(ge=1, le=128)] = 32

    def cross_check(self) -> Iterator[Finding]:
        """A key has a meaning for the type, and the type has what it needs."""
        for name, types in _ONLY_FOR.items():
            if getattr(self, name) is not None and self.type not in types:
                found = f"not allowed with type = {quoted(self.type)}"
                yield (name,), found, f"type = {' or '.join(map(quoted, types))}"
        for name, types in _REQUIRED.items():
            if getattr(self, name) is None and self.type in types:
                yield (name,), "missing", _ALLOWED[name]
        yield from self._cross_check_app_attest()
        if self.verify_url is None and self.type == "siteverify":
            yield ("verify_url",), "missing", "an https URL, or an http URL of this machine"

    def _cross_check_app_attest(self) -> Iterator[Finding]:
        if self.type != "app_attest":
            if self.app_ids:
                yield ("app_ids",), f"not allowed with type = {quoted(self.type)}", 'type = "app_attest"'
            return
        if not self.app_ids:
            yield ("app_ids",), "missing", "at least one app id, such as A1B2C3D4E5.com.example.app"
        if self.on_failure == "allow":
            yield ("on_failure",), "no vendor is called with this type, so none can fail", quoted("deny")


_ALLOWED: Final = {
    "secret": REFERENCE_SYNTAX,
    "package_name": "the package of an Android app, such as com.example.app",
    "credentials": f"{REFERENCE_SYNTAX}, with the JSON key file of a service account",
}
