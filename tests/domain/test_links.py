"""Which addresses a message may contain."""

from __future__ import annotations

import re

import pytest

from otp_service.domain.links import LINK_PATTERN, is_short_link, link_host

LONG = "https://account.example.com/reset?token=0123456789abcdef"


@pytest.mark.parametrize(
    ("link", "host"),
    [
        ("https://account.example.com", "account.example.com"),
        ("https://Account.Example.com/a?b=c#d", "account.example.com"),
        ("https://account.example.com:8443/a", "account.example.com"),
        ("https://account.example.com?a=@evil.example", "account.example.com"),
        ("https://account.example.com#@evil.example", "account.example.com"),
        ("https://evil.example/account.example.com", "evil.example"),
    ],
)
def test_host_of_a_link(link: str, host: str) -> None:
    """The host ends at the first port, path, query or fragment."""
    assert re.search(LINK_PATTERN, link)
    assert link_host(link) == host


@pytest.mark.parametrize(
    "link",
    [
        "http://account.example.com/",
        "HTTPS://account.example.com/",
        "https://",
        "https:///a",
        "https://user@account.example.com/",
        "https://account.example.com@evil.example/",
        "https://account.example.com\\@evil.example/",
        "https://account.example.com\\.evil.example/",
        "https://b\u00fccher.example/",
        "https://account.example.com/\u00fc",
        "https://account.example.com/a b",
        "https://account.example.com/a\n",
        "https://account.example.com/\t",
        "https://account.example.com/<a>",
        "https://account.example.com/{code}",
        "https://account.example.com:/a:x" + "\x00",
        "https://[::1]/",
        " https://account.example.com/",
        "javascript:alert(1)",
        "",
    ],
)
def test_other_texts_are_no_links(link: str) -> None:
    """No user, no other scheme, and no character that a browser reads in another way than we do."""
    assert not re.search(LINK_PATTERN, link)


@pytest.mark.parametrize(
    ("short", "usable"),
    [
        ("https://kd.example/1", True),
        ("http://kd.example/1", False),
        (LONG, False),
        (LONG + "x", False),
        ("kd/1", False),
        ("https://kd.example/1 buy now", False),
        ("https://kd.example/1\n", False),
        ("", False),
    ],
)
def test_short_links(short: str, usable: bool) -> None:
    """What a gateway returns replaces the address only if it is a shorter one, and nothing else."""
    assert is_short_link(short, LONG) is usable
