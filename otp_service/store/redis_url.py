"""Validation of the store's URL. The user and the password in it must be percent-encoded.

A URL with a raw `#`, `/`, `?` or `@` in its password is a valid URL of another host: a part of the password would be
sent to a name server. Such a URL is refused. Errors contain no part of the URL.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from otp_service.domain.typed_text import LINE_END, normalize_typed

__all__ = ["InvalidRedisUrl", "validate_redis_url"]

_KINDS: Final = ("", "cluster", "sentinel")
_ADDRESS: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_DATABASE: Final = re.compile(r"/?|/[0-9]{1,5}/?")
_SENTINEL_PATH: Final = re.compile(r"/[A-Za-z0-9._-]+(?:/[0-9]{1,5})?")
_HIGHEST_PORT: Final = 65535
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f-\x9f]")
_BARE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")

_INTEGERS: Final = frozenset({"db", "protocol", "max_connections", "socket_read_size", "health_check_interval"})
_SECONDS: Final = frozenset({"socket_timeout", "socket_connect_timeout"})
_WORDS: Final = frozenset({"username", "password", "client_name", "socket_keepalive", "retry_on_timeout"})
_TLS: Final = frozenset(
    f"ssl_{name}"
    for name in (
        "ca_certs",
        "ca_path",
        "ca_data",
        "cert_reqs",
        "certfile",
        "check_hostname",
        "ciphers",
        "keyfile",
        "password",
    )
)
_INTEGER: Final = re.compile(r"[0-9]{1,9}")
_SECOND: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")


class InvalidRedisUrl(Exception):
    """The URL is refused; the message of the error says why."""


def validate_redis_url(url: str) -> str:
    """Return the URL if redis-py can use it.

    Raises:
        InvalidRedisUrl: It cannot, or a character in it must be percent-encoded.
    """
    _check_encoding(url)
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidRedisUrl("is not a URL: its address cannot be read") from None
    scheme, _, kind = parts.scheme.partition("+")
    if scheme == "unix" and "+" not in parts.scheme:
        _check_socket(parts)
    elif scheme not in ("redis", "rediss") or kind not in _KINDS or parts.scheme.endswith("+"):
        raise InvalidRedisUrl("is a URL of another scheme, or of none")
    else:
        _check_server(parts, kind)
    _check_query(parts, tls=scheme == "rediss")
    return url


def _check_encoding(url: str) -> None:
    """Refuse characters that urlsplit would remove, or take for the end of the host."""
    if _CONTROL.search(url) or any(normalize_typed(char) in ("", " ", LINE_END) for char in url):
        raise InvalidRedisUrl(
            "has a space or an invisible character in it that is not percent-encoded: write %20 for a space"
        )
    if "#" in url:
        raise InvalidRedisUrl("has a # that is not percent-encoded: write %23")
    if _BARE_PERCENT.search(url):
        raise InvalidRedisUrl("has a % that is not percent-encoded: write %25")
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    user = authority.rpartition("@")[0]
    if authority.count("@") > 1 or (user and "@" in rest[len(authority) :] and scheme != "unix"):
        raise InvalidRedisUrl("has more than one @: write %40 for one in the password")
    if "@" in rest[len(authority) :] and scheme != "unix":
        raise InvalidRedisUrl("has a / or ? in front of the @ that is not percent-encoded: write %2F or %3F")
    if "[" in user or "]" in user:
        raise InvalidRedisUrl("has a [ or ] in front of the @ that is not percent-encoded: write %5B or %5D")


def _check_socket(parts: SplitResult) -> None:
    if parts.netloc.rpartition("@")[2] or len(parts.path) < 2:
        raise InvalidRedisUrl("has no absolute path: write unix:///path")


def _check_server(parts: SplitResult, kind: str) -> None:
    hosts = parts.netloc.rpartition("@")[2].split(",")
    if len(hosts) > 1 and not kind:
        raise InvalidRedisUrl("has several hosts, which only redis+cluster and redis+sentinel have")
    if not all(map(_is_address, hosts)):
        raise InvalidRedisUrl("has no host, or one that is not host or host:port with a port of 1 to 65535")
    if kind == "sentinel" and not _SENTINEL_PATH.fullmatch(parts.path):
        raise InvalidRedisUrl("does not end in the name that Sentinel has for the service: /name or /name/database")
    if kind != "sentinel" and not _DATABASE.fullmatch(parts.path):
        raise InvalidRedisUrl("has a path that is not the number of a database")


def _is_address(host: str) -> bool:
    found = _ADDRESS.fullmatch(host)
    return found is not None and 0 < int(found["port"] or 1) <= _HIGHEST_PORT


def _check_query(parts: SplitResult, *, tls: bool) -> None:
    """Refuse options that redis-py does not know: it would fail only when it connects."""
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _INTEGERS | _SECONDS | _WORDS | _TLS:
            raise InvalidRedisUrl("has a ? and behind it an option that is not known; in a password write %3F")
        if name in _TLS and not tls:
            raise InvalidRedisUrl("has a TLS option, which only rediss:// has")
        form = _INTEGER if name in _INTEGERS else _SECOND if name in _SECONDS else None
        if not value or (form and not form.fullmatch(value)):
            raise InvalidRedisUrl(f"has an option {name} whose value cannot be read")
