"""The RSA key of the simulated application at Vonage: the same in every process, and derived instead of stored.

Each prime is the first one above a hash of its name. Anybody can derive the key, so only the simulator accepts it.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

__all__ = ["simulated_key", "simulated_key_pem"]

EXPONENT: Final = 65_537
PRIME_BYTES: Final = 128
DISTANCES: Final = {"p": 182, "q": 52}
"""How far the first prime is above the hash, because a search takes a second."""


@cache
def simulated_key() -> rsa.RSAPrivateKey:
    """Return the key, of 2,048 bits."""
    p, q = (_prime(name) for name in DISTANCES)
    d = pow(EXPONENT, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=rsa.rsa_crt_dmp1(d, p),
        dmq1=rsa.rsa_crt_dmq1(d, q),
        iqmp=rsa.rsa_crt_iqmp(p, q),
        public_numbers=rsa.RSAPublicNumbers(EXPONENT, p * q),
    )
    return numbers.private_key()


def simulated_key_pem() -> str:
    """Return the key as unencrypted PKCS 8 PEM."""
    return simulated_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _prime(name: str) -> int:
    digest = hashlib.shake_256(f"otp-service sandbox key {name}".encode()).digest(PRIME_BYTES)
    top_bits = 3 << (8 * PRIME_BYTES - 2)
    return (int.from_bytes(digest, "big") | top_bits) + DISTANCES[name]
