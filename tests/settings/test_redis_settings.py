"""`[redis]`: keys that do not match the URL are refused, and the file of certificate authorities must be usable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from otp_service.bootstrap import build_topology
from otp_service.settings import ConfigError, Settings
from tests.settings.complete_config import PASSWORD
from tests.store.tls_proxy import CertificateAuthority

FindErrors = Callable[..., tuple[ConfigError, ...]]
SENTINEL = "rediss+sentinel://:server-pw@one:26379,two/mymaster"
USER = ("redis.sentinel_username", "watcher")
SECRET = ("redis.sentinel_password", "env:PASSWORD")


def test_sentinel_credentials(loaded: Callable[..., Settings]) -> None:
    """Sentinels have credentials of their own, which are hidden; the default is none."""
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
def test_keys_that_do_not_match_the_url(
    find_errors: FindErrors, edits: list[tuple[str, object]], url: str, path: str
) -> None:
    """Each key that does not match the URL is one error."""
    [found] = find_errors(*edits, REDIS_URL=url)
    assert found.path == path


def test_ca_file(find_errors: FindErrors, tmp_path: Path) -> None:
    """A file with certificates is accepted if the URL uses TLS."""
    file = ("redis.ca_file", str(CertificateAuthority(tmp_path, "ours").file))
    for url in ("rediss://one", "rediss+cluster://one", SENTINEL):
        assert find_errors(file, REDIS_URL=url) == ()
    for url in ("redis://one", "redis+sentinel://one/m", "unix:///s"):
        assert [found.path for found in find_errors(file, REDIS_URL=url)] == ["redis.ca_file"]


@pytest.mark.parametrize(
    "url", ["rediss://one", "redis://one", "rediss+cluster://one,two", "redis+cluster://one", SENTINEL, "unix:///s"]
)
async def test_every_scheme_builds_a_topology(loaded: Callable[..., Settings], url: str) -> None:
    """Each kind of URL builds a topology, without connecting."""
    topology = build_topology(loaded(REDIS_URL=url))
    await topology.close()
