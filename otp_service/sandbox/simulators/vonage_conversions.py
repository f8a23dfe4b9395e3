"""Vonage, Conversion API: `POST /conversions/sms` reports whether a message has reached its purpose."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from otp_service.sandbox.simulators.http_server import Request, SimulatorResponse
from otp_service.sandbox.simulators.vonage_requests import InvalidRequest, parse_fields

__all__ = ["PATH", "take_conversion"]

PATH: Final = "/conversions/sms"
_PARAMETERS: Final = frozenset({"api_key", "api_secret", "message-id", "delivered", "timestamp"})
_TIMESTAMP: Final = re.compile(r"2[0-9]{3}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]", re.ASCII)


def take_conversion(
    request: Request,
    credentials: tuple[str, str],
    message_ids: Collection[str],
    conversions: list[tuple[str, bool]],
) -> SimulatorResponse:
    """Append the message that a request names, and whether it has reached its purpose, to `conversions`."""
    try:
        fields = parse_fields(request)
    except InvalidRequest as problem:
        return SimulatorResponse(str(problem).encode(), 400)
    if (fields.get("api_key"), fields.get("api_secret")) != credentials:
        return SimulatorResponse(b"", 401)
    is_valid = fields.keys() == _PARAMETERS and fields["delivered"] in ("true", "false", "0", "1")
    if not is_valid or not _TIMESTAMP.fullmatch(fields["timestamp"]) or fields["message-id"] not in message_ids:
        return SimulatorResponse(b"", 423)
    conversions.append((fields["message-id"], fields["delivered"] in ("true", "1")))
    return SimulatorResponse(b"OK")
