"""Secrets are found where they are written, must be what they are for, and are never shown."""

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

Mistakes = Callable[..., tuple[ConfigError, ...]]

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
    "providers.vonage.api_secret",
    "providers.vonage.signature_secret",
    "providers.own.headers.Authorization",
]


@pytest.mark.parametrize("path", SECRETS_AT)
@pytest.mark.parametrize("value", [HIDDEN, [HIDDEN], {"a": HIDDEN}, f"env:{HIDDEN}"])
def test_a_misplaced_secret_is_not_shown(mistakes: Mistakes, path: str, value: Any) -> None:
    """A secret that is written plainly, or in a wrong shape, is refused without repeating it."""
    found = mistakes((path, value))
    assert [mistake.path for mistake in found] == [path]
    assert HIDDEN not in str(found[0])


@pytest.mark.parametrize("path", [*SECRETS_AT, "tenants.acme.api_keys.0.sha256", "providers.own.url"])
def test_a_bad_value_is_not_shown(mistakes: Mistakes, path: str) -> None:
    """Whatever a variable holds, no mistake repeats it."""
    found = mistakes((path, "env:BAD"), BAD=f"{HIDDEN} {{oops}}\n")
    assert not any(HIDDEN in str(mistake) or "oops" in str(mistake) for mistake in found)


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
def test_what_may_be_a_secret_is_not_shown(mistakes: Mistakes, edit: tuple[str, Any]) -> None:
    """A secret in a wrong place is not repeated either."""
    found = mistakes(edit)
    assert found
    assert not any(HIDDEN in str(mistake) for mistake in found)


def test_settings_hide_every_secret(loaded: Callable[..., Settings], environ: dict[str, str]) -> None:
    """The tree can be printed: nothing that the environment gave stands in it."""
    settings = loaded(*((path, "env:PASSWORD") for path in SECRETS_AT[7:]))
    shown = f"{settings!r} {settings}"
    assert "***" in shown
    assert not any(value in shown or value.strip()[-20:] in shown for value in environ.values())


def test_a_file_ends_without_its_newline(loaded: Callable[..., Settings], secret_file: Path) -> None:
    """The newline that ends a file is no part of the secret."""
    jakarta = loaded((PASSWORD_AT, f"file:{secret_file}")).providers["jakarta"]
    assert isinstance(jakarta, EimsConfig)
    assert jakarta.password.reveal() == HIDDEN


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"\xff", "not text in UTF-8"), (b"a" * 65537, "too long")],
)
def test_bad_files(mistakes: Mistakes, tmp_path: Path, content: bytes, reason: str) -> None:
    """A file without a secret is a mistake that names it."""
    path = tmp_path / "bad"
    path.write_bytes(content)
    (mistake,) = mistakes((PASSWORD_AT, f"file:{path}"))
    assert str(path) in mistake.found
    assert reason in mistake.found


def test_an_empty_variable(mistakes: Mistakes) -> None:
    """A variable that is set to nothing is no secret."""
    (mistake,) = mistakes(PASSWORD="")[:1]
    assert mistake.found == "the environment variable PASSWORD is empty"


def test_an_account_may_be_a_reference(loaded: Callable[..., Settings]) -> None:
    """What identifies an account may stand beside its password."""
    jakarta = loaded(("providers.jakarta.account", "env:ACCOUNT"), ACCOUNT="acme-2").providers["jakarta"]
    assert isinstance(jakarta, EimsConfig)
    assert jakarta.account == "acme-2"


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_keys_of_another_length(mistakes: Mistakes, length: int) -> None:
    """A key is 32 bytes, neither more nor less."""
    text = base64.b64encode(bytes(length)).decode() or "===="
    assert [mistake.path for mistake in mistakes(("keys.k2", "env:OTHER"), OTHER=text)] == ["keys.k2"]


def test_other_private_keys(mistakes: Mistakes) -> None:
    """Tokens are signed by a bare Ed25519 key: no other curve, no passphrase, no public half."""
    key = Ed25519PrivateKey.generate()
    others = [
        X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).replace(b"PRIVATE", b"PUBLIC"),
    ]
    for other in others:
        assert [mistake.path for mistake in mistakes(PEM=other.decode())] == ["tokens.t1"]


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
def test_redis_urls(mistakes: Mistakes, url: str, good: bool) -> None:
    """The store's URL has a known scheme, a host, and for Sentinel the name of the master."""
    assert [mistake.path for mistake in mistakes(REDIS_URL=url)] == ([] if good else ["redis.url"])


def test_a_secret_shows_nothing() -> None:
    """Every way to text gives three stars."""
    secret = Secret(HIDDEN)
    assert {repr(secret), str(secret), f"{secret}", f"{secret!r:>3}", f"{secret:>20}", "%s" % secret} == {"***"}
    assert secret.reveal() == HIDDEN


def test_secrets_are_equal_by_their_text() -> None:
    """Two secrets with one text are equal; text is never equal to a secret."""
    assert Secret("ä") == Secret("ä")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


@pytest.mark.parametrize(
    "way",
    [pickle.dumps, json.dumps, msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins, hash, vars, iter],
)
def test_a_secret_is_not_written_down(way: Callable[[Any], Any]) -> None:
    """What would serialise a secret fails, and does not tell it in failing."""
    with pytest.raises(TypeError) as refusal:
        way(Secret(HIDDEN))
    assert HIDDEN not in str(refusal.value)


def test_a_secret_is_frozen() -> None:
    """A secret is set once, and its copy is itself."""
    secret = Secret(HIDDEN)
    with pytest.raises(AttributeError):
        secret.text = "x"
    with pytest.raises(AttributeError):
        del secret.reveal
    assert copy.copy(secret) is copy.deepcopy(secret) is secret
