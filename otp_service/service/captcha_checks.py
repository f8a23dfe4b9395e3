"""When a captcha token is demanded and verified, that it counts once, and what follows while its verifier is down.

A token is verified after every limit has admitted the request and before its code is hashed, so a denied request does
not use up a token, and a request without a valid one costs no hash, but counts for the limits of its address. A token
that was accepted is remembered by its keyed hash together with the request: the same request, repeated under its
idempotency key after a failure, needs no second token, and every other request is refused, whatever the vendor says.

Whether requests pass while the vendor does not respond is the operator's decision (`on_failure`). A caller cannot cause
it: too many parallel checks, a wrong secret, a vendor that throttles us, and responses that a token may have caused
always refuse.
"""

from __future__ import annotations

from typing import Final

from otp_service.domain.captcha import CaptchaCheck, CaptchaResult, CaptchaUse, request_hash
from otp_service.domain.errors import FieldError, Reason, Refused
from otp_service.domain.results import IdempotencyClaim
from otp_service.observability import LOG, METRICS
from otp_service.service.dependencies import CodeRequest, Dependencies

__all__ = ["CaptchaChecks"]

UNAVAILABLE_RETRY_MS: Final = 5_000
BUSY_RETRY_MS: Final = 1_000

USED_SECONDS: Final = 3600
"""How long an accepted token is remembered: longer than any vendor's token is valid (300 seconds and less)."""


class CaptchaChecks:
    """Demands, verifies and uses up the captcha tokens of requests for a code."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._verifiers = dependencies.captcha_verifiers
        self._uses = dependencies.captcha_uses
        self._keyring = dependencies.keyring

    def check_presence(self, request: CodeRequest) -> None:
        """Raise `Refused` if a token is needed and not there, or there without a verifier. Costs nothing.

        A product that relays a code has checked the person itself, and cannot send a token.
        """
        policy = request.tenant.captcha
        if request.relayed_code:
            return
        if policy is None:
            if request.captcha_token:
                errors = (FieldError("/captcha_token", "Leave it out: no verifier is configured for the tenant."),)
                raise Refused(Reason.REQUEST_MALFORMED, "Leave `captcha_token` out.", field_errors=errors)
        elif not request.captcha_token and policy.requires_token(publishable=request.publishable):
            detail = "Send the token of a solved captcha, or the app's attestation, as `captcha_token`."
            raise Refused(Reason.CAPTCHA_REQUIRED, detail)

    async def check_token(
        self, request: CodeRequest, recipient: str, verification_id: str, claim: IdempotencyClaim | None
    ) -> None:
        """Verify the token of a request, if it has one, and use it up.

        Args:
            request: The request.
            recipient: The number or address, normalized.
            verification_id: The id of the verification that is about to start.
            claim: The caller's idempotency key, by which a repeated request is recognized.

        Raises:
            Refused: `captcha_failed`, `captcha_unavailable`, or `overloaded` with too many checks in progress.
        """
        policy = request.tenant.captcha
        if policy is None or not request.captcha_token:
            return
        name, keyed_hash = policy.verifier, self._keyring.keyed_hash
        token_hash = keyed_hash("captcha", name, request.captcha_token)
        use = keyed_hash("captcha_use", *((claim.keyed_hash, claim.fingerprint) if claim else (verification_id,)))
        found = await self._uses.use_of(token_hash, use)
        if found is CaptchaUse.UNUSED:
            bound_to, client_ip = request_hash(request.purpose, recipient), _exact(request.client_ip)
            check = CaptchaCheck(request.captcha_token, client_ip, bound_to, request.tenant.name)
            await self._verify(name, check)
            found = await self._uses.mark_used(token_hash, use, USED_SECONDS)
        if found is CaptchaUse.OTHER:
            METRICS.captcha_checks.labels(name, "replayed").inc()
            raise _failed()

    async def _verify(self, name: str, check: CaptchaCheck) -> None:
        bounded = self._verifiers[name]
        if bounded.is_busy():
            METRICS.captcha_checks.labels(name, "busy").inc()
            detail = "Too many captcha tokens are being verified. Send the request again after `retry_after` seconds."
            raise Refused(Reason.OVERLOADED, detail, retry_after_ms=BUSY_RETRY_MS)
        checked = await bounded.verify(check)
        METRICS.captcha_checks.labels(name, checked.result.value).inc()
        if checked.result is CaptchaResult.ACCEPTED:
            return
        log = LOG.info if checked.result is CaptchaResult.REJECTED else LOG.warning
        log("captcha_not_accepted", verifier=name, result=checked.result.value, why=checked.why)
        if checked.result is CaptchaResult.REJECTED:
            raise _failed()
        if checked.result is CaptchaResult.UNAVAILABLE and bounded.allows_on_failure:
            METRICS.captcha_checks.labels(name, "allowed_unverified").inc()
            return
        detail = "The captcha token cannot be verified now. Send the request again after `retry_after` seconds."
        raise Refused(Reason.CAPTCHA_UNAVAILABLE, detail, retry_after_ms=UNAVAILABLE_RETRY_MS)


def _exact(client_ip: str | None) -> str | None:
    """Return an address for the vendor; None for an IPv6 network, which the limits count instead of an address."""
    return None if client_ip is None or "/" in client_ip else client_ip


def _failed() -> Refused:
    detail = (
        "The captcha token was not accepted, or was used before. Send a new one. An app that uses App Attest attests a "
        "new key if that is not accepted, too."
    )
    return Refused(Reason.CAPTCHA_FAILED, detail)
