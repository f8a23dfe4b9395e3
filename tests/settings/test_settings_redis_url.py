"""The URL of the store: unencoded characters are refused with a reason, and an accepted URL can be used."""

from collections.abc import Callable
from urllib.parse import quote

import pytest
from redis.asyncio import ConnectionPool

from otp_service.settings import ConfigError, Settings

FindErrors = Callable[..., tuple[ConfigError, ...]]

HIDDEN = ("p4ss", "w0rd", "redis.invalid")
"""Parts of the URLs below that no line may show."""

REFUSED = [
    ("redis://:p4ss#w0rd@127.0.0.1/0", "write %23"),
    ("redis://:p@p4ss#w0rd@127.0.0.1/0", "write %23"),
    ("redis://redis.invalid:6379/0#p4ss", "write %23"),
    ("redis://:p4ss@w0rd@redis.invalid/0", "write %40"),
    ("redis+cluster://:p4ss@w0rd@redis.invalid:7000", "write %40"),
    ("redis://:p4ss@redis.invalid/0?username=p4ss@w0rd", "write %40"),
    ("redis://:p4ss/w0rd@redis.invalid/0", "write %2F or %3F"),
    ("redis://user:123/w0rd@redis.invalid/0", "write %2F or %3F"),
    ("redis://p4ss/@redis.invalid", "write %2F or %3F"),
    ("redis://p4ss?w0rd@redis.invalid/0", "write %2F or %3F"),
    ("redis+sentinel://p4ss/w0rd@redis.invalid/mymaster", "write %2F or %3F"),
    ("redis://:p4ss w0rd@redis.invalid/0", "write %20"),
    ("redis://:p4ss\tw0rd@redis.invalid/0", "write %20"),
    ("redis://:p4ss\nw0rd@redis.invalid/0", "write %20"),
    ("redis://:p4ss\u200bw0rd@redis.invalid/0", "invisible character"),
    ("redis://:p4ss%w0rd@redis.invalid/0", "write %25"),
    ("redis://:p4ss%@redis.invalid/0", "write %25"),
    ("redis://:p4ss[w0rd@redis.invalid/0", "write %5B"),
    ("redis://:p4ss]w0rd@redis.invalid/0", "write %5B"),
    ("redis://redis.invalid/0?w0rd", "not known"),
    ("redis://redis.invalid/0?decode_responses=true", "not known"),
    ("redis://redis.invalid/0?ssl_cert_reqs=none", "only rediss://"),
    ("redis://redis.invalid/?db=w0rd", "an option db whose value"),
    ("redis://redis.invalid/?socket_timeout=", "an option socket_timeout whose value"),
    ("redis://:p4ss@redis.invalid/w0rd", "the number of a database"),
    ("redis://:p4ss@redis.invalid:0/0", "port"),
    ("redis://:p4ss@/0", "no host"),
    ("redis://:p4ss@redis.invalid,b/0", "several hosts"),
    ("redis+sentinel://:p4ss@redis.invalid", "Sentinel has for the service"),
    ("http://:p4ss@redis.invalid", "another scheme"),
    ("unix+cluster:///w0rd", "another scheme"),
    ("redis.invalid:6379", "another scheme"),
    ("unix://run/w0rd.sock", "no absolute path"),
    ("redis://[::1", "cannot be read"),
]
"""(URL, what its line says)."""

TAKEN = [
    "redis://:p%40ss%23w%2Fo%3Frd%25@store:6379/0",
    "redis://us%20er:p%5Bss@store",
    "redis://:a:b:c@store/0",
    "redis://:pässwörd@store/0",
    "redis://:p!$&'()*+,;=~-._@store/0",
    "redis://store/0?protocol=3&client_name=otp&socket_timeout=1.5&socket_connect_timeout=2",
    "redis://store?db=2&username=otp&password=p%40ss&max_connections=50&health_check_interval=30",
    "redis://store?socket_keepalive=true&retry_on_timeout=false&socket_read_size=65536",
    "rediss://store?ssl_cert_reqs=none&ssl_check_hostname=false&ssl_ca_certs=/etc/ca.pem&ssl_ciphers=HIGH",
    "rediss://store?ssl_certfile=/c.pem&ssl_keyfile=/k.pem&ssl_password=p&ssl_ca_path=/etc/ssl&ssl_ca_data=x",
    "unix:///run/valkey.sock?db=2",
    "unix://user:p%40ss@/run/valkey.sock",
    "unix:///run/user@1000/valkey.sock",
    "REDIS://store/0",
]
"""URLs of one server: redis-py makes a connection of each."""


@pytest.mark.parametrize(("url", "reason"), REFUSED)
def test_refused_urls(find_errors: FindErrors, url: str, reason: str) -> None:
    """The error gives the reason and the remedy, and no part of the URL."""
    (error,) = find_errors(REDIS_URL=url)
    assert error.path == "redis.url"
    assert reason in error.found
    assert not any(part in str(error) for part in HIDDEN)


@pytest.mark.parametrize("url", TAKEN)
def test_accepted_urls(loaded: Callable[..., Settings], url: str) -> None:
    """redis-py accepts every URL that is accepted."""
    taken = loaded(REDIS_URL=f"\ufeff{url}\r\n").redis.url.reveal()
    assert taken == url
    assert ConnectionPool.from_url(taken).make_connection()


@pytest.mark.parametrize("char", "#/?@%[] :&+=\"'\\ä€")
def test_percent_encoded_passwords(loaded: Callable[..., Settings], char: str) -> None:
    """A percent-encoded password reaches redis-py unchanged."""
    url = f"redis://:{quote(f'p{char}w', safe='')}@store/0"
    pool = ConnectionPool.from_url(loaded(REDIS_URL=url).redis.url.reveal())
    assert (pool.connection_kwargs["password"], pool.connection_kwargs["host"]) == (f"p{char}w", "store")


def test_quotes_are_removed(loaded: Callable[..., Settings]) -> None:
    """Quotes around the URL, which some env files keep, are removed."""
    assert loaded(REDIS_URL='"redis://store/0"').redis.url.reveal() == "redis://store/0"
