"""Additional Redis servers for tests: some to stop and restart, a cluster of three, and a pair with Sentinels."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from otp_service.sandbox.embedded_server import die_with_parent, server_binary

HOST: Final = "127.0.0.1"
SLOTS: Final = 16384
MASTER: Final = "otp"
START_SECONDS: Final = 10.0


class RedisServer:
    """One server process with its own folder; it can be killed and restarted with the same options."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        """Start with `options`, on a unix socket, or on a `port` if there is one."""
        self.folder = folder
        self.port = port
        self.socket = folder / "s"
        where = ("--port", str(port)) if port else ("--port", "0", "--unixsocket", str(self.socket))
        quiet = ("--daemonize", "no", "--loglevel", "warning", "--save", "", "--appendonly", "no")
        self._command = [server_binary(), "--dir", str(folder), *where, *quiet, *options]
        self.start()

    def start(self) -> None:
        """Start, and wait until it listens."""
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - one thread yet
        )
        deadline = time.monotonic() + START_SECONDS
        while self.ask("PING") != "+PONG":
            assert self.process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill the process without a clean shutdown."""
        self.process.kill()
        self.process.wait()

    def ask(self, *words: str) -> str:
        """Run one command and return the raw reply; empty: there was none."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET if self.port else socket.AF_UNIX) as line:
            line.settimeout(5)
            line.connect((HOST, self.port) if self.port else str(self.socket))
            line.sendall(f"*{len(words)}\r\n".encode() + b"".join(f"${len(w)}\r\n{w}\r\n".encode() for w in words))
            return line.recv(1 << 16).decode().strip()
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()


class SentinelServer(RedisServer):
    """A Sentinel that watches a primary; it writes its state into its config file."""

    def __init__(self, folder: Path, port: int, primary: int) -> None:
        """Watch the primary at that port; two of three must agree that it is gone."""
        self.folder, self.port = folder, port
        config = folder / "sentinel.conf"
        watch = (f"monitor {MASTER} {HOST} {primary} 2", f"down-after-milliseconds {MASTER} 500")
        lines = [f"port {port}", f"dir {folder}", "loglevel warning", f"sentinel failover-timeout {MASTER} 2000"]
        config.write_text("\n".join([*lines[:3], *(f"sentinel {line}" for line in watch), lines[3]]) + "\n")
        self._command = [server_binary(), str(config), "--sentinel"]
        self.socket = folder / "s"
        self.start()


def free_ports(count: int) -> list[int]:
    """Return free ports, low enough that a cluster bus port exists too."""
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < count:
            line = stack.enter_context(socket.socket())
            line.bind((HOST, 0))
            ports.append(line.getsockname()[1])
        return ports


@contextlib.contextmanager
def folders() -> Iterator[Path]:
    """Provide a folder with a short name (a socket path has at most 107 bytes), removed at the end."""
    with tempfile.TemporaryDirectory(prefix="otp-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def folder_of(parent: Path, name: str) -> Path:
    """Create a folder for one server."""
    path = parent / name
    path.mkdir()
    return path


@contextlib.contextmanager
def cluster() -> Iterator[list[RedisServer]]:
    """Run three primaries that share the slots, and a replica of the first."""
    ports = free_ports(8)
    with folders() as parent, contextlib.ExitStack() as stack:
        nodes = [
            stack.enter_context(
                RedisServer(
                    folder_of(parent, f"n{n}"),
                    *("--cluster-enabled", "yes", "--cluster-port", str(ports[n + 4])),
                    *("--cluster-node-timeout", "500", "--cluster-require-full-coverage", "no"),
                    *("--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"),
                    port=ports[n],
                )
            )
            for n in range(4)
        ]
        share = SLOTS // 3 + 1
        for n, node in enumerate(nodes[:3]):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(n + 1))
            node.ask("CLUSTER", "ADDSLOTSRANGE", str(n * share), str(min((n + 1) * share, SLOTS) - 1))
        for node in nodes[1:]:
            node.ask("CLUSTER", "MEET", HOST, str(ports[0]), str(ports[4]))
        for node in nodes:
            wait_for_reply("cluster_known_nodes:4", node, "CLUSTER", "INFO")
            wait_for_reply("cluster_state:ok", node, "CLUSTER", "INFO")
        nodes[3].ask("CLUSTER", "REPLICATE", node_id(nodes[0]))
        wait_for_reply("connected_slaves:1", nodes[0], "INFO", "replication")
        wait_for_reply("slave", nodes[1], "CLUSTER", "NODES")
        yield nodes


def node_id(node: RedisServer) -> str:
    """Return the id of a cluster node."""
    return node.ask("CLUSTER", "MYID").split()[-1]


@contextlib.contextmanager
def sentinels() -> Iterator[tuple[list[RedisServer], list[SentinelServer]]]:
    """Run a primary with a replica, and three Sentinels that watch them."""
    ports = free_ports(5)
    with folders() as parent, contextlib.ExitStack() as stack:
        primary = stack.enter_context(
            RedisServer(folder_of(parent, "a"), "--repl-diskless-sync-delay", "0", port=ports[0])
        )
        replica = stack.enter_context(
            RedisServer(folder_of(parent, "b"), "--replicaof", f"{HOST} {ports[0]}", port=ports[1])
        )
        wait_for_reply("state=online", primary, "INFO", "replication")
        watchers = [
            stack.enter_context(SentinelServer(folder_of(parent, f"s{port}"), port, ports[0])) for port in ports[2:]
        ]
        for watcher in watchers:
            wait_for_reply("num-other-sentinels\r\n$1\r\n2", watcher, "SENTINEL", "MASTER", MASTER)
            wait_for_reply("num-slaves\r\n$1\r\n1", watcher, "SENTINEL", "MASTER", MASTER)
        yield [primary, replica], watchers


def wait_for_reply(answer: str, server: RedisServer, *words: str) -> None:
    """Repeat a command until its reply contains `answer`."""
    deadline = time.monotonic() + START_SECONDS
    while answer not in server.ask(*words):
        assert time.monotonic() < deadline, f"{words} never replied {answer!r}"
        time.sleep(0.02)
