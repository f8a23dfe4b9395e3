"""Keys and secrets are accepted in the forms in which tools write them; errors give a reason without the value."""

import base64
import codecs
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from otp_service.crypto.tokens import TokenSigner
from otp_service.providers.eims.config import EimsConfig
from otp_service.settings import ConfigError, ConfigInvalid, Settings, load_file
from tests.settings.complete_config import COMPLETE_CONFIG

FindErrors = Callable[..., tuple[ConfigError, ...]]
Loaded = Callable[..., Settings]

RAW = bytes([0xFB, 0xEF, 0xFF, 0x3E, *range(28)])
KEY = base64.b64encode(RAW).decode()
URL_SAFE = base64.urlsafe_b64encode(RAW).decode()
PASSWORD = "two words"

ENDS = ["{}\n", "{}\r\n", "  {}\t", "\ufeff{}", "\ufeff{}\r\n\r\n", "\u200b{}\u00a0", "{}\x85", "\u2028{}\u3000"]


@pytest.mark.parametrize("ends", ENDS, ids=ascii)
@pytest.mark.parametrize("kind", ["env", "file"])
def test_invisible_ends_are_removed(loaded: Loaded, tmp_path: Path, ends: str, kind: str) -> None:
    """Invisible characters at the ends are removed from variables and files; spaces inside are kept."""
    (tmp_path / "password").write_bytes(ends.format(PASSWORD).encode())
    reference = "env:SPACED" if kind == "env" else f"file:{tmp_path / 'password'}"
    settings = loaded(
        ("providers.jakarta.password", reference),
        ("providers.own.headers.Authorization", reference),
        ("providers.jakarta.account", reference),
        SPACED=ends.format(PASSWORD),
        KEY=ends.format(KEY),
    )
    jakarta = settings.providers["jakarta"]
    assert isinstance(jakarta, EimsConfig)
    assert (jakarta.password.reveal(), jakarta.account) == (PASSWORD, PASSWORD)
    assert settings.keys.material() == {"k1": RAW}


@pytest.mark.parametrize("nothing", [" ", "\n", "\ufeff", "\u200b\u00a0\r\n"], ids=ascii)
def test_invisible_value_is_empty(find_errors: FindErrors, tmp_path: Path, nothing: str) -> None:
    """A value of white space and invisible characters is empty."""
    (tmp_path / "empty").write_text(nothing, encoding="utf-8", newline="")
    found = find_errors(("providers.jakarta.password", f"file:{tmp_path / 'empty'}"), ("keys.k2", "env:K2"), K2=nothing)
    assert [error.path for error in found] == ["keys.k2", "providers.jakarta.password"]
    assert all(error.found.endswith("is empty") for error in found)


@pytest.mark.parametrize("text", [KEY, KEY.rstrip("="), URL_SAFE, URL_SAFE.rstrip("="), f'"{KEY}"', f"'{URL_SAFE}'"])
def test_base64_variants(loaded: Loaded, text: str) -> None:
    """Base64 and base64url, with and without padding or quotes, give the same 32 bytes."""
    assert {"+", "/"} <= set(KEY)
    settings = loaded(("providers.keda.encryption_key", "env:KEY"), KEY=text)
    assert settings.keys.material() == {"k1": RAW}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (base64.b64encode(bytes(31)).decode(), "is 31 bytes instead of 32"),
        (base64.b64encode(bytes(33)).decode(), "is 33 bytes instead of 32"),
        (KEY[:-3], "is cut off, or has a character too many"),
        (KEY[:20] + " " + KEY[20:], "a character outside the alphabet"),
        (KEY[:20] + "\u200b" + KEY[20:], "a character outside the alphabet"),
        (KEY[:20] + "!" + KEY[20:], "a character outside the alphabet"),
        (f'"{KEY}', "a character outside the alphabet"),
        (RAW.hex(), "is hexadecimal, not base64"),
    ],
)
def test_invalid_key(find_errors: FindErrors, text: str, reason: str) -> None:
    """The error gives the reason, and not the value."""
    (error,) = find_errors(("keys.k2", "env:K2"), K2=text)
    assert (error.path, error.found.partition(") ")[0]) == ("keys.k2", "the value (not shown")
    assert reason in error.found
    assert text[:12] not in str(error)


@pytest.mark.parametrize(
    "written",
    [
        lambda pem: pem.replace("\n", "\\n"),
        lambda pem: pem.replace("\n", "\\r\\n"),
        lambda pem: pem.replace("\n", "\\\\n"),
        lambda pem: f'"{pem}"'.replace("\n", "\\n"),
        lambda pem: pem.replace("\n", " "),
        lambda pem: pem.replace("\n", "\r\n"),
        lambda pem: pem.replace("\n", "\n\n"),
        lambda pem: textwrap.indent(pem, "    "),
        lambda pem: f"\ufeff{pem}\u200b",
        lambda pem: pem.strip(),
    ],
)
def test_pem_variants(loaded: Loaded, pem: str, written: Callable[[str], str]) -> None:
    """Line ends may be escaped, spaces, doubled or indented: the same key signs."""
    signers = [
        TokenSigner({"t1": loaded(PEM=text).tokens.ring["t1"].reveal()}, current="t1", issuer="https://otp.example.com")
        for text in (pem, written(pem))
    ]
    assert signers[0].jwks() == signers[1].jwks()


def _pem(kind: str) -> str:
    key = Ed25519PrivateKey.generate()
    pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    other = ec.generate_private_key(ec.SECP256R1())
    match kind:
        case "encrypted":
            return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()
        case "OpenSSH":
            return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
        case "public":
            return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        case "another kind of key":
            return other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        case "decode it once":
            return base64.b64encode(pkcs8.encode()).decode()
        case "BEGIN or END line is missing":
            return pkcs8[:70]
    return pkcs8.replace("MC4C", "MC4D")


@pytest.mark.parametrize(
    "reason",
    [
        "encrypted",
        "OpenSSH",
        "public",
        "another kind of key",
        "decode it once",
        "BEGIN or END line is missing",
        "not of a key that can be read",
    ],
)
def test_other_pem(find_errors: FindErrors, reason: str) -> None:
    """A key of another kind is refused, with its kind as the reason."""
    text = _pem(reason)
    (error,) = find_errors(PEM=text)
    assert error.path == "tokens.t1"
    assert reason in error.found
    assert not any(line in str(error) for line in text.splitlines())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("hunter2".encode("utf-16"), "UTF-16"),
        ("hunter2".encode("utf-16-be"), "as UTF-16 has"),
        (codecs.BOM_UTF32_LE + "hunter2".encode("utf-32-le"), "UTF-32"),
        ("hünter2".encode("latin-1"), "not text in UTF-8"),
    ],
)
def test_other_encoding_is_named(
    find_errors: FindErrors, tmp_path: Path, environ: dict[str, str], data: bytes, reason: str
) -> None:
    """A file in another encoding than UTF-8 is refused, with the encoding as the reason."""
    (tmp_path / "odd").write_bytes(data)
    (error,) = find_errors(("providers.jakarta.password", f"file:{tmp_path / 'odd'}"))
    assert reason in error.found
    with pytest.raises(ConfigInvalid) as refusal:
        load_file(tmp_path / "odd", environ)
    assert reason in str(refusal.value)


def test_config_with_byte_order_mark(tmp_path: Path, environ: dict[str, str]) -> None:
    """A byte order mark before UTF-8, and Windows line ends, are accepted."""
    (tmp_path / "otp.toml").write_bytes(codecs.BOM_UTF8 + COMPLETE_CONFIG.replace("\n", "\r\n").encode())
    assert load_file(tmp_path / "otp.toml", environ).server.port == 8000


def test_variable_that_is_not_utf8(find_errors: FindErrors) -> None:
    """A variable whose bytes are not UTF-8 is refused."""
    (error,) = find_errors(("providers.jakarta.password", "env:ODD"), ODD="h\udcfcnter2")
    assert error.found == "the environment variable ODD is not text in UTF-8"
