"""The last line of an SMS, by which a web site or an Android app reads the code."""

from __future__ import annotations

import pytest

from otp_service.domain.apps import App

WEB = App(domain="login.example.com")
ANDROID = App(hash="FA+9qCX9VSu")


def parse_origin_bound(message: str) -> tuple[str, str] | None:
    """Return host and code by the steps of "Origin-bound one-time codes delivered via SMS", 3.2; None: failure."""
    line = message.replace("\r\n", "\n").replace("\r", "\n").split("\n")[-1]
    host, found, rest = line.removeprefix("@").partition(" ")
    if not line.startswith("@") or not host or not found or not rest.startswith("#"):
        return None
    code = rest.removeprefix("#").partition(" ")[0]
    return (host, code) if code else None


@pytest.mark.parametrize(
    "text", ["Acme: 123456", "Acme: 123456\n", "【Acme】123456，", "Acme: 123456\r\nNever share it."]
)
def test_the_line_of_a_web_site(text: str) -> None:
    """The last line alone is the origin and the code, as browsers parse it; the text above is unchanged."""
    message = WEB.add_line(text, "123456")
    assert message == f"{text}\n@login.example.com #123456"
    assert parse_origin_bound(message) == ("login.example.com", "123456")
    assert parse_origin_bound(text) is None


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("x" * 128, True),
        ("x" * 129, False),
        ("x" * 126 + "€", True),
        ("x" * 127 + "€", False),
        ("é" * 128, True),
        ("漢" * 58, True),
        ("漢" * 59, False),
        ("漢" * 56 + "😀", True),
        ("漢" * 57 + "😀", False),
    ],
)
def test_140_bytes_for_android(text: str, fits: bool) -> None:
    """A longer message goes without the hash: one byte for a septet, two for a code unit of UCS-2."""
    assert ANDROID.add_line(text, "123456") == (f"{text}\nFA+9qCX9VSu" if fits else text)


def test_a_web_site_has_no_such_limit() -> None:
    """Browsers read a message of several segments."""
    assert WEB.add_line("漢" * 200, "1").endswith("\n@login.example.com #1")
