"""(i) Full cycles beside a peer on the same core: otpgateway, a Go service for one-time codes, if its binary is given.

The comparison shows what this service costs beside one that does less; `NOT_DONE` says what that is.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench.capacity import CALLERS, expect_only
from tests.bench.figures import Line, Options
from tests.bench.latency import REFILL_SECONDS
from tests.bench.measured_server import Server, running_process, server_cores, wait_for_http
from tests.bench.peer_load import PROVIDER
from tests.bench.service_stack import CHEAPEST_HASH, DEFAULT_HASH, running_stack, running_store
from tests.service_process import free_port

__all__ = ["beside_peer", "running_peer"]

WANTED: Final = (
    "not measured: give the binary of otpgateway 3 with --peer BINARY; github.com/knadh/otpgateway has releases, and"
    " `make dist` builds it there"
)
COMPARED: Final = (
    "Cycles a second compare only where both used all of the core, or the same share of it; CPU of a cycle always does."
)
NOT_DONE: Final = (
    "What the peer does not do, by its sources (commits 7574dc8 and 8ae0e5b) and a run:",
    "- codes and numbers are in the clear in its store, and the code is in its answers, also in that to a wrong code;",
    "- attempts and sends are limited by the id that the caller chooses only: not by number, address or tenant;",
    "- a right code is read, compared and deleted in three steps: of 32 parallel right answers, 3 to 32 succeeded;",
    "- a verified code leaves a key without an expiry in the store;",
    "- the message is sent before the answer, once: no queue, retry, fail-over, receipt or circuit breaker;",
    "- every HTTP status of the gateway counts as sent;",
    "- a number is any text; no request is logged; no signed proof of a verification is given.",
)
KEY: Final = "bench:bench"
TEXT: Final = "{{ .Namespace }}: your verification code is {{ .OTP }}."
CONFIG: Final = """
[app]
address = "127.0.0.1:{port}"
server_timeout = "30s"
enable_debug_logs = false
otp_ttl = 300
otp_max_attempts = 5
root_url = "http://127.0.0.1:{port}"
[store.redis]
host = "127.0.0.1"
port = {redis_port}
[auth.bench]
namespace = "bench"
secret = "bench"
[webhooks.{provider}]
enabled = true
url = "http://127.0.0.1:{gateway_port}/"
max_conns = 64
timeout = "8s"
template = "{template}"
channel_name = "SMS"
address_name = "phone number"
max_address_len = 16
max_otp_len = 6
"""


def beside_peer(options: Options) -> Iterator[Line]:
    """(i) Cycles a second and CPU of a cycle: the peer, and this service with the cheapest and the default hash."""
    if options.peer is None:
        yield Line(name="i.peer", text=WANTED)
        return
    seconds, names = options.seconds(5.0, 2.5), ("peer", "cheapest", "default")
    rates: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    with (
        running_peer(options.peer) as peer,
        running_stack(CHEAPEST_HASH) as cheapest,
        running_stack(DEFAULT_HASH) as default,
    ):
        for _ in range(options.rounds):
            for name, server in zip(names, (peer, cheapest, default), strict=True):
                result = server.load(seconds=seconds, callers=CALLERS, warm_up=1.0)
                expect_only(result, *(("request 200",) if name == "peer" else ("request 202",)), "verify 200")
                rates[name].append(float(result["per_second"]))
                cpu[name].append(float(result["cpu_ms"]))
            time.sleep(REFILL_SECONDS)
    yield from _lines(rates, cpu)
    for text in (COMPARED, *NOT_DONE):
        yield Line(name="i.note", text=text)


def _lines(rates: dict[str, list[float]], cpu: dict[str, list[float]]) -> Iterator[Line]:
    texts = {"peer": "the peer", "cheapest": "this service, cheapest hash", "default": "this service, default hash"}
    for name, text in texts.items():
        used = tuple(0.1 * rate * ms for rate, ms in zip(rates[name], cpu[name], strict=True))
        yield Line(name=f"i.rate_{name}", text=f"cycles a second, {text}", values=tuple(rates[name]), unit="/s")
        yield Line(name=f"i.cpu_{name}", text=f"CPU of a cycle, {text}", values=tuple(cpu[name]), unit="ms")
        yield Line(name=f"i.core_{name}", text=f"share of the core that was used, {text}", values=used, unit="%")
    for name in ("cheapest", "default"):
        for kind, what, found in (("rate", "cycles a second", rates), ("cpu", "CPU of a cycle", cpu)):
            ratios = tuple(ours / peer for ours, peer in zip(found[name], found["peer"], strict=True))
            yield Line(name=f"i.{kind}_{name}_ratio", text=f"{what}, {texts[name]} : the peer", values=ratios)


@contextlib.contextmanager
def running_peer(binary: Path) -> Iterator[Server]:
    """Start the peer on the core of a service with one worker, and a store of its own; end both afterwards."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder, redis_port, gateway_port, port = Path(name), free_port(), free_port(), free_port()
        stack.enter_context(running_store(folder, redis_port))
        config, template, log = folder / "peer.toml", folder / "text.txt", folder / "peer.log"
        template.write_text(TEXT)
        ports = {"port": port, "redis_port": redis_port, "gateway_port": gateway_port}
        config.write_text(CONFIG.format(**ports, provider=PROVIDER, template=template))
        words, started = [str(binary.absolute()), "--config", str(config)], time.monotonic()
        process = stack.enter_context(running_process(words, {}, log, server_cores(1)))
        wait_for_http(port, process, log, "/api/health")
        seconds, url = time.monotonic() - started, f"http://127.0.0.1:{port}"
        yield Server(url, process.pid, seconds, 1, gateway_port, KEY, "tests.bench.peer_load")
