"""What `dev` adds to the service: messages at `/dev/messages`, and a page at `/` to try the whole flow by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from importlib.resources import files
from typing import Any, Final, Protocol

import msgspec

from otp_service.api.endpoints import Endpoint, EndpointRules
from otp_service.api.problems import MEDIA_TYPE, PROBLEMS, problem_body
from otp_service.api.request_context import context_of
from otp_service.domain.errors import Reason, Refused
from otp_service.providers.inbox import InboxMessage

__all__ = ["App", "Layer", "Messages", "message_members", "other_method", "reply", "try_page_layer"]

App = Callable[[Any, Any, Any], Awaitable[None]]
Layer = Callable[[App], App]
_PAGE: Final = "/"
_MESSAGES: Final = "/dev/messages"
_MESSAGES_ENDPOINT: Final = Endpoint(_MESSAGES, frozenset(), EndpointRules(logged=False))


class Messages(Protocol):
    """Where sent messages can be looked at: an inbox, or gateways that are simulated."""

    def messages(self) -> Sequence[InboxMessage]:
        """List them, newest first."""


def try_page_layer(sent: Messages) -> Layer:
    """Make the layer that serves both and passes everything else on."""
    page = files(__package__).joinpath("page.html").read_bytes()

    def around(app: App) -> App:
        async def serve(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http" or scope["path"] not in (_PAGE, _MESSAGES):
                await app(scope, receive, send)
                return
            if scope["path"] == _MESSAGES:
                context_of(scope).endpoint = _MESSAGES_ENDPOINT  # the page polls it: counted, and not logged
            if scope["method"] != "GET":
                await other_method(scope, send, ("GET",))
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


async def other_method(scope: Any, send: Any, served: Iterable[str]) -> None:
    """Answer OPTIONS, and refuse any other method than those that are `served`; of a HEAD the edge makes a GET."""
    allow = ", ".join(sorted({*served, "HEAD", "OPTIONS"}))
    if scope["method"] == "OPTIONS":
        await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allow.encode())]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    refused = Refused(Reason.METHOD_NOT_ALLOWED, "Use a method that Allow names.")
    body = problem_body(refused, context_of(scope).request_id)
    await reply(send, MEDIA_TYPE, body, PROBLEMS[refused.reason][0], (b"allow", allow.encode()))


async def reply(send: Any, media_type: str, body: bytes, status: int = 200, *more: tuple[bytes, bytes]) -> None:
    """Answer with all of a body."""
    headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
