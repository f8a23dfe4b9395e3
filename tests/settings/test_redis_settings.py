"""`[redis]`: what stands beside the URL fits it, and files of authorities are tried when they are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from otp_service.bootstrap import build_topology
from otp_service.settings import ConfigError, Settings
from tests.settings.complete_config import PASSWORD
from tests.store.tls_proxy import CertificateAuthority

Mistakes = Callable[..., tuple[ConfigError, ...]]
SENTINEL = "rediss+sentinel://:server-pw@one:26379,two/mymaster"
USER = ("redis.sentinel_username", "watcher")
SECRET = ("redis.sentinel_password", "env:PASSWORD")


def test_the_credentials_of_sentinels(loaded: Callable[..., Settings]) -> None:
    """They are theirs alone, and hidden; none by default."""
    plain = loaded(REDIS_URL=SENTINEL).redis
    assert (plain.sentinel_username, plain.sentinel_password, plain.ca_file) == (None, None, None)

    given = loaded(USER, SECRET, REDIS_URL=SENTINEL).redis
    assert given.sentinel_username == "watcher"
    assert given.sentinel_password is not None
    assert given.sentinel_password.reveal() == PASSWORD
    assert PASSWORD not in repr(given)


@pytest.mark.parametrize(
    ("edits", "url", "path"),
    [
        ([SECRET], "redis://one", "redis.sentinel_password"),
        ([SECRET], "rediss+cluster://one", "redis.sentinel_password"),
        ([USER], SENTINEL, "redis.sentinel_password"),
        ([("redis.sentinel_password", "plain")], SENTINEL, "redis.sentinel_password"),
        ([("redis.ca_file", "relative.pem")], SENTINEL, "redis.ca_file"),
        ([("redis.ca_file", "/nowhere/ca.pem")], SENTINEL, "redis.ca_file"),
        ([("redis.ca_file", "/etc/hostname")], SENTINEL, "redis.ca_file"),
        ([("redis.ca_file", 7)], SENTINEL, "redis.ca_file"),
    ],
)
def test_what_does_not_fit_is_refused(mistakes: Mistakes, edits: list[tuple[str, object]], url: str, path: str) -> None:
    """One line at the key."""
    [found] = mistakes(*edits, REDIS_URL=url)
    assert found.path == path


def test_a_file_of_authorities(mistakes: Mistakes, tmp_path: Path) -> None:
    """One with certificates is taken, where TLS is spoken."""
    file = ("redis.ca_file", str(CertificateAuthority(tmp_path, "ours").file))
    for url in ("rediss://one", "rediss+cluster://one", SENTINEL):
        assert mistakes(file, REDIS_URL=url) == ()
    for url in ("redis://one", "redis+sentinel://one/m", "unix:///s"):
        assert [found.path for found in mistakes(file, REDIS_URL=url)] == ["redis.ca_file"]


@pytest.mark.parametrize(
    "url", ["rediss://one", "redis://one", "rediss+cluster://one,two", "redis+cluster://one", SENTINEL, "unix:///s"]
)
async def test_every_kind_of_url_makes_a_topology(loaded: Callable[..., Settings], url: str) -> None:
    """Nothing is connected yet, and no option is one that the client does not know."""
    topology = build_topology(loaded(REDIS_URL=url))
    await topology.close()
