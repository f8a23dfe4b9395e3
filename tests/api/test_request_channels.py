"""The channel of a request: the tenant's list, the channels of the messages, and a resend by another one."""

from __future__ import annotations

import asyncio

import pytest

from tests.config_parts import demo_policy
from tests.problem_assertions import assert_problem, problem_code
from tests.running_service import RunningService, ServiceFactory


@pytest.mark.parametrize("channel", ["sms", "whatsapp", "voice"])
async def test_a_message_goes_by_the_channel(service: RunningService, channel: str) -> None:
    """The response, the message and its delivery have the channel, and the code verifies."""
    response = (await service.request(channel=channel)).json()
    verification_id = response["verification_id"]
    message = await service.message_of(verification_id)
    assert (response["channel"], message.channel) == (channel, channel)
    assert (await service.verify(verification_id, await service.code_of(verification_id))).status_code == 200
    [delivery] = (await service.client.get(f"/v1/verifications/{verification_id}")).json()["deliveries"]
    assert delivery["channel"] == channel


@pytest.mark.parametrize(
    ("channels", "channel", "status"),
    [
        (["sms"], "sms", 202),
        (["sms"], "whatsapp", 403),
        (["sms"], "auto", 202),
        (["whatsapp"], "sms", 403),
        (["whatsapp", "voice"], "voice", 202),
        (["email"], "auto", 403),
    ],
)
async def test_only_the_channels_of_the_tenant(
    make_service: ServiceFactory, channels: list[str], channel: str, status: int
) -> None:
    """`channel_not_allowed` names those that are configured; `auto` needs one for phone numbers."""
    service = await make_service(demo_policy(channels=channels))
    response = await service.request(channel=channel)
    assert response.status_code == status
    if status == 403:
        problem = assert_problem(response, 403, "channel_not_allowed")
        assert ", ".join(f"`{one}`" for one in channels) in problem["detail"]


async def test_a_channel_without_a_route(make_service: ServiceFactory) -> None:
    """The channel has no provider: 503, and the next request is not delayed by a cooldown."""
    service = await make_service({"routes": [{"providers": ["inbox"]}]})
    assert_problem(await service.request(channel="voice"), 503, "no_route")
    assert (await service.request(channel="sms")).status_code == 202


@pytest.mark.parametrize("first", ["sms", "auto"])
@pytest.mark.parametrize(("resend", "is_same"), [("reuse", True), ("rotate", False)])
async def test_resend_by_another_channel(make_service: ServiceFactory, first: str, resend: str, is_same: bool) -> None:
    """A new verification of the same chain; under `reuse` the same code comes by the other channel, and is valid."""
    service = await make_service(demo_policy(resend=resend))
    older, code = await service.request_code(channel=first)
    assert_problem(await service.request(channel="voice"), 429, "resend_too_soon")
    await service.advance(30)
    response = (await service.request(channel="voice")).json()
    newer = response["verification_id"]
    assert (response["channel"], response["sends_left"]) == ("voice", 3)
    message = await service.message_of(newer)
    assert message.channel == "voice"
    if is_same:
        assert await service.code_of(newer) == code
    assert_problem(await service.verify(older, code), 409, "verification_superseded")
    assert (await service.verify(newer, await service.code_of(newer))).status_code == 200


async def test_resend_ends_the_hold_of_auto(make_service: ServiceFactory) -> None:
    """The next channel of the superseded verification is not used."""
    service = await make_service(demo_policy(resend_cooldown_seconds=1))
    older, _ = await service.request_code(channel="auto")
    await service.advance(1)
    newer, _ = await service.request_code(channel="voice")
    await service.advance(60)
    await asyncio.sleep(0.7)
    sent = [(message.id, message.channel) for message in service.inbox.messages()]
    assert sent == [(newer, "voice"), (older, "whatsapp")]


async def test_decoy_with_auto(service: RunningService) -> None:
    """The response is that of a real request, and nothing is sent."""
    real = (await service.request(channel="auto")).json()
    decoy = (await service.request("0812-1010-0056", channel="auto", decoy=True)).json()
    assert real.keys() == decoy.keys() and decoy["channel"] == "auto"
    found = (await service.client.get(f"/v1/verifications/{decoy['verification_id']}")).json()
    assert found["deliveries"] == []


async def test_calls_to_fixed_lines(make_service: ServiceFactory) -> None:
    """Only with `allow_fixed_line_voice`, only by the channel `voice`, and only to fixed lines."""
    fixed, toll_free = "021-555-1234", "0800-1-234567"
    for allowed, expected in ((False, "phone_not_mobile"), (True, "202")):
        service = await make_service(demo_policy(allow_fixed_line_voice=allowed))
        assert problem_code(await service.request(fixed, channel="voice")) == expected
        for number, channel in ((fixed, "sms"), (fixed, "whatsapp"), (fixed, "auto"), (toll_free, "voice")):
            assert problem_code(await service.request(number, channel=channel)) in ("phone_not_mobile", "phone_invalid")
