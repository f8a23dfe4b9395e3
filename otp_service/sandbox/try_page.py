"""What `dev` and `sandbox` add to the service: messages at `/dev/messages`, and a page at `/` to try the whole flow."""

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

__all__ = ["App", "MessageSource", "Middleware", "message_members", "reject_method", "reply", "try_page_layer"]

App = Callable[[Any, Any, Any], Awaitable[None]]
Middleware = Callable[[App], App]
_PAGE: Final = "/"
_MESSAGES: Final = "/dev/messages"
_MESSAGES_ENDPOINT: Final = Endpoint(_MESSAGES, frozenset(), EndpointRules(logged=False))


class MessageSource(Protocol):
    """Sent messages: an inbox, or simulated gateways."""

    def messages(self) -> Sequence[InboxMessage]:
        """Return the messages, newest first."""


def try_page_layer(source: MessageSource) -> Middleware:
    """Return an ASGI middleware that serves both paths and passes other requests on."""
    page = files(__package__).joinpath("page.html").read_bytes()

    def wrap(app: App) -> App:
        async def serve(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http" or scope["path"] not in (_PAGE, _MESSAGES):
                await app(scope, receive, send)
                return
            if scope["path"] == _MESSAGES:
                context_of(scope).endpoint = _MESSAGES_ENDPOINT  # the page polls it: counted, and not logged
            if scope["method"] != "GET":
                await reject_method(scope, send, ("GET",))
            elif scope["path"] == _MESSAGES:
                messages = [message_members(message) for message in source.messages()]
                await reply(send, "application/json", msgspec.json.encode({"messages": messages}))
            else:
                await reply(send, "text/html; charset=utf-8", page)

        return serve

    return wrap


def message_members(message: InboxMessage) -> dict[str, str]:
    """Return the JSON members of a message."""
    return {
        "id": message.id,
        "to": message.to,
        "text": message.text,
        "provider": message.provider,
        "channel": message.channel,
        "sent_at": message.sent_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


async def reject_method(scope: Any, send: Any, methods: Iterable[str]) -> None:
    """Respond to OPTIONS with 204, and to any other method with 405; `Allow` names `methods`, HEAD and OPTIONS.

    HEAD is not handled here: the outer middleware turns it into a GET.
    """
    allow = ", ".join(sorted({*methods, "HEAD", "OPTIONS"}))
    if scope["method"] == "OPTIONS":
        await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allow.encode())]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    refused = Refused(Reason.METHOD_NOT_ALLOWED, "Use one of the methods in the Allow header.")
    body = problem_body(refused, context_of(scope).request_id)
    await reply(send, MEDIA_TYPE, body, PROBLEMS[refused.reason][0], (b"allow", allow.encode()))


async def reply(send: Any, media_type: str, body: bytes, status: int = 200, *extra: tuple[bytes, bytes]) -> None:
    """Send a complete response, with `extra` headers."""
    headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode()), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
