"""SMPP on the wire: the bytes of each PDU, encodings and parts, and the window."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.sms_segments import count_segments
from otp_service.providers.smpp.text_encoding import encode_text
from otp_service.sandbox.simulators.http_server import Hang, Slow
from otp_service.sandbox.simulators.smpp import SmppSimulator
from tests.providers.smpp_provider import NotedReceipts, outbound, smpp, smsc
from tests.waits import wait_until

BIND = (
    "0000002b 00000009 00000000 00000001"
    "61636d652d65736d65 00"  # acme-esme
    "7061207325312677 00"  # pa s%1&w
    "4f5450 00"  # OTP
    "34 00 00 00"
)
SUBMIT = (
    "0000005a 00000004 00000000 00000002"
    "00"
    "05 00 41636d65 00"  # Acme, alphanumeric
    "01 01 36323831323130313030303535 00"
    "00 00 00 00"
    "30303030303030303035303030303052 00"  # 000000000500000R
    "01 00 00 00 18"
    "41636d653a206b6f6465203132333435362026203130 3025"
)


def octets(text: str) -> bytes:
    """Return the bytes of hexadecimal digits with spaces."""
    return bytes.fromhex(text.replace(" ", ""))


async def test_the_bytes_of_a_session() -> None:
    """Bind and submit_sm are, byte for byte, what SMPP 3.4 describes in 4.1.5 and 4.4.1; unbind ends the session."""
    async with smsc() as gateway:
        async with smpp(gateway, system_type="OTP") as provider:
            result = await provider.send(outbound())
        await wait_until(lambda: len(gateway.requests) == 3)
    bind, submit, unbind = (request.body for request in gateway.requests)

    ids = tuple(str(number) for number in gateway.messages[0].ids)
    assert result == SendResult(Outcome.ACCEPTED, ids[0], parts=ids)
    assert bind.hex(" ") == octets(BIND).hex(" ")
    assert submit.hex(" ") == octets(SUBMIT).hex(" ")
    assert unbind == octets("00000010 00000006 00000000 00000003")


@pytest.mark.parametrize(
    ("text", "data_coding", "encoded"),
    [
        ("@£$ Ω_^{}[~]|\\€", 0, "00 01 02 20 15 11 1b14 1b28 1b29 1b3c 1b3d 1b3e 1b40 1b2f 1b65"),
        ("Kode Anda: 123456", 0, "4b6f646520416e64613a20313233343536"),
        ("رمز 123456", 8, "0631 0645 0632 0020 0031 0032 0033 0034 0035 0036"),
        ("Код", 8, "041a 043e 0434"),
        ("验证码", 8, "9a8c 8bc1 7801"),
        ("1🔑2", 8, "0031 d83d dd11 0032"),
        ("ç 1", 8, "00e7 0020 0031"),  # GSM 03.38 has the capital letter only
    ],
)
async def test_encodings(text: str, data_coding: int, encoded: str) -> None:
    """GSM 03.38 is one septet in each octet, with escapes; everything else is UCS-2, big endian."""
    async with smsc() as gateway, smpp(gateway) as provider:
        assert (await provider.send(outbound(text))).outcome is Outcome.ACCEPTED
    submit = gateway.requests[1].body
    expected = octets(encoded)

    assert submit.endswith(bytes((data_coding, 0, len(expected))) + expected)
    assert (gateway.messages[0].text, gateway.messages[0].data_coding) == (text, data_coding)


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("hellohello", "e8329bfd4697d9ec37"),  # 3GPP 23.038, 6.1.2.1, as published examples have it
        ("1234567", "31d98c56b3dd1a"),  # 7 septets leave 7 bits, which a carriage return fills
        ("12345678", "31d98c56b3dd70"),
        ("€", "9b32"),
    ],
)
async def test_packed_septets(text: str, packed: str) -> None:
    """With `gsm_packed`, 8 septets are 7 octets."""
    async with smsc(packed=True) as gateway, smpp(gateway, gsm_packed=True) as provider:
        await provider.send(outbound(text))

    assert gateway.requests[1].body.endswith(bytes((0, 0, len(octets(packed)))) + octets(packed))
    assert gateway.messages[0].text == text


async def test_latin1() -> None:
    """With `latin1`, a text of Latin-1 is sent as such if GSM 03.38 does not have it; another one is UCS-2."""
    async with smsc() as gateway, smpp(gateway, latin1=True) as provider:
        for text in ("ç 1", "é 1", "Ω 1", "ł 1"):
            await provider.send(outbound(text))

    assert [message.data_coding for message in gateway.messages] == [3, 0, 0, 8]
    assert gateway.requests[1].body.endswith(b"\x03\x00\x03\xe7 1")


@pytest.mark.parametrize("packed", [False, True])
async def test_parts_with_headers(packed: bool) -> None:
    """161 septets are two parts of 153 and 8, with a user data header and the same reference."""
    text = "Kode 123456. " + "a" * 148
    async with smsc(packed=packed) as gateway, smpp(gateway, gsm_packed=packed) as provider:
        result = await provider.send(outbound(text))
    first, second = (request.body for request in gateway.requests[1:3])
    reference = first[first.index(b"\x05\x00\x03") + 3]
    length = 140 if packed else 159

    assert b"\x00\x40\x00\x00\x00" in first
    assert first[-length - 1 : -length + 6] == bytes((length, 5, 0, 3, reference, 2, 1))
    assert bytes((5, 0, 3, reference, 2, 2)) in second
    assert [message.text for message in gateway.messages] == [text]
    ids = tuple(str(number) for number in gateway.messages[0].ids)
    assert result == SendResult(Outcome.ACCEPTED, ids[0], parts=ids)


@pytest.mark.parametrize("text", ["a" * 161, "é😀" * 60], ids=["gsm7", "ucs2"])
async def test_a_long_text_as_payload(text: str) -> None:
    """With `long_messages = "payload"` a long text is one PDU with message_payload, and a short one is as ever."""
    async with smsc() as gateway, smpp(gateway, long_messages="payload") as provider:
        await provider.send(outbound(text))
        await provider.send(outbound("1"))
    long, short = (request.body for request in gateway.requests[1:3])

    assert [message.text for message in gateway.messages] == [text, "1"]
    assert b"\x00\x04\x24" in long
    assert short.endswith(b"\x00\x00\x011")


@pytest.mark.parametrize(
    ("sender", "keys", "kind", "written"),
    [
        ("Acme", {}, (5, 0), "Acme"),
        ("+6281199", {}, (1, 1), "6281199"),
        ("6281199", {}, (1, 1), "6281199"),
        ("12345", {}, (3, 0), "12345"),
        ("12345", {"from_ton": 0, "from_npi": 1}, (0, 1), "12345"),
    ],
)
async def test_the_kind_of_the_sender(sender: str, keys: dict[str, Any], kind: tuple[int, int], written: str) -> None:
    """A name, a number and a short code have their types of number; the config replaces them."""
    async with smsc() as gateway, smpp(gateway, sender=sender, **keys) as provider:
        await provider.send(outbound())

    assert (gateway.messages[0].sender_kind, gateway.messages[0].sender) == (kind, written)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(1, "000000000001000R"), (300, "000000000500000R"), (3_723, "000000010203000R"), (90_061, "000001010101000R")],
)
async def test_the_validity_period_is_the_rest_of_the_codes_life(seconds: int, expected: str) -> None:
    """The SMSC gives the message up when the code has expired."""
    async with smsc() as gateway, smpp(gateway) as provider:
        await provider.send(outbound(expires_in=seconds))

    assert gateway.messages[0].validity_period == expected


@given(st.text(st.sampled_from("aé€^{ç😀م"), min_size=1, max_size=700))
def test_as_many_parts_as_are_billed(text: str) -> None:
    """A text has the parts that `count_segments` charges, none of them ends inside a character, none is too long."""
    encoded = encode_text(text)
    bodies = [part[6:] if encoded.has_headers else part for part in encoded.parts]

    assert len(encoded.parts) == count_segments(text)
    assert all(len(body) <= (153 if encoded.data_coding == 0 else 134) for body in bodies if encoded.has_headers)
    assert not any(body.endswith(b"\x1b") for body in bodies if encoded.data_coding == 0)
    if encoded.data_coding == 8:
        assert "".join(body.decode("utf-16-be") for body in bodies) == text


async def test_the_window_is_never_exceeded() -> None:
    """20 messages at once with a window of 3: exactly 3 are without a response at any time, and all are accepted."""
    async with smsc() as gateway, smpp(gateway, window=3) as provider:
        gateway.always = Slow(0.02)
        results = await asyncio.gather(*(provider.send(outbound()) for _ in range(20)))

    assert gateway.highest_unanswered == 3
    assert {result.outcome for result in results} == {Outcome.ACCEPTED}
    assert len(gateway.messages) == 20


async def test_a_full_window_sends_nothing() -> None:
    """While the SMSC is silent, `window` messages are ambiguous, and the others were not sent."""
    async with smsc() as gateway, smpp(gateway, window=2, timeout_seconds=0.5) as provider:
        gateway.always = Hang()
        results = await asyncio.gather(*(provider.send(outbound()) for _ in range(5)))

    assert [result.outcome for result in results].count(Outcome.AMBIGUOUS) == 2
    assert [result.outcome for result in results].count(Outcome.TRANSIENT) == 3
    assert len(gateway.messages) == 2


async def test_a_late_response_is_not_lost() -> None:
    """The id in a response after the timeout is remembered, so that the receipt finds the message."""
    receipts = NotedReceipts()
    async with smsc() as gateway, smpp(gateway, receipts, timeout_seconds=0.5) as provider:
        gateway.script(Slow(0.6))
        assert (await provider.send(outbound())).outcome is Outcome.AMBIGUOUS
        await wait_until(lambda: bool(receipts.known))

    assert receipts.known == {str(gateway.messages[0].ids[0]): "v1-ABC_7"}


async def test_the_smsc_asks_whether_the_provider_is_there() -> None:
    """An enquire_link is answered, and so is a request that the provider does not know."""
    async with smsc() as gateway, smpp(gateway, NotedReceipts()):
        await wait_until(lambda: gateway.bound_sessions == 1)

        assert await gateway.enquire() == 0
        assert await request_unknown_command(gateway) == 3


async def request_unknown_command(gateway: SmppSimulator) -> int:
    """Send a replace_sm, which only an SMSC takes; return the status of the generic_nack."""
    return await gateway._request(0x07, b"", 2.0)


@pytest.mark.parametrize(
    ("to", "source"),
    [
        ("+6281210100055", "05 00 41636d65 00"),
        ("+12025550123", "01 01 3135303035353530303036 00"),
        ("+6591234567", "03 00 3737373737 00"),
    ],
)
async def test_a_country_has_its_own_sender(to: str, source: str) -> None:
    """`sender_ids` decide, then `from`: a name, a number and a short code with their own types of number."""
    senders = {"US": "+15005550006", "SG": "77777"}
    country = {"+62": "ID", "+12": "US", "+65": "SG"}[to[:3]]
    async with smsc() as gateway, smpp(gateway, sender_ids=senders) as provider:
        await provider.send(replace(outbound(), to=to, country=country))
        submit = gateway.requests[1].body
    assert submit[17 : 17 + len(octets(source))].hex(" ") == octets(source).hex(" ")
