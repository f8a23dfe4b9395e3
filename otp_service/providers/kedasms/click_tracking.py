"""Short, trackable addresses of KedaSMS: the request that makes one, and its response.

Documented: the payload is encrypted as a send is, and posted to `/api/shortlinks`. Not documented: the members of the
payload and of the response, so the configuration names them.
"""

from __future__ import annotations

from otp_service.domain.outcomes import Outcome
from otp_service.providers.http.json_pointer import resolve
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.kedasms import wire
from otp_service.providers.kedasms.config import KedasmsConfig
from otp_service.providers.lenient_json import json_object
from otp_service.providers.responses import is_success

__all__ = ["parse_short_link_response", "short_link_body"]

SUCCESS_CODES = ("0", 0)


def short_link_body(config: KedasmsConfig, url: str, timestamp: int) -> bytes:
    """Build the body of a request for a short address that leads to `url`."""
    return wire.envelope(config, {config.short_link_member: url}, timestamp)


def parse_short_link_response(config: KedasmsConfig, response: GatewayResponse | Outcome) -> str | None:
    """Return the short address; None for a refusal, or if it is not where `short_link_pointer` says."""
    if isinstance(response, Outcome) or not is_success(response.status):
        return None
    document = json_object(response.body)
    found = resolve(document, config.short_link_pointer)
    return found if document.get("code") in SUCCESS_CODES and isinstance(found, str) else None
