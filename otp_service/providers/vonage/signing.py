"""Vonage's signature of a request or of a receipt (developer.vonage.com, "Signing messages").

The parameters without `sig`, sorted by name, are joined as `&name=value`, with `_` in place of each `&` and `=` of a
value. `md5hash`, the default of an account, is the MD5 of this text followed by the secret. The other methods are HMACs
of it, keyed with the secret; `md5` is HMAC-MD5. Vonage's own libraries write HMACs in upper case, and ignore the case
of a signature that they verify.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Literal

from otp_service.domain.secret import Secret

__all__ = ["SIGNATURE", "SignatureMethod", "is_signed", "signature"]

SIGNATURE = "sig"
SignatureMethod = Literal["md5hash", "md5", "sha1", "sha256", "sha512"]

_REPLACED = str.maketrans("&=", "__")


def signature(parameters: Mapping[str, str], secret: Secret, method: SignatureMethod) -> str:
    """Return the signature of the parameters; a `sig` among them is not signed."""
    text = "".join(
        f"&{name}={parameters[name].translate(_REPLACED)}" for name in sorted(parameters) if name != SIGNATURE
    )
    key = secret.reveal().encode()
    if method == "md5hash":
        return hashlib.md5(text.encode() + key, usedforsecurity=False).hexdigest()
    return hmac.digest(key, text.encode(), method).hex().upper()


def is_signed(parameters: Mapping[str, str], secret: Secret, method: SignatureMethod) -> bool:
    """Whether `sig` is the signature of the other parameters.

    A name with `&` or `=` is refused: the signed text would be that of other parameters, too.
    """
    if any("&" in name or "=" in name for name in parameters):
        return False
    expected = signature(parameters, secret, method).lower()
    return hmac.compare_digest(expected.encode(), parameters.get(SIGNATURE, "").lower().encode())
