"""TLS to Redis and to its Sentinels: their own credentials, checked certificates, nothing in the clear."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from otp_service.domain.errors import Refused
from otp_service.domain.secret import Secret
from otp_service.store.connection import Access
from otp_service.store.topology import connect
from tests.store.redis_servers import HOST, MASTER, RedisServer, SentinelServer, folder_of, folders, free_ports
from tests.store.tls_proxy import CertificateAuthority, TlsProxy

SERVER_PASSWORD, SENTINEL_USER, SENTINEL_PASSWORD = "server-pw", "watcher", "sentinel-pw"


@dataclass(frozen=True)
class TlsServers:
    """A primary and a Sentinel, each behind a proxy."""

    primary: TlsProxy
    sentinel: TlsProxy

    @property
    def url(self) -> str:
        """Return the URL for the config."""
        return f"rediss+sentinel://:{SERVER_PASSWORD}@{HOST}:{self.sentinel.port}/{MASTER}"


@contextlib.asynccontextmanager
async def tls_servers(primary: ssl.SSLContext | None, sentinel: ssl.SSLContext | None) -> AsyncIterator[TlsServers]:
    """Run a primary that the Sentinel names by the address of its proxy (which the Sentinel cannot reach)."""
    ports = free_ports(3)
    with folders() as parent, contextlib.ExitStack() as stack:
        server = stack.enter_context(RedisServer(folder_of(parent, "a"), port=ports[0]))
        server.ask("CONFIG", "SET", "requirepass", SERVER_PASSWORD)
        watcher = stack.enter_context(SentinelServer(folder_of(parent, "s"), ports[1], ports[2]))
        watcher.ask("SENTINEL", "SET", MASTER, "down-after-milliseconds", "3600000")
        watcher.ask("ACL", "SETUSER", SENTINEL_USER, "on", f">{SENTINEL_PASSWORD}", "allchannels", "+@all")
        watcher.ask("ACL", "SETUSER", "default", "off")
        async with (
            TlsProxy(ports[0], primary).running(ports[2]) as before_primary,
            TlsProxy(ports[1], sentinel).running() as before_sentinel,
        ):
            yield TlsServers(before_primary, before_sentinel)


def access(authority: CertificateAuthority | None, password: str | None = SENTINEL_PASSWORD) -> Access:
    """Return access with a trusted authority and the Sentinels' credentials."""
    file = str(authority.file) if authority else None
    secret = Secret(password) if password else None
    return Access(ca_file=file, sentinel_username=SENTINEL_USER if password else None, sentinel_password=secret)


async def served(url: str, access_options: Access) -> bool:
    """Return whether calls succeed."""
    topology = connect(url, access_options)
    try:
        [answer] = await topology.probe()
        return not isinstance(answer, Refused)
    finally:
        await topology.close()


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    """The authority that signs the servers' certificates."""
    return CertificateAuthority(tmp_path, "ours")


@pytest.fixture
def other_authority(tmp_path: Path) -> CertificateAuthority:
    """Another authority."""
    return CertificateAuthority(tmp_path, "strange")


async def test_sentinels_get_tls_and_their_own_credentials(authority: CertificateAuthority) -> None:
    """Calls succeed; no server gets the password of another."""
    async with tls_servers(authority.context(), authority.context()) as at:
        assert await served(at.url, access(authority))
        assert SENTINEL_PASSWORD.encode() in at.sentinel.heard
        assert SERVER_PASSWORD.encode() not in at.sentinel.heard
        assert SERVER_PASSWORD.encode() in at.primary.heard
        assert SENTINEL_PASSWORD.encode() not in at.primary.heard
        assert b"EVALSHA" in at.primary.heard


@pytest.mark.parametrize("password", [None, "wrong"])
async def test_sentinels_require_their_password(authority: CertificateAuthority, password: str | None) -> None:
    """Without it, or with another one, nothing is served, and the servers' password is not tried instead."""
    async with tls_servers(authority.context(), authority.context()) as at:
        assert not await served(at.url, access(authority, password))
        assert SERVER_PASSWORD.encode() not in at.sentinel.heard
        assert at.primary.heard == b""


async def test_a_sentinel_without_tls_gets_no_data(authority: CertificateAuthority) -> None:
    """Under `rediss+sentinel` it gets the beginning of a handshake and no byte of the protocol."""
    async with tls_servers(authority.context(), None) as at:
        assert not await served(at.url, access(authority))
        assert at.sentinel.heard[:1] == b"\x16"
        for word in (b"SENTINEL", b"AUTH", b"HELLO", SENTINEL_PASSWORD.encode()):
            assert word not in at.sentinel.heard
        assert at.primary.heard == b""


async def test_a_server_without_tls_gets_no_data(authority: CertificateAuthority) -> None:
    """The same for the primary that a good Sentinel names."""
    async with tls_servers(None, authority.context()) as at:
        assert not await served(at.url, access(authority))
        assert at.primary.heard[:1] == b"\x16"
        assert SERVER_PASSWORD.encode() not in at.primary.heard


@pytest.mark.parametrize("bad", ["the Sentinel", "the server"])
@pytest.mark.parametrize("how", ["another authority", "another name", "the system's authorities"])
async def test_certificates_are_checked(
    authority: CertificateAuthority, other_authority: CertificateAuthority, bad: str, how: str
) -> None:
    """A certificate of an untrusted authority, or for another address, is refused before any data is sent."""
    good = authority.context()
    wrong = {"another authority": other_authority.context(), "another name": authority.context("127.0.0.9")}.get(
        how, good
    )
    contexts = (good, wrong) if bad == "the Sentinel" else (wrong, good)
    trusted = None if how == "the system's authorities" else authority
    async with tls_servers(*contexts) as at:
        assert not await served(at.url, access(trusted))
        assert at.primary.heard == b""
        if bad == "the Sentinel":
            assert at.sentinel.heard == b""


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_single_server_over_tls(
    authority: CertificateAuthority, other_authority: CertificateAuthority, trusted: bool
) -> None:
    """`rediss://` works with the authority of the config; with another one it is refused."""
    with folders() as folder, RedisServer(folder, port=free_ports(1)[0]) as server:
        async with TlsProxy(server.port, authority.context()).running() as proxy:
            url = f"rediss://{HOST}:{proxy.port}/0"
            assert await served(url, Access(ca_file=str((authority if trusted else other_authority).file))) is trusted
