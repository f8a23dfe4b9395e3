"""App Attest as a verifier of captcha tokens: challenges, the registration of an app's key, and its assertions.

It calls no other service: it needs only a store, a clock and Apple's root certificate. So no result is `UNAVAILABLE`,
and a store that does not reply refuses the request.

A challenge is stateless: random bits and the time of expiry with a keyed hash over them, the tenant and the verifier.
It is stored only when it is used, so requests for challenges cost the store nothing.

The token of a request is `<key id>.<challenge>.<assertion>`; the key id and the assertion are in base64 as iOS returns
them. The assertion is made over the SHA-256 of challenge, line feed and `request_hash`, so it is worth nothing for
another request. Its counter is compared last, in the script that stores it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from otp_service.crypto.app_attest_objects import KEY_ID_BYTES, AppAttestRules, Assertion, InvalidAttestation
from otp_service.crypto.keyring import Keyring
from otp_service.domain.app_attest import CHALLENGE_CHARS, CHALLENGE_SECONDS, AttestedKeys, CounterUse
from otp_service.domain.captcha import CaptchaCheck, CaptchaCheckResult, CaptchaResult, CaptchaUse, CaptchaUses

__all__ = ["AppAttest"]

RANDOM_BYTES: Final = 16
EXPIRY_BYTES: Final = 5
_UNSIGNED_CHARS: Final = 28
"""The random bytes and the time of expiry in base64url, without padding."""

MAX_TOKEN_CHARS: Final = 2048
"""A token has 310 characters; iOS may add to the assertion."""

_TOKEN_PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class AppAttest:
    """The verifier of the apps of one table of `[captcha.*]`.

    Attributes:
        name: The name of the table.
        rules: Which apps are genuine.
        keyring: Makes keyed hashes.
        keys: The registered keys.
        uses: The used challenges.
        key_seconds: For how long a key is kept after its last use.
        now: Returns Unix seconds.
    """

    name: str
    rules: AppAttestRules
    keyring: Keyring
    keys: AttestedKeys
    uses: CaptchaUses
    key_seconds: int
    now: Callable[[], float] = time.time

    def new_challenge(self, tenant: str) -> str:
        """Return a challenge for an app of a tenant: `CHALLENGE_CHARS` characters of base64url."""
        expires = int(self.now()) + CHALLENGE_SECONDS
        raw = secrets.token_bytes(RANDOM_BYTES) + expires.to_bytes(EXPIRY_BYTES, "big")
        unsigned = base64.urlsafe_b64encode(raw).decode()
        return unsigned + self._sign(tenant, unsigned)

    async def register(self, tenant: str, key_id: str, challenge: str, attestation: str) -> None:
        """Register the key of an app whose attestation is over `challenge`.

        The same attestation may be sent again while its challenge is valid, because a reply may be lost and iOS attests
        a key once. That changes nothing, above all not the counter.

        Raises:
            InvalidAttestation: What `AppAttestRules.verify_attestation` raises, or `challenge`.
            Refused: The store does not answer.
        """
        self._check_challenge(tenant, challenge)
        raw_key_id, now = _key_id(key_id), datetime.fromtimestamp(self.now(), UTC)
        client_data_hash = hashlib.sha256(challenge.encode()).digest()
        public_key = self.rules.verify_attestation(_base64(attestation), raw_key_id, client_data_hash, now)
        use = self.keyring.keyed_hash("attestation_use", key_id, attestation)
        if await self._use(challenge, use) is CaptchaUse.OTHER:
            raise InvalidAttestation("challenge")
        await self.keys.add(self._keyed_hash(tenant, key_id), public_key, self.key_seconds)

    async def verify(self, check: CaptchaCheck) -> CaptchaCheckResult:
        """Verify the assertion of a token; see the port. It is accepted once, whatever its caller remembers."""
        try:
            await self._verify(check)
        except InvalidAttestation as invalid:
            return CaptchaCheckResult(CaptchaResult.REJECTED, invalid.why)
        return CaptchaCheckResult(CaptchaResult.ACCEPTED)

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    async def _verify(self, check: CaptchaCheck) -> None:
        parts = check.token.split(".") if len(check.token) <= MAX_TOKEN_CHARS else ()
        if len(parts) != _TOKEN_PARTS:
            raise InvalidAttestation("malformed")
        key_id, challenge, encoded = parts
        self._check_challenge(check.tenant, challenge)
        assertion = Assertion.parse(_base64(encoded))
        _key_id(key_id)
        keyed_hash = self._keyed_hash(check.tenant, key_id)
        if (public_key := await self.keys.find(keyed_hash)) is None:
            raise InvalidAttestation("key_unknown")
        client_data_hash = hashlib.sha256(f"{challenge}\n{check.request_hash}".encode()).digest()
        self.rules.verify_assertion(assertion, public_key, client_data_hash)
        use = self.keyring.keyed_hash("assertion_use", check.token)
        if await self._use(challenge, use) is not CaptchaUse.UNUSED:
            raise InvalidAttestation("challenge")
        match await self.keys.advance(keyed_hash, assertion.counter, self.key_seconds):
            case CounterUse.REPLAYED:
                raise InvalidAttestation("counter")
            case CounterUse.UNKNOWN:
                raise InvalidAttestation("key_unknown")

    def _check_challenge(self, tenant: str, challenge: str) -> None:
        """Check that a challenge was issued here for this tenant and verifier, and has not expired."""
        unsigned, signature = challenge[:_UNSIGNED_CHARS], challenge[_UNSIGNED_CHARS:]
        if len(challenge) != CHALLENGE_CHARS or not challenge.isascii():
            raise InvalidAttestation("challenge")
        if not hmac.compare_digest(signature, self._sign(tenant, unsigned)):
            raise InvalidAttestation("challenge")
        if int.from_bytes(base64.urlsafe_b64decode(unsigned)[RANDOM_BYTES:], "big") <= self.now():
            raise InvalidAttestation("challenge_expired")

    async def _use(self, challenge: str, use: str) -> CaptchaUse:
        """Use a challenge; return how it was used before. It is remembered for longer than it is valid."""
        return await self.uses.mark_used(
            self.keyring.keyed_hash("used_challenge", challenge), use, 2 * CHALLENGE_SECONDS
        )

    def _sign(self, tenant: str, unsigned: str) -> str:
        return self.keyring.keyed_hash("challenge", tenant, self.name, unsigned)

    def _keyed_hash(self, tenant: str, key_id: str) -> str:
        """Return what a key is stored under: one that was attested for another environment or root is another key."""
        return self.keyring.keyed_hash("attested_key", tenant, self.name, self.rules.authority, key_id)


def _key_id(key_id: str) -> bytes:
    raw = _base64(key_id)
    if len(raw) != KEY_ID_BYTES or base64.b64encode(raw).decode() != key_id:
        raise InvalidAttestation("malformed")
    return raw


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise InvalidAttestation("malformed") from None
