"""Texts that a caller chooses: control characters, links that phones make, and the code of another service."""

from __future__ import annotations

import time

import pytest

from otp_service.domain.caller_text import clean_text, find_code, names_other_host, render_text

ALLOWED = frozenset({"login.example.com"})


def test_every_placeholder_gets_the_code() -> None:
    """The code stands at each placeholder, and nothing else changes."""
    assert render_text("{{code}} is it\n@login.example.com #{{code}}", "0123") == "0123 is it\n@login.example.com #0123"
    assert render_text("{code} {{ code }} {brand} {{code}}", "1") == "{code} {{ code }} {brand} 1"


def test_control_characters_become_spaces() -> None:
    """Nothing but a line feed is left of the control characters; letters are composed."""
    assert clean_text("a\x00b\tc\r\nd\x1be\u2028f\x85g e\u0301") == "a b c\nd e f g \u00e9"


@pytest.mark.parametrize(
    "text",
    [
        "{{code}} is your short code to authenticate with Cool App via SMS",
        "Kode {{code}}. Jangan berikan kepada siapa pun. Tel 021 5555, e.g. 3.50 Rp",
        "{{code}}\n@login.example.com #{{code}}",
        "{{code}} https://login.example.com/reset?t=a",
        "{{code}} Login.Example.COM.",
        "Acme: {{code}} (valid 5 min.) No. 7-11, 10:30",
        "{{code}} https://login.example.com/a@b?t=%20#x\\y",
        "\u9a8c\u8bc1\u7801\u662f{{code}}\u3002\u8bf7\u52ff\u6cc4\u9732\u3002",  # a Chinese sentence ends with U+3002
    ],
)
def test_texts_without_another_host(text: str) -> None:
    """Plain sentences, and hosts that the tenant allows, are accepted."""
    assert not names_other_host(text, ALLOWED)


@pytest.mark.parametrize(
    "text",
    [
        "{{code}} http://evil.example",
        "{{code}} http://login.example.com",  # not https
        "{{code}} evil.example",
        "{{code}} EVIL.example/x",
        "{{code}} login.example.com.evil.example",
        "{{code}} evil-login.example.com",
        "{{code}} https://login.example.com@evil.example",
        "{{code}} https://login.example.com:x@evil.example",
        "{{code}}\n@evil.example #{{code}}",
        "{{code}}.do not share",
        "{{code}} \uff45\uff56\uff49\uff4c\uff0e\uff43\uff4f\uff4d",  # full-width
        "{{code}} evil\u3002com",
        "{{code}} ev\u200bil.com",  # a zero-width space
        "{{code}} 198.51.100.7/a",
        "{{code}} \u0435vil.\u0440\u0444",  # Cyrillic
        "{{code}} myapp://login",
        "Wait...evil.example",
        "{{code}}-evil.example",
        "{{code}}_evil.example",
        "evil.example-{{code}}",
        "evil.example_{{code}}",
        "{{code}} evil.xn--p1ai",  # a top-level domain in Punycode
        "{{code}} evil.\u092d\u093e\u0930\u0924",  # letters with marks
        "{{code}} \u0939\u093f\u0928\u094d\u0926\u0940.com",
        "{{code}} i\u2764.ws",  # a symbol
        "{{code}} login.example.com\u2764.ws",
        "{{code}}-198.51.100.7",
        "{{code}} https://login.example.com@3325256711/",  # an IPv4 address as one number
        "{{code}} https://login.example.com:443@evil/",
        "{{code}} https://login.example.com\\@3325256711/",
        "{{code}} https://login.example.com%2eevil%2eexample",
    ],
)
def test_texts_with_another_host(text: str) -> None:
    """What a phone may show as a link to a host that the tenant does not allow is found."""
    assert names_other_host(text, ALLOWED)


@pytest.mark.parametrize("unit", ["a.", "a-", "1.", "a", "a://", "login.example.com", "{{code}}", "login.example.com:"])
def test_the_search_for_hosts_takes_linear_time(unit: str) -> None:
    """A text far longer than any that is accepted is searched in milliseconds for each kilobyte."""
    started = time.perf_counter()
    names_other_host(unit * (20_000 // len(unit)), ALLOWED)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Your SMS code is 012345 and is valid for 5 minutes.", "012345"),
        ("Your login code is: 123456\n", "123456"),
        ("123456 is it\n\n@example.com #123456", "123456"),
        ("Kode 1234567890", "1234567890"),
        ("no digits", None),
        ("123", None),
        ("12345678901", None),
        ("1234 or 5678", None),
        ("\u0661\u0662\u0663\u0664", None),
    ],
)
def test_the_code_in_a_text_of_another_service(text: str, code: str | None) -> None:
    """The one number that can be a code is found; two different ones are not guessed at."""
    assert find_code(text) == code
