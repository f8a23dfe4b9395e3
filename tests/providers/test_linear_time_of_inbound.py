"""Inbound messages, callbacks about clicks and addresses are parsed in linear time."""

from __future__ import annotations

import base64

import pytest

from otp_service.api.request_bodies import decode_body
from otp_service.api.schemas import RequestCodeBody
from otp_service.domain.opt_out import OptOutWords
from otp_service.domain.secret import Secret
from otp_service.providers.eims.config import EimsConfig
from otp_service.providers.eims.inbox import parse_inbox
from otp_service.providers.kedasms.wire import parse_callback
from tests.test_linear_time_parsing import LIMIT, PIECES, Parser, quoted, ratio

EIMS = EimsConfig(base_url="http://x", account="a", password=Secret("p"))
PARSERS: dict[str, Parser] = {
    "eims, an inbox": lambda text: parse_inbox({"array": [["1", text, text, text]]}, EIMS),
    "eims, an inbox in base64": lambda text: parse_inbox(
        {"array": [["1", "1", "1", base64.b64encode(text.encode()).decode()]]}, EIMS
    ),
    "kedasms, a callback": lambda text: parse_callback(f"{{{quoted(text)}: {quoted(text)}}}".encode(), "m-1"),
    "an inbound message": OptOutWords().action_of,
    "a link": lambda text: decode_body(RequestCodeBody, f'{{"link": {quoted("https://a/" + text)}}}'.encode()),
}


@pytest.mark.parametrize("name", PARSERS)
def test_what_people_and_gateways_send_takes_linear_time(name: str) -> None:
    """Eight times the input takes about eight times as long."""
    slow = {piece: found for piece in PIECES if (found := ratio(PARSERS[name], piece)) >= LIMIT}
    assert slow == {}
