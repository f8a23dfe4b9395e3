"""Which addresses webhooks may be sent to, and that a connection goes to an address that was checked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from otp_service.domain.events import EventType
from otp_service.webhooks.attempt_schedule import EndpointResponse
from otp_service.webhooks.endpoint import Endpoint
from otp_service.webhooks.sender import WebhookSender
from otp_service.webhooks.target_addresses import Resolver, TargetRefused, checked_addresses, is_address_allowed
from tests.providers.certificates import server_certificate
from tests.webhooks.webhook_receiver import WebhookReceiver

PUBLIC = ["93.184.216.34", "8.8.8.8", "1.1.1.1", "2606:2800:220:1::1", "64:ff9b::808:808", "::ffff:8.8.8.8"]
PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "203.0.113.9",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "2001:db8::1",
    "2001:0:53aa:64c::1",
    "2002:7f00:1::1",
    "::ffff:127.0.0.1",
    "::ffff:10.1.2.3",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::808:808",
    "::ffff:0:7f00:1",
]
NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "169.254.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "255.255.255.255",
    "240.0.0.1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "fd00:ec2::254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "::a9fe:a9fe",
    "::ffff:0:a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "not an address",
    "",
]


def private_endpoint(url: str, ca_file: str | None = None) -> Endpoint:
    """Return an endpoint that may be on this machine."""
    return Endpoint(
        "acme.main", url, [bytes(range(32))], frozenset(EventType), allow_private_targets=True, ca_file=ca_file
    )


def resolver_to(*addresses: str) -> Resolver:
    """Return a resolver that knows one answer for every host."""

    async def answer(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return answer


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    """They are allowed in any case."""
    assert is_address_allowed(address, allow_private=False)
    assert is_address_allowed(address, allow_private=True)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address: str) -> None:
    """They are allowed only where the config says so; also those inside an IPv6 address."""
    assert not is_address_allowed(address, allow_private=False)
    assert is_address_allowed(address, allow_private=True)


@pytest.mark.parametrize("address", NEVER)
def test_addresses_of_no_receiver(address: str) -> None:
    """Link-local addresses (with metadata services), multicast and unspecified ones are never allowed."""
    assert not is_address_allowed(address, allow_private=False)
    assert not is_address_allowed(address, allow_private=True)


async def test_one_private_address_of_a_host_refuses_it() -> None:
    """A name server cannot hide a private address behind a public one."""
    with pytest.raises(TargetRefused):
        await checked_addresses("a.example", 443, allow_private=False, resolver=resolver_to("8.8.8.8", "10.0.0.1"))
    with pytest.raises(OSError, match="no address"):
        await checked_addresses("a.example", 443, allow_private=False, resolver=resolver_to())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f.1", "017700000001"])
async def test_spellings_of_this_machine_are_refused(receiver: WebhookReceiver, host: str) -> None:
    """Whatever the system resolves to a private address is refused before anything is sent."""
    url = receiver.url.replace("127.0.0.1", host)
    sender = WebhookSender(Endpoint("acme.main", url, [b"k" * 32], frozenset(EventType)))

    answer = await sender.send("evt_1", b"{}")

    assert answer in (EndpointResponse(error="target_refused"), EndpointResponse(error="connect_failed"))
    assert receiver.events == []
    assert host in ("0x7f.1", "017700000001") or answer.error == "target_refused"


async def test_the_connection_goes_to_the_checked_address(tmp_path: Path) -> None:
    """The name is resolved once; the certificate must be for the name in the URL, not for the address."""
    authority, context = server_certificate(tmp_path)
    asked: list[str] = []

    async def resolve_differently(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.255.255.1"]

    async with WebhookReceiver(tls=context) as receiver:
        url = receiver.url.replace("127.0.0.1", "localhost")
        sender = WebhookSender(private_endpoint(url, authority), resolver=resolve_differently)
        assert await sender.send("evt_1", b'{"type":"test"}') == EndpointResponse(204)
        assert asked == ["localhost"]
        assert receiver.events[0].headers["host"] == url.split("/")[2]

        other = private_endpoint(url.replace("localhost", "other.example"), authority)
        answer = await WebhookSender(other, resolver=resolver_to("127.0.0.1")).send("evt_2", b"{}")
        assert answer == EndpointResponse(error="connect_failed")
        assert len(receiver.events) == 1


async def test_the_next_checked_address_is_tried(receiver: WebhookReceiver) -> None:
    """An address without a listener does not lose the attempt while another one answers."""
    url = receiver.url.replace("127.0.0.1", "hooks.example")
    sender = WebhookSender(private_endpoint(url), resolver=resolver_to("127.0.0.3", "127.0.0.1"))

    assert await sender.send("evt_1", b'{"type":"test"}') == EndpointResponse(204)


async def test_a_name_server_that_does_not_answer_keeps_one_lookup(receiver: WebhookReceiver) -> None:
    """Attempts that are given up leave no lookups behind, which would take the threads of other endpoints."""
    answered, asked = asyncio.Event(), 0

    async def hang(_host: str, _port: int) -> Sequence[str]:
        nonlocal asked
        asked += 1
        await answered.wait()
        return ["127.0.0.1"]

    endpoint = replace(private_endpoint(receiver.url.replace("127.0.0.1", "hooks.example")), timeout_seconds=0.05)
    sender = WebhookSender(endpoint, resolver=hang)
    for _ in range(2):
        answers = await asyncio.gather(*(sender.send(f"evt_{number}", b"{}") for number in range(8)))
        assert answers == [EndpointResponse(error="timeout")] * 8
    assert asked == 1

    answered.set()
    patient = WebhookSender(replace(endpoint, timeout_seconds=5), resolver=hang)
    assert await patient.send("evt_9", b'{"type":"test"}') == EndpointResponse(204)
    await sender.close()
    await patient.close()
