"""SIGHUP while requests arrive: none of them fails, and every accepted message is sent once."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections import Counter
from collections.abc import Iterator

import httpx

from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.cli.config_edits import Serve, Workers, entry, reload, replace_file, set_keys, statuses
from tests.cli.service_config import API_KEY, ConfigWriter, api_client
from tests.waits import wait_until

NO_LIMITS = "[limits]\nrecipient = []\nprefix = []\nclient_ip = []\nverify_ip = []\n"
ROTATED = "the-key-that-is-removed"


class Load:
    """Calls the service without a pause, over connections that are kept and over new ones."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers: Iterator[int] = itertools.count(1_000_000)
        self.outcomes: Counter[str] = Counter()
        self.accepted: dict[str, str] = {}
        self.is_over = False

    async def kept_connection(self) -> None:
        """Send request after request over one connection; each number is requested once."""
        async with api_client(self._url) as client:
            while not self.is_over:
                await self._call(client)

    async def new_connections(self) -> None:
        """Send each request over a connection of its own."""
        while not self.is_over:
            async with api_client(self._url) as client:
                await self._call(client)

    async def more(self) -> None:
        """Wait until 40 more requests are accepted."""
        before = len(self.accepted)
        await wait_until(lambda: len(self.accepted) >= before + 40, 30)

    async def _call(self, client: httpx.AsyncClient) -> None:
        number = f"+62812{next(self._numbers)}"
        try:
            response = await client.post("/v1/request-code", json={"phone": number, "purpose": "login"})
        except httpx.HTTPError as error:
            self.outcomes[type(error).__name__] += 1
            return
        self.outcomes[str(response.status_code)] += 1
        if response.status_code == 202:
            self.accepted[number.lstrip("+")] = response.json()["verification_id"]


@Workers
async def test_a_reload_under_load_loses_no_request(
    serve: Serve, write_config: ConfigWriter, gateway: EimsSimulator, workers: int
) -> None:
    """During five reloads all requests are accepted, each message is sent once, and at the end a removed key is 401."""
    config = write_config(gateway=gateway.url, server=f"workers = {workers}", jakarta="timeout_seconds = 5")
    replace_file(config, config.read_text().replace("timeout_seconds = 0.5\n", "") + NO_LIMITS)
    both = entry("web", API_KEY), entry("old", ROTATED)
    set_keys(config, *both)
    service = serve(config)
    url = await service.ready()
    load = Load(url)
    calls = [asyncio.create_task(load.kept_connection()) for _ in range(4)]
    calls += [asyncio.create_task(load.new_connections()) for _ in range(2)]
    for turn in range(5):
        await load.more()
        set_keys(config, *(both if turn < 4 else both[:1]))
        await reload(service, workers)
    await load.more()
    load.is_over = True
    await asyncio.gather(*calls)

    assert set(load.outcomes) == {"202"}, load.outcomes
    assert load.outcomes["202"] >= 240
    await wait_until(lambda: len(gateway.messages) >= len(load.accepted), 20)
    assert Counter(message.to for message in gateway.messages) == Counter(load.accepted.keys())
    assert await statuses(url, ROTATED) == {401}
    assert await statuses(url, API_KEY) == {200}
    service.send(signal.SIGTERM)
    assert await service.status() == 0
    assert '"level":"error"' not in service.log
