"""Routes that do nothing, served with the uvicorn settings of the service: what its cost is compared with.

`python -m tests.bench.bare_routes KIND PORT` serves one until a signal arrives. `litestar` decodes a JSON body and
encodes an answer, as request-code does; `asgi` reads a body and sends constant bytes.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import uvicorn
from litestar import Litestar, get, post

from tests.bench.measured_server import Server, running_process, server_cores, wait_for_http
from tests.service_process import free_port

__all__ = ["BODY", "PATH", "running_bare_server"]

PATH: Final = "/v1/request-code"
BODY: Final = '{"phone":"+6281210100055","purpose":"login"}'


class CodeRequest(msgspec.Struct):
    """The request."""

    phone: str
    purpose: str


class Answer(msgspec.Struct):
    """About as much as request-code answers."""

    verification_id: str = "A" * 23
    status: str = "pending"
    to: str = "+62********0055"
    channel: str = "sms"
    expires_in: int = 300
    resend_in: int = 30
    attempts_left: int = 5
    code_length: int = 6


@post(PATH, status_code=202)
async def request_code(data: CodeRequest) -> Answer:
    """Answer."""
    return Answer()


@get("/readyz")
async def readiness() -> None:
    """Answer that this server runs."""


async def asgi_route(scope: Any, receive: Any, send: Any) -> None:
    """Read the body and answer."""
    if scope["type"] == "http":
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})


@contextlib.contextmanager
def running_bare_server(kind: Literal["litestar", "asgi"]) -> Iterator[Server]:
    """Serve one of the routes on the core of a service with one worker."""
    with tempfile.TemporaryDirectory() as folder:
        port, log = free_port(), Path(folder, "log")
        words, started = [sys.executable, "-m", "tests.bench.bare_routes", kind, str(port)], time.monotonic()
        with running_process(words, {}, log, server_cores(1)) as process:
            wait_for_http(port, process, log)
            yield Server(f"http://127.0.0.1:{port}", process.pid, time.monotonic() - started)


def main(kind: str, port: str) -> None:
    """Serve."""
    app: Any = Litestar([request_code, readiness], openapi_config=None) if kind == "litestar" else asgi_route
    uvicorn.run(
        app,
        port=int(port),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on" if kind == "litestar" else "off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
