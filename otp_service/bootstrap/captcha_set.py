"""The verifiers of captcha tokens, built from `[captcha.*]`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from otp_service.crypto.app_attest_objects import AppAttestRules
from otp_service.crypto.attestation_chain import APPLE_ROOT, load_root
from otp_service.crypto.keyring import Keyring
from otp_service.crypto.service_account import ServiceAccount
from otp_service.domain.captcha import MAX_CAPTCHA_TOKEN_CHARS, CaptchaPolicy, CaptchaVerifier
from otp_service.providers.captcha.play_integrity import API_URL, PlayIntegrity, PlayIntegrityRules
from otp_service.providers.captcha.siteverify import MAX_TOKEN_CHARS, VERIFY_URLS, Siteverify, SiteverifyRules
from otp_service.providers.http_client import GatewayClient
from otp_service.service.app_attest_verifier import AppAttest
from otp_service.service.captcha_verifiers import BoundedVerifier
from otp_service.settings import Settings
from otp_service.settings.captcha_model import Captcha
from otp_service.store.attested_keys import RedisAttestedKeys
from otp_service.store.captcha_uses import RedisCaptchaUses
from otp_service.store.topology import Topology

__all__ = ["CaptchaSet", "build_captcha_policy", "build_captcha_set"]


@dataclass(frozen=True, slots=True)
class CaptchaSet:
    """The verifiers by name; those of App Attest, which have keys and challenges, also by themselves."""

    verifiers: Mapping[str, BoundedVerifier]
    app_attest: Mapping[str, AppAttest]

    async def close(self) -> None:
        """Close the connections of all verifiers."""
        for bounded in self.verifiers.values():
            await bounded.verifier.close()


def build_captcha_set(settings: Settings, keyring: Keyring, topology: Topology, now: Callable[[], float]) -> CaptchaSet:
    """Build every configured verifier; `now` returns Unix seconds."""
    app_attest = {
        name: _build_app_attest(name, table, keyring, topology, now)
        for name, table in settings.captcha.items()
        if table.type == "app_attest"
    }
    verifiers = {
        name: BoundedVerifier(
            app_attest.get(name) or _build_verifier(table), table.max_concurrent, table.on_failure == "allow"
        )
        for name, table in settings.captcha.items()
    }
    return CaptchaSet(verifiers, app_attest)


def build_captcha_policy(settings: Settings, verifier: str | None) -> CaptchaPolicy | None:
    """Return the policy of a tenant, or of an API key, that uses a verifier; None without one."""
    return None if verifier is None else CaptchaPolicy(verifier, settings.captcha[verifier].required_for)


def _build_app_attest(
    name: str, table: Captcha, keyring: Keyring, topology: Topology, now: Callable[[], float]
) -> AppAttest:
    root = load_root(table.root_certificate.reveal() if table.root_certificate else APPLE_ROOT)
    return AppAttest(
        name=name,
        rules=AppAttestRules(table.app_ids, table.environment, root),
        keyring=keyring,
        keys=RedisAttestedKeys(topology),
        uses=RedisCaptchaUses(topology),
        key_seconds=table.key_days * 86400,
        now=now,
    )


def _build_verifier(table: Captcha) -> CaptchaVerifier:
    client = GatewayClient(table.timeout_seconds)
    if table.credentials is not None and table.package_name is not None:
        checks = table.checks
        app = PlayIntegrityRules(
            package_name=table.package_name,
            device_verdicts=frozenset(checks.device),
            certificates=frozenset(checks.certificates),
            requires_license=checks.require_license,
            binds_request=checks.bind_request,
            max_age_seconds=checks.max_age_seconds,
        )
        return PlayIntegrity(table.verify_url or API_URL, ServiceAccount(table.credentials.reveal()), app, client)
    assert table.secret is not None  # noqa: S101 - the settings have checked it
    rules = SiteverifyRules(frozenset(table.hostnames), table.action, table.min_score, table.max_score)
    return Siteverify(
        url=table.verify_url or VERIFY_URLS[table.type],
        secret=table.secret,
        rules=rules,
        client=client,
        site_key=table.site_key or "",
        max_token_chars=MAX_TOKEN_CHARS.get(table.type, MAX_CAPTCHA_TOKEN_CHARS),
        sends_client_ip=table.send_client_ip,
        sends_request_hash=table.type == "siteverify",
    )
