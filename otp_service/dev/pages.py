"""What `dev` adds to the service: the inbox at `/dev/messages`, and a page at `/` to try the whole flow by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from importlib.resources import files
from typing import Any, Final

import msgspec

from otp_service.providers.inbox import Inbox

__all__ = ["pages_around"]

_App = Callable[[Any, Any, Any], Awaitable[None]]
_PAGE: Final = "/"
_MESSAGES: Final = "/dev/messages"


def pages_around(inbox: Inbox) -> Callable[[_App], _App]:
    """Make the layer that serves both and passes everything else on."""
    page = files(__package__).joinpath("page.html").read_bytes()

    def around(app: _App) -> _App:
        async def serve(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
            if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in (_PAGE, _MESSAGES):
                await app(scope, receive, send)
            elif scope["path"] == _MESSAGES:
                await _reply(send, "application/json", _listed(inbox))
            else:
                await _reply(send, "text/html; charset=utf-8", page)

        return serve

    return around


def _listed(inbox: Inbox) -> bytes:
    messages = [
        {
            "id": message.id,
            "to": message.to,
            "text": message.text,
            "provider": message.provider,
            "sent_at": message.sent_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for message in inbox.messages()
    ]
    return msgspec.json.encode({"messages": messages})


async def _reply(send: Any, media_type: str, body: bytes) -> None:
    headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
