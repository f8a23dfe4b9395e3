"""E-mail addresses: which are accepted, and which spellings are one recipient."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otp_service.crypto.keyring import Keyring
from otp_service.domain.email_address import EmailAddress, EmailInvalid, mask_address, parse_address
from otp_service.domain.recipient import hashed_as, is_address, mask_recipient

KEYRING = Keyring({"k1": bytes(32)}, current="k1", index="k1")
LONG_DOMAIN = ".".join(["a" * 63] * 2 + ["b" * 59])


def keyed_hash(text: str) -> str:
    """Return the identity of an address."""
    return KEYRING.keyed_hash(*hashed_as("recipient", parse_address(text).to))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ann@example.com", "ann@example.com"),
        ("  Ann.Lee+tag@EXAMPLE.Com ", "Ann.Lee+tag@example.com"),
        ("o'brien!#$%&*/=?^_`{|}~-@example.co.id", "o'brien!#$%&*/=?^_`{|}~-@example.co.id"),
        ("a@BÜCHER.example", "a@xn--bcher-kva.example"),
        ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("a@faß.de", "a@xn--fa-hia.de"),
        ("a@例え。テスト", "a@xn--r8jz45g.xn--zckzah"),
        ("a@1.2.3.com", "a@1.2.3.com"),
        ("x" * 64 + "@example.com", "x" * 64 + "@example.com"),
        ("a@" + LONG_DOMAIN, "a@" + LONG_DOMAIN),
    ],
)
def test_accepted_addresses(text: str, address: str) -> None:
    """The local part stays as it is; the domain is in lower case and ASCII, so that two scripts are one domain."""
    assert parse_address(text).address == address


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "ann", "ann@", "@example.com", "ann@@example.com", "ann@b@example.com", "ann@example", "ann@.com",
        "ann@example..com", "ann@example.com.", "ann@-a.com", "ann@a-.com", "ann@a_b.com", "ann@exa mple.com",
        "ann@[192.0.2.1]", "ann@192.0.2.1", "ann@[IPv6:::1]", "ann@example.123", ".ann@example.com", "ann.@example.com",
        "a..n@example.com", '"ann"@example.com', '"a@b"@example.com', "ann(x)@example.com", "ann@(x)example.com",
        "Ann <ann@example.com>", "ann@example.com, ben@example.com", "ann@example.com;", "mailto:ann@example.com",
        "ann\x00@example.com", "ann\n@example.com", "ann@example.com\n", "ann@example.com\r\nBcc: b@example.com",
        "ann\u200b@example.com", "änn@example.com", "ann@exam\u200bple\x00.com", "ann@☃☃\ud800.com",
        "ann@a\u0338.\u0338",
        "x" * 65 + "@example.com", "a@" + "b" * 64 + ".com", "a@" + LONG_DOMAIN + "c" * 70, "a" * 300,
        "a@" + "ü" * 120 + ".de",
    ],
)  # fmt: skip
def test_refused_addresses(text: str) -> None:
    """The error says what to send, and does not repeat the text."""
    with pytest.raises(EmailInvalid) as refused:
        parse_address(text)
    assert text == "" or len(text) < 4 or text not in str(refused.value)


def test_spellings_of_one_recipient() -> None:
    """Case and the script of the domain make no difference; tags and dots do."""
    same = ["Ann.Lee@bücher.example", "ann.lee@XN--BCHER-KVA.example", " ANN.LEE@BÜCHER.EXAMPLE"]
    assert len({keyed_hash(text) for text in same}) == 1
    other = ["ann.lee@example.com", "annlee@example.com", "ann.lee+x@example.com", "ann.lee@mail.example.com"]
    assert len({keyed_hash(text) for text in other}) == 4


def test_an_address_and_a_number_never_share_a_hash() -> None:
    """Their hashes are of different kinds, for everything that is kept of a recipient."""
    assert not is_address("+6281210100055") and is_address("a@b.co")
    for kind in ("recipient", "partition", "token"):
        assert hashed_as(kind, "a@b.co")[0] != hashed_as(kind, "+6281210100055")[0]


@pytest.mark.parametrize(
    ("address", "masked"),
    [("ann@example.com", "a***@example.com"), ("ab@example.com", "***@example.com"), ("a@b.co", "***@b.co")],
)
def test_the_masked_form(address: str, masked: str) -> None:
    """At most the first character of the local part is shown, and none of a short one."""
    assert mask_address(address) == mask_recipient(address) == EmailAddress(address).masked == masked
    assert repr(EmailAddress(address)) == f"EmailAddress({masked})"


@given(st.text(max_size=300) | st.from_regex(r"[a-z.]{1,70}@[a-zü.-]{1,260}", fullmatch=True))
@settings(max_examples=300, deadline=None)
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """No other exception, and what is accepted is accepted again unchanged."""
    try:
        found = parse_address(text)
    except EmailInvalid:
        return
    assert parse_address(found.address) == found
    assert found.address.isascii() and found.address.isprintable() and len(found.address) <= 254
