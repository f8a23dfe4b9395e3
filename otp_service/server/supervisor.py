"""The supervisor of several workers: uvicorn's, with workers that are forked from it.

A forked worker shares the memory of all that the supervisor has imported, and starts without importing it again. That
is safe because the supervisor has one thread, no event loop and no open connection when it forks; a worker makes its
threads, connections and keys itself. At SIGHUP the supervisor checks the config, and has the workers read it.
"""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from socket import socket
from typing import Any, Final

import uvloop  # noqa: F401 - before the fork, so that the workers share it
from prometheus_client.multiprocess import mark_process_dead
from uvicorn import Config
from uvicorn.supervisors import Multiprocess, multiprocess

from otp_service.observability import LOG
from otp_service.server.reloadable_app import RELOAD_SIGNAL

__all__ = ["EXIT_FAILED_TO_START", "Supervisor"]

EXIT_FAILED_TO_START: Final = 3


class Supervisor(Multiprocess):
    """Starts the workers, restarts those that have died, and has them read a changed config."""

    def __init__(self, config: Config, sockets: list[socket], reload_config: Callable[[], bool]) -> None:
        """Prepare to serve on `sockets`.

        Args:
            config: The options of uvicorn.
            sockets: The listening sockets, which the workers share.
            reload_config: Reads the config again; False if it has errors, which are logged.
        """
        super().__init__(config, sockets)
        self._reload_config = reload_config
        if RELOAD_SIGNAL.pop():
            self.signal_queue.append(signal.SIGHUP)
        self._known_pids: frozenset[int | None] = frozenset()
        # On other systems, system libraries may have started threads; there, uvicorn starts a new interpreter.
        if platform.system() == "Linux":
            # uvicorn has no option for this; both kinds of process have the same interface.
            multiprocess.get_subprocess = _forked_worker  # type: ignore[assignment, attr-defined]  # a detail of uvicorn

    @property
    def failed(self) -> bool:
        """Whether a worker could not start."""
        return any(process.exitcode == EXIT_FAILED_TO_START for process in self.processes)

    def handle_hup(self) -> None:
        """Have every worker read the config, if it is valid. uvicorn would replace the workers, and close connections.

        A worker that is forked later has the config that this process has read.
        """
        try:
            if not self._reload_config():
                return
        except Exception:  # the workers must not end because of it
            LOG.exception("config_reload_failed")
            return
        for process in self.processes:
            if process.pid is not None and process.exitcode is None:
                os.kill(process.pid, signal.SIGHUP)

    def terminate_all(self) -> None:
        """Close the port first, so that new connections are refused at once while the workers finish."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def keep_subprocess_alive(self) -> None:
        """Also remove the gauges of dead workers from the metrics."""
        super().keep_subprocess_alive()
        alive = frozenset(process.pid for process in self.processes)
        for pid in self._known_pids - alive:
            mark_process_dead(pid)
        self._known_pids = alive


class _ForkedWorker(ForkProcess):
    """A worker that starts with the default action for every signal but SIGHUP, as a new interpreter does.

    Signals are blocked during the fork: one that arrives before the worker has reset its handlers would otherwise be
    lost in the supervisor's handlers, and the supervisor would wait forever for the end of that worker.
    """

    def start(self) -> None:
        """Fork (called in the supervisor)."""
        signal.pthread_sigmask(signal.SIG_BLOCK, multiprocess.SIGNALS)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, multiprocess.SIGNALS)

    def run(self) -> None:
        """Run the target (called in the worker)."""
        for number in multiprocess.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        RELOAD_SIGNAL.pop()  # the supervisor's, which came before the fork
        RELOAD_SIGNAL.hold()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, multiprocess.SIGNALS)
        super().run()


def _forked_worker(config: Config, target: Callable[..., None], sockets: list[socket]) -> _ForkedWorker:
    """Return a worker that is not started yet (called by uvicorn)."""
    del config  # part of `target`
    arguments: dict[str, Any] = {"sockets": sockets}
    return _ForkedWorker(target=target, kwargs=arguments)
