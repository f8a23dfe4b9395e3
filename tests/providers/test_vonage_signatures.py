"""Vonage's signatures against the vectors that Vonage publishes in the tests of its PHP and Ruby libraries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args

import pytest

from otp_service.domain.secret import Secret
from otp_service.providers.vonage.signing import SignatureMethod, is_signed, signature
from otp_service.sandbox.simulators.vonage_requests import sign

SECRET: Final = Secret("my_secret_key_for_testing")
INBOUND: Final = {
    "message-timestamp": "2013-11-21 15:27:30", "messageId": "020000001B0FE827", "msisdn": "14843472194",
    "text": "Test again", "timestamp": "1385047698", "to": "13239877404", "type": "text",
}  # fmt: skip
SPECIAL: Final = {
    "keyword": "TEST", "message-timestamp": "2017-04-04 22:57:47", "messageId": "0B00000042AC53BD",
    "msisdn": "14843472194", "nonce": "929d6744-bd28-42c8-b6cf-31d5b4f43732", "text": "Test with & and =",
    "timestamp": "1491346667", "to": "12192259404", "type": "text",
}  # fmt: skip
OUTBOUND: Final = {
    "api_key": "not_a_key", "from": "12192259404", "text": "Test&test=something", "timestamp": "1490638615",
    "to": "14843472194",
}  # fmt: skip
REQUEST: Final = {
    "api_key": "fake_api_key", "to": "14155550100", "from": "AcmeInc", "text": "Test From Nexmo", "type": "text",
    "timestamp": "1540924779",
}  # fmt: skip
REQUEST_SECRET: Final = Secret("71efab63122f1d179f51c46bac838fb5")

VECTORS: Final[list[tuple[SignatureMethod, Mapping[str, str], Secret, str]]] = [
    # vonage-php-sdk-core, test/Client/SignatureTest.php; the first five are also in vonage-ruby-sdk
    ("md5hash", INBOUND, SECRET, "d2e7b1dc968737c5998ad624e02f90b7"),
    ("md5", INBOUND, SECRET, "DDEBD46008C2D4E93CCE578A332A52D5"),
    ("sha1", INBOUND, SECRET, "27D0D05C2876C7CB1720DBCDBA4D492E1E55C09A"),
    ("sha256", INBOUND, SECRET, "DDB8397C2B90AAC7F3882D306475C9A5058C92322EEF43C92B298B6E0FC0D330"),
    (
        "sha512",
        INBOUND,
        SECRET,
        "E0D3C650F8C9D1A5C174D10DDDBFB003E561F59B265616208B0487C5D819481C"
        "D3C311D59CF6165ECD1139622D5BA3A256C0D763AC4A9AD9144B5A426B94FE82",
    ),
    ("md5hash", SPECIAL, SECRET, "e06d9763e3fd0b9c31beb5fc2fcb011c"),
    ("md5hash", OUTBOUND, SECRET, "17f5e3b22f778ec73464c01d180e9d0f"),
    ("md5", REQUEST, REQUEST_SECRET, "51CDAFEBB4BBCE9525B195C1617CB8D2"),
    ("sha1", REQUEST, REQUEST_SECRET, "0162AEC64BC183B2E1256545951FE5639DC98020"),
    ("sha256", REQUEST, REQUEST_SECRET, "9FEC5EF6D0F2B3D2BB7558B6E4042569823CAB9EA0DD30503472B7B304601975"),
    (
        "sha512",
        REQUEST,
        REQUEST_SECRET,
        "40BD12B9A4B6000AD1138EEFD24FFE9FBD72AEE13C3FA04B32BB69DBC256AD0A"
        "04A463B1A9AF6660D10F6E1E769EE14B9CFF6A635502E93AFCD0BFAB29F38F87",
    ),
]


@pytest.mark.parametrize(("method", "parameters", "secret", "expected"), VECTORS)
def test_published_vectors(
    method: SignatureMethod, parameters: Mapping[str, str], secret: Secret, expected: str
) -> None:
    """Adapter and simulator compute each published signature; a `sig` among the parameters is not signed."""
    assert signature(parameters, secret, method) == expected
    assert signature({**parameters, "sig": "x"}, secret, method) == expected
    assert sign(parameters, secret.reveal(), method) == expected


@pytest.mark.parametrize(("method", "parameters", "secret", "expected"), VECTORS)
def test_verification_ignores_the_case_of_the_signature(
    method: SignatureMethod, parameters: Mapping[str, str], secret: Secret, expected: str
) -> None:
    """A signature is valid in upper and in lower case, and with no other method."""
    for written in (expected, expected.lower(), expected.upper()):
        assert is_signed({**parameters, "sig": written}, secret, method)
    for other in get_args(SignatureMethod):
        assert is_signed({**parameters, "sig": expected}, secret, other) is (other == method)


@pytest.mark.parametrize(
    "changed",
    [
        {"sig": ""}, {"sig": "d2e7b1dc968737c5998ad624e02f90b"}, {"sig": "ü"}, {"text": "Test agaim"}, {"more": ""},
        {"timestamp": "1385047699"}, {"text": ""},
    ],
)  # fmt: skip
def test_a_changed_parameter_is_not_signed(changed: dict[str, str]) -> None:
    """Another value, another parameter and another signature are refused."""
    signed = {**INBOUND, "sig": "d2e7b1dc968737c5998ad624e02f90b7"}
    assert is_signed(signed, SECRET, "md5hash")
    assert not is_signed(signed | changed, SECRET, "md5hash")


def test_parameters_merged_into_one_name_are_not_signed() -> None:
    """The signed text of `a=1&b=2` is also that of one parameter called `a=1&b`: such a name is refused."""
    merged = {"a=1&b": "2"}
    assert signature(merged, SECRET, "sha256") == signature({"a": "1", "b": "2"}, SECRET, "sha256")
    assert not is_signed({**merged, "sig": signature(merged, SECRET, "sha256")}, SECRET, "sha256")
