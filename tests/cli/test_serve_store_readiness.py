"""`serve` rejects a store that may evict keys, and waits for a store that does not answer."""

from __future__ import annotations

from collections.abc import Callable

from redis import Redis

from otp_service.sandbox.embedded_server import EmbeddedServer
from tests.cli.service_config import ConfigWriter, api_client
from tests.service_process import ServiceProcess, free_port
from tests.store.redis_servers import HOST, cluster
from tests.waits import wait_for_status, wait_until

Serve = Callable[..., ServiceProcess]
ASKED = {"phone": "081210100055", "purpose": "login"}


async def test_a_store_that_may_evict_is_rejected(serve: Serve, write_config: ConfigWriter) -> None:
    """One line and status 2; with `allow_eviction` the store is used."""
    with EmbeddedServer("--maxmemory-policy", "allkeys-lru") as forgetful:
        strict = serve(write_config(), REDIS_URL=forgetful.url)
        assert await strict.status() == 2
        assert len(strict.log.splitlines()) == 1
        assert "allkeys-lru" in strict.log
        assert "noeviction" in strict.log

        lenient = serve(write_config(redis="allow_eviction = true"), REDIS_URL=forgetful.url)
        await lenient.ready()


async def test_a_store_with_an_unknown_policy_is_rejected(serve: Serve, write_config: ConfigWriter) -> None:
    """A Redis user without INFO, as on managed servers: one line and status 2; used with `allow_eviction`."""
    with EmbeddedServer() as silent:
        with Redis.from_url(silent.url) as admin:
            admin.acl_setuser("otp", enabled=True, passwords=["+pw"], keys="*", commands=["+@all", "-info"])
        url = silent.url.replace("unix://", "unix://otp:pw@")
        strict = serve(write_config(), REDIS_URL=url)
        assert await strict.status() == 2
        assert len(strict.log.splitlines()) == 1
        assert "maxmemory-policy is unknown" in strict.log

        lenient = serve(write_config(redis="allow_eviction = true"), REDIS_URL=url)
        await lenient.ready()


async def test_a_cluster_with_one_evicting_primary_is_rejected(serve: Serve, write_config: ConfigWriter) -> None:
    """Any one primary that may evict is enough: here the one that the URL does not name."""
    with cluster() as nodes:
        nodes[2].ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        service = serve(write_config(), REDIS_URL=f"redis+cluster://{HOST}:{nodes[0].port}")
        assert await service.status() == 2
        assert "allkeys-lru" in service.log


async def test_warnings_at_start(serve: Serve, write_config: ConfigWriter) -> None:
    """There is a warning for a store without persistence, for each unused key, and for a likely slip."""
    config = write_config(jakarta='max_per_second = 5\n[tenants.acme.policy]\ncurrency = "IDR"')
    config.write_text(config.read_text() + '[providers.idle]\ntype = "inbox"\n')
    with EmbeddedServer() as keeps_nothing:
        service = serve(config, REDIS_URL=keeps_nothing.url)
        await service.ready()

    warnings = [line for line in service.log.splitlines() if '"level":"warning"' in line]
    for expected in ("store_not_persistent", "tenants.acme.policy.currency", "providers.idle"):
        assert any(expected in line for line in warnings), service.log


async def test_it_waits_for_an_unavailable_store(serve: Serve, write_config: ConfigWriter) -> None:
    """It starts, is live but not ready, responds 503, and serves as soon as the store answers."""
    port = free_port()
    service = serve(write_config(), REDIS_URL=f"redis://127.0.0.1:{port}/0")
    url = await service.url()
    await wait_for_status(url, "/livez", 200)
    await wait_for_status(url, "/readyz", 503)
    async with api_client(url) as client:
        response = await client.post("/v1/request-code", json=ASKED)
        assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")
        assert int(response.headers["retry-after"]) >= 1
        with EmbeddedServer("--port", str(port), "--bind", "127.0.0.1"):
            await wait_for_status(url, "/readyz", 200, seconds=3)
            assert (await client.post("/v1/request-code", json=ASKED)).status_code == 202
        await wait_for_status(url, "/readyz", 503)


async def test_an_evicting_store_that_starts_late_is_not_used(serve: Serve, write_config: ConfigWriter) -> None:
    """A store that would be rejected at the start keeps the service unready, and the log has the reason."""
    port = free_port()
    service = serve(write_config(), REDIS_URL=f"redis://127.0.0.1:{port}/0")
    url = await service.url()
    with EmbeddedServer("--port", str(port), "--bind", "127.0.0.1", "--maxmemory-policy", "volatile-ttl"):
        await wait_until(lambda: "volatile-ttl" in service.log)
        await wait_for_status(url, "/readyz", 503)
