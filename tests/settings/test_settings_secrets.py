"""Secrets are read from their references, are validated, and are never shown."""

import base64
import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from otp_service.domain.secret import Secret
from otp_service.providers.eims.config import EimsConfig
from otp_service.settings import ConfigError, Settings

FindErrors = Callable[..., tuple[ConfigError, ...]]

HIDDEN = "hunter2-hunter2"
PASSWORD_AT = "providers.jakarta.password"
SECRETS_AT = [
    "redis.url",
    "keys.k1",
    "tokens.t1",
    PASSWORD_AT,
    "providers.keda.api_key",
    "providers.keda.encryption_key",
    "providers.aurora.sms_key",
    "providers.aurora.hook_key",
    "providers.hub.program_sid",
    "providers.hub.program_key",
    "providers.twilio.auth_token",
    "providers.twilio.api_key_secret",
    "providers.twilio.webhook_shared_key",
    "providers.vonage.api_secret",
    "providers.vonage.signature_secret",
    "providers.own.headers.Authorization",
]


@pytest.mark.parametrize("path", SECRETS_AT)
@pytest.mark.parametrize("value", [HIDDEN, [HIDDEN], {"a": HIDDEN}, f"env:{HIDDEN}"])
def test_plain_secret_is_refused_and_not_shown(find_errors: FindErrors, path: str, value: Any) -> None:
    """A plain secret, or one of a wrong type, is refused without being shown."""
    found = find_errors((path, value))
    assert [error.path for error in found] == [path]
    assert HIDDEN not in str(found[0])


@pytest.mark.parametrize("path", [*SECRETS_AT, "tenants.acme.api_keys.0.sha256", "providers.own.url"])
def test_invalid_value_is_not_shown(find_errors: FindErrors, path: str) -> None:
    """No error shows the value of a variable."""
    found = find_errors((path, "env:BAD"), BAD=f"{HIDDEN} {{oops}}\n")
    assert not any(HIDDEN in str(error) or "oops" in str(error) for error in found)


@pytest.mark.parametrize(
    "edit",
    [
        ("tenants.acme.api_keys.0.sha256", HIDDEN),
        ("providers.jakarta.base_url", f"http://acme:{HIDDEN}@host"),
        ("providers.jakarta.base_url", f"http://host/send?password={HIDDEN}"),
        ("providers.own.url", f"ftp://host/{HIDDEN}"),
        ("providers.own.headers", f"Authorization: {HIDDEN}"),
        ("keys", HIDDEN),
        ("providers.jakarta.pasword", HIDDEN),
    ],
)
def test_possible_secret_is_not_shown(find_errors: FindErrors, edit: tuple[str, Any]) -> None:
    """A value that may be a secret in a wrong place is not shown."""
    found = find_errors(edit)
    assert found
    assert not any(HIDDEN in str(error) for error in found)


def test_settings_hide_every_secret(loaded: Callable[..., Settings], environ: dict[str, str]) -> None:
    """The text of the settings contains no secret."""
    settings = loaded(*((path, "env:PASSWORD") for path in SECRETS_AT[7:]))
    shown = f"{settings!r} {settings}"
    assert "***" in shown
    assert not any(value in shown or value.strip()[-20:] in shown for value in environ.values())


def test_line_end_of_a_file_is_removed(loaded: Callable[..., Settings], secret_file: Path) -> None:
    """The line end of a file is not part of the secret."""
    jakarta = loaded((PASSWORD_AT, f"file:{secret_file}")).providers["jakarta"]
    assert isinstance(jakarta, EimsConfig)
    assert jakarta.password.reveal() == HIDDEN


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"\xff", "not text in UTF-8"), (b"a" * 65537, "too long")],
)
def test_invalid_secret_files(find_errors: FindErrors, tmp_path: Path, content: bytes, reason: str) -> None:
    """A file that is empty, too long or not text is an error that names it."""
    path = tmp_path / "bad"
    path.write_bytes(content)
    (error,) = find_errors((PASSWORD_AT, f"file:{path}"))
    assert str(path) in error.found
    assert reason in error.found


def test_empty_variable(find_errors: FindErrors) -> None:
    """An empty variable is an error."""
    (error,) = find_errors(PASSWORD="")[:1]
    assert error.found == "the environment variable PASSWORD is empty"


def test_account_may_be_a_reference(loaded: Callable[..., Settings]) -> None:
    """An account name may be a reference, like its password."""
    jakarta = loaded(("providers.jakarta.account", "env:ACCOUNT"), ACCOUNT="acme-2").providers["jakarta"]
    assert isinstance(jakarta, EimsConfig)
    assert jakarta.account == "acme-2"


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_keys_of_another_length(find_errors: FindErrors, length: int) -> None:
    """A key has exactly 32 bytes."""
    text = base64.b64encode(bytes(length)).decode() or "===="
    assert [error.path for error in find_errors(("keys.k2", "env:OTHER"), OTHER=text)] == ["keys.k2"]


def test_other_private_keys(find_errors: FindErrors) -> None:
    """Only an unencrypted Ed25519 private key signs tokens."""
    key = Ed25519PrivateKey.generate()
    others = [
        X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).replace(b"PRIVATE", b"PUBLIC"),
    ]
    for other in others:
        assert [error.path for error in find_errors(PEM=other.decode())] == ["tokens.t1"]


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("redis://localhost", True),
        ("redis://:p%40ss@store:6379/0", True),
        ("rediss://user:pass@store:6380/15?ssl_cert_reqs=none", True),
        ("redis://[::1]:6379", True),
        ("unix:///run/valkey.sock", True),
        ("redis+cluster://a:7000,b:7001,c", True),
        ("rediss+cluster://a", True),
        ("redis+sentinel://a:26379,b:26379/mymaster", True),
        ("rediss+sentinel://:pw@a/mymaster/2", True),
        ("redis+sentinel://a:26379", False),
        ("redis+sentinel://a:26379/", False),
        ("redis+sentinel:///mymaster", False),
        ("redis+cluster://", False),
        ("redis+other://a", False),
        ("redis+://a", False),
        ("redis://", False),
        ("redis://a,b", False),
        ("redis://a:0", False),
        ("redis://a:65536", False),
        ("redis://a/zero", False),
        ("redis://[::1", False),
        ("unix://", False),
        ("http://a", False),
        ("localhost:6379", False),
    ],
)
def test_redis_urls(find_errors: FindErrors, url: str, good: bool) -> None:
    """The URL of the store has a known scheme, a host, and a master name for Sentinel."""
    assert [error.path for error in find_errors(REDIS_URL=url)] == ([] if good else ["redis.url"])


def test_secret_is_masked() -> None:
    """Every conversion to text gives `***`."""
    secret = Secret(HIDDEN)
    assert {repr(secret), str(secret), f"{secret}", f"{secret!r:>3}", f"{secret:>20}", "%s" % secret} == {"***"}
    assert secret.reveal() == HIDDEN


def test_secrets_are_equal_by_their_text() -> None:
    """Secrets with the same text are equal; text is never equal to a secret."""
    assert Secret("ä") == Secret("ä")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


@pytest.mark.parametrize(
    "way",
    [pickle.dumps, json.dumps, msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins, hash, vars, iter],
)
def test_secret_cannot_be_serialized(way: Callable[[Any], Any]) -> None:
    """Serialization fails, and the error does not contain the secret."""
    with pytest.raises(TypeError) as refusal:
        way(Secret(HIDDEN))
    assert HIDDEN not in str(refusal.value)


def test_secret_is_frozen() -> None:
    """A secret cannot be changed, and its copy is itself."""
    secret = Secret(HIDDEN)
    with pytest.raises(AttributeError):
        secret.text = "x"
    with pytest.raises(AttributeError):
        del secret.reveal
    assert copy.copy(secret) is copy.deepcopy(secret) is secret
