"""What `dev` adds to the service: messages at `/dev/messages`, and a page at `/` to try the whole flow by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from typing import Any, Final, Protocol

import msgspec

from otp_service.providers.inbox import InboxMessage

__all__ = ["App", "Layer", "Messages", "message_members", "pages_around", "reply"]

App = Callable[[Any, Any, Any], Awaitable[None]]
Layer = Callable[[App], App]
_PAGE: Final = "/"
_MESSAGES: Final = "/dev/messages"


class Messages(Protocol):
    """Where sent messages can be looked at: an inbox, or gateways that are simulated."""

    def messages(self) -> Sequence[InboxMessage]:
        """List them, newest first."""


def pages_around(sent: Messages) -> Layer:
    """Make the layer that serves both and passes everything else on."""
    page = files(__package__).joinpath("page.html").read_bytes()

    def around(app: App) -> App:
        async def serve(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in (_PAGE, _MESSAGES):
                await app(scope, receive, send)
            elif scope["path"] == _MESSAGES:
                messages = [message_members(message) for message in sent.messages()]
                await reply(send, "application/json", msgspec.json.encode({"messages": messages}))
            else:
                await reply(send, "text/html; charset=utf-8", page)

        return serve

    return around


def message_members(message: InboxMessage) -> dict[str, str]:
    """Write a message as every list of them has it."""
    return {
        "id": message.id,
        "to": message.to,
        "text": message.text,
        "provider": message.provider,
        "sent_at": message.sent_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


async def reply(send: Any, media_type: str, body: bytes, status: int = 200) -> None:
    """Answer with all of a body."""
    headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
