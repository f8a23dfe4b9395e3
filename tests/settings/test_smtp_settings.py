"""`[providers.*]` of type `smtp`: where plain text is allowed, and the file of authorities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.settings import ConfigInvalid, load
from tests.providers.certificates import server_certificate


def errors_of(**table: Any) -> list[str]:
    """Return the paths of the errors of an SMTP provider."""
    mail = {"type": "smtp", "host": "smtp.example.com", "from": "no-reply@example.com", **table}
    try:
        load(merged(dev_config("redis://127.0.0.1"), {"providers": {"mail": mail}}), {}, plain_secrets=True)
    except ConfigInvalid as invalid:
        return [error.path for error in invalid.errors]
    return []


@pytest.mark.parametrize(
    ("host", "allowed"),
    [("localhost", True), ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("smtp.example.com", False),
     ("10.0.0.7", False), ("localhost.example.com", False), ("0.0.0.0", False)],
)  # fmt: skip
def test_plain_text_stays_on_this_machine(host: str, *, allowed: bool) -> None:
    """`tls = "none"` is refused for other hosts, unless the operator allows it."""
    assert errors_of(host=host, tls="none") == ([] if allowed else ["providers.mail.tls"])
    assert errors_of(host=host, tls="none", allow_plaintext=True) == []
    assert errors_of(host=host) == errors_of(host=host, tls="implicit") == []


def test_ca_file(tmp_path: Path) -> None:
    """It is read when the config is loaded, and makes no sense without TLS."""
    authority, _ = server_certificate(tmp_path)
    assert errors_of(ca_file=authority) == []
    assert errors_of(ca_file=authority, tls="none", host="localhost") == ["providers.mail.ca_file"]
    assert errors_of(ca_file=str(tmp_path / "missing.pem")) == ["providers.mail.ca_file"]


@pytest.mark.parametrize(
    ("address", "valid"),
    [("a@b.example", True), ("no-reply+1@mail.example.co.id", True), ("a@localhost", True), ("a", False),
     ("a@b@c.example", False), ("é@b.example", False), ("a b@c.example", False), ("a@b..example", False),
     ("x" * 65 + "@b.example", False)],
)  # fmt: skip
def test_address_of_the_sender(address: str, *, valid: bool) -> None:
    """One address in ASCII."""
    assert errors_of(**{"from": address}) == ([] if valid else ["providers.mail.from"])
