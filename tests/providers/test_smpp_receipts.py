"""Receipts of SMPP: forms, ids and states; what comes before its message; what is refused, ignored and never logged."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest
import smpp34

from otp_service.domain.message import Receipt
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.providers.smpp import adapter
from otp_service.providers.smpp.config import ReceiptIdFormat
from otp_service.providers.smpp.receipts import comparable_id, parse_receipt
from otp_service.sandbox.simulators.http_server import Slow
from otp_service.sandbox.simulators.receipt_sender import ReceiptStatus, ScriptedReceipt
from otp_service.sandbox.simulators.smpp import SmppSimulator
from otp_service.sandbox.simulators.smpp_pdus import ReceivedPdu, deliver_body, encode
from otp_service.sandbox.simulators.smpp_receipts import IdFormat, ReceiptForm, receipt_body
from tests.log_capture import captured_logs
from tests.providers.smpp_provider import MESSAGE_ID, PASSWORD, TEXT, TO, NotedReceipts, outbound, smpp, smsc
from tests.waits import wait_until

DELIVERED = Receipt("", DeliveryStatus.DELIVERED, to="6281210100055")
UNDELIVERED = Receipt("", DeliveryStatus.UNDELIVERED, Outcome.TRANSIENT, to="6281210100055")
DELIVER_SM = (
    "000000c4 00000005 00000000 00000001 00 01 01 36323831323130313030303535 00 05 00 41636d65 00 04 00 00 00 00 00 00"
    " 00 00 71"
)


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look up receipts of unknown messages sooner than in production."""
    monkeypatch.setattr(adapter, "LOOKUP_DELAYS_SECONDS", (0.02, 0.05, 0.1))


async def bound(gateway: SmppSimulator) -> None:
    """Wait until the provider is bound."""
    await wait_until(lambda: gateway.bound_sessions == 1)


@pytest.mark.parametrize(
    ("response_ids", "receipt_ids", "id_format"),
    [
        ("decimal", "decimal", "as_is"),
        ("decimal", "padded", "as_is"),
        ("padded", "decimal", "as_is"),
        ("hex", "hex", "as_is"),
        ("decimal", "hex", "hex_to_decimal"),
        ("hex", "decimal", "decimal_to_hex"),
        ("hex", "padded", "decimal_to_hex"),
    ],
)
@pytest.mark.parametrize("form", ["both", "text", "parameters"])
async def test_a_receipt_finds_its_message(
    response_ids: IdFormat, receipt_ids: IdFormat, id_format: ReceiptIdFormat, form: ReceiptForm
) -> None:
    """However response and receipt write the id, and whether it is text or an optional parameter."""
    receipts = NotedReceipts()
    async with smsc() as gateway, smpp(gateway, receipts, receipt_id_format=id_format) as provider:
        gateway.response_ids, gateway.receipt_ids, gateway.receipt_form = response_ids, receipt_ids, form
        gateway.receipts = [ScriptedReceipt("delivered")]
        await provider.send(outbound())
        await wait_until(lambda: bool(receipts.recorded))

    assert receipts.recorded == [(MESSAGE_ID, DELIVERED)]
    assert receipts.lifetimes == [300]


async def test_the_bytes_of_a_receipt_and_of_its_response() -> None:
    """A deliver_sm as in 4.6.1 and appendix B is answered with a deliver_sm_resp as in 4.6.2."""
    receipts = NotedReceipts(known={"12345678": MESSAGE_ID})
    text = (
        "id:0012345678 sub:001 dlvrd:001 submit date:2611270815 done date:2611270816 stat:DELIVRD err:000 text:Acme: ko"
    )
    pdu = bytes.fromhex(DELIVER_SM.replace(" ", "")) + text.encode()
    pdu = struct.pack("!I", len(pdu)) + pdu[4 : -len(text) - 1] + bytes([len(text)]) + text.encode()
    taken: list[bytes] = []
    async with smsc() as gateway:
        handle = gateway._handle

        def note(session: Any, received: ReceivedPdu, responses: asyncio.TaskGroup) -> None:
            taken.append(received.data)
            handle(session, received, responses)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(gateway, "_handle", note)
            async with smpp(gateway, receipts):
                await bound(gateway)
                gateway.write(pdu)
                await wait_until(lambda: len(taken) == 2)

    assert taken[1:2] == [bytes.fromhex("00000011 80000005 00000000 00000001 00".replace(" ", ""))]
    assert receipts.recorded == [(MESSAGE_ID, DELIVERED)]


async def test_a_receipt_before_the_response() -> None:
    """It is acknowledged at once, and recorded when the response has told the id."""
    receipts = NotedReceipts()
    async with smsc() as gateway, smpp(gateway, receipts) as provider:
        gateway.receipts = [ScriptedReceipt("delivered")]
        gateway.script(Slow(0.05))
        sending = asyncio.create_task(provider.send(outbound()))
        await wait_until(lambda: bool(gateway.sent_receipts))
        assert not receipts.known
        assert (await sending).outcome is Outcome.ACCEPTED
        await wait_until(lambda: bool(receipts.recorded))

    assert [receipt.status for receipt in gateway.sent_receipts] == [0]


async def test_a_receipt_without_a_message_is_acknowledged() -> None:
    """Receipts of others and receipts without an id do nothing, and the SMSC does not repeat them."""
    receipts = NotedReceipts()
    source = (1, 1, TO.removeprefix("+"))
    async with smsc() as gateway, smpp(gateway, receipts):
        await bound(gateway)
        empty = deliver_body(source, "Acme", esm_class=4, octets=b"stat:DELIVRD", parameters={})
        intermediate = deliver_body(source, "Acme", esm_class=0x20, octets=b"id:1 stat:DELIVRD", parameters={})
        unknown = receipt_body("77", "delivered", 0, to="6281210100055", sender="Acme")

        assert [await gateway.deliver(body) for body in (empty, intermediate, unknown)] == [0, 0, 0]
    assert not receipts.texts
    assert not receipts.recorded


async def test_receipts_of_others_do_not_keep_ours_from_being_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many unknown receipts as may wait leave the ids of our own messages remembered."""
    monkeypatch.setattr(adapter, "MAX_LOOKUPS", 1)
    receipts = NotedReceipts()
    async with smsc() as gateway, smpp(gateway, receipts) as provider:
        await bound(gateway)
        for number in ("77", "78"):
            assert await gateway.deliver(receipt_body(number, "delivered", 0, to=TO[1:], sender="Acme")) == 0
        await provider.send(outbound())
        await wait_until(lambda: bool(receipts.known))

    assert list(receipts.known.values()) == [MESSAGE_ID]


async def test_a_receipt_that_cannot_be_recorded_is_refused_for_the_moment() -> None:
    """While the store is unavailable, and in a command without a service, the SMSC is asked to repeat it."""
    receipts = NotedReceipts(known={"77": MESSAGE_ID}, is_available=False)
    body = receipt_body("77", "delivered", 0, to="6281210100055", sender="Acme")
    async with smsc() as gateway, smpp(gateway, receipts):
        await bound(gateway)
        assert await gateway.deliver(body) == 0x64
        receipts.is_available = True
        assert await gateway.deliver(body) == 0
    async with smsc() as gateway, smpp(gateway) as provider:
        await provider.send(outbound())
        assert await gateway.deliver(body) == 0x64

    assert receipts.recorded == [(MESSAGE_ID, DELIVERED)]


@pytest.mark.parametrize(
    ("source", "octets", "data_coding", "esm_class", "packed", "sender", "text"),
    [
        ((1, 1, TO[1:]), b"STOP", 0, 0, False, TO, "STOP"),
        ((1, 1, TO), b"STOP id:1 stat:DELIVRD", 1, 0, False, TO, "STOP id:1 stat:DELIVRD"),
        ((0, 0, TO[1:]), "توقف".encode("utf-16-be"), 8, 0, False, TO, "توقف"),
        ((2, 1, "081210100055"), b"STOP", 0, 0, False, "", "STOP"),
        ((5, 0, "Bank"), b"caf\x05", 0, 0, False, "", "café"),
        ((1, 1, TO[1:]), bytes.fromhex("53ea130a8a01"), 0, 0, True, TO, "STOP 1"),
        ((1, 1, TO[1:]), bytes((5, 0, 3, 1, 2, 1)) + b"STOP", 0, 0x40, False, TO, "STOP"),
        ((1, 1, TO[1:]), b"", 0, 0x40, False, TO, ""),
    ],
)
async def test_a_text_from_a_phone(
    *,
    source: tuple[int, int, str],
    octets: bytes,
    data_coding: int,
    esm_class: int,
    packed: bool,
    sender: str,
    text: str,
) -> None:
    """It is handled with its sender in E.164, each time that it comes; a number in another form names nobody."""
    receipts = NotedReceipts()
    body = deliver_body(source, "Acme", esm_class=esm_class, data_coding=data_coding, octets=octets, parameters={})
    async with smsc() as gateway, smpp(gateway, receipts, gsm_packed=packed):
        await bound(gateway)
        assert [await gateway.deliver(body) for _ in range(2)] == [0, 0]
        receipts.is_available = False
        assert await gateway.deliver(body) == 0x64

    assert [(message.sender, message.text) for message in receipts.texts] == [(sender, text)] * 2
    assert {message.id for message in receipts.texts} == {""}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff" * 20,
        b"\0\1\1" + b"6" * 60_000,
        b"\0" * 16 + b"\xff",
        deliver_body((1, 1, "6"), "A", esm_class=4, octets=b"id:1", parameters={})[:-1],
    ],
    ids=["empty", "no text ends", "60 KB", "more octets than there are", "cut"],
)
async def test_an_unreadable_delivery_is_answered(body: bytes) -> None:
    """The response says that the parameters are invalid, and the session goes on."""
    async with smsc() as gateway, smpp(gateway, NotedReceipts()) as provider:
        await bound(gateway)

        assert await gateway.deliver(body) == 0xC2
        assert (await provider.send(outbound())).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("state", "word", "expected"),
    [
        (1, "ENROUTE", None), (2, "DELIVRD", DELIVERED), (3, "EXPIRED", UNDELIVERED), (4, "DELETED", UNDELIVERED),
        (5, "UNDELIV", UNDELIVERED), (6, "ACCEPTD", None), (7, "UNKNOWN", None), (8, "REJECTD", UNDELIVERED),
        (2, "DELIVERED", DELIVERED), (5, "Undeliverable", UNDELIVERED), (8, "REJECTED", UNDELIVERED),
        (5, "FAILED", UNDELIVERED), (None, "delivrd", DELIVERED), (None, "WHATEVER", None), (2, "", DELIVERED),
        (2, "UNDELIV", None), (99, "DELIVRD", None),
    ],
)  # fmt: skip
def test_states(state: int | None, word: str, expected: Receipt | None) -> None:
    """Each state as parameter and as word; nothing is known if they contradict each other."""
    tlvs = [smpp34.Tlv(0x0427, bytes([state]))] if state is not None else []
    text = f"id:1 sub:001 dlvrd:001 stat:{word} err:000 text:id:2 stat:DELIVRD".encode()
    message = smpp34.DeliverSm(
        "6281210100055", "Acme", text, esm_class=4, source_addr_ton=1, tlvs=tlvs, sequence_number=1
    )
    found = parse_receipt(message, ("Acme",), "as_is")

    assert found is not None
    assert found.ids == ("1",)
    assert found.receipt == (expected or Receipt("", None, to="6281210100055"))


@pytest.mark.parametrize(
    ("source", "ton", "destination", "sender", "expected"),
    [
        ("6281210100055", 1, "Acme", "Acme", "6281210100055"),
        ("081210100055", 2, "Acme", "Acme", ""),
        ("Acme", 5, "6281210100055", "Acme", "6281210100055"),
        ("628111", 1, "6281210100055", "+628111", "6281210100055"),
        ("nobody", 1, "Acme", "Acme", ""),
    ],
)
def test_the_recipient_in_a_receipt(source: str, ton: int, destination: str, sender: str, expected: str) -> None:
    """The number is compared only if it is international; SMSCs that do not exchange the addresses are recognized."""
    message = smpp34.DeliverSm(
        source, destination, b"id:1 stat:DELIVRD", esm_class=4, source_addr_ton=ton, dest_addr_ton=1
    )
    found = parse_receipt(message, (sender.removeprefix("+"),), "as_is")

    assert found is not None
    assert found.receipt.to == expected


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [("0A1b", "a1B", True), ("0", "00", True), ("10", "1", False), ("", "0", False), (" 7", "7", True)],
)
def test_comparable_ids(first: str, second: str, same: bool) -> None:
    """Case, leading zeros and spaces do not count."""
    assert (comparable_id(first) == comparable_id(second)) is same


async def test_nothing_secret_is_logged(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither this provider nor its library writes a number, a text, a code or the password, whatever is received."""
    receipts = NotedReceipts()
    status: ReceiptStatus = "delivered"
    with captured_logs() as log:
        async with smsc() as gateway, smpp(gateway, receipts) as provider:
            gateway.receipts = [ScriptedReceipt(status)]
            await provider.send(outbound())
            await wait_until(lambda: bool(receipts.recorded))
            body = receipt_body("77", "delivered", 0, to=TO[1:], sender=TEXT[:20])
            for broken in (body, body[:-3], body + TEXT.encode(), TEXT.encode()):
                await gateway.deliver(broken)
            gateway.write(encode(0x80000004, 99, body=TEXT.encode()))
            gateway.write(TEXT.encode())
            await wait_until(lambda: "smpp_session_ended" in log.getvalue())
            shown = f"{provider!r}{vars(provider) | {'_events': None}}"
    written = log.getvalue() + "".join(capfd.readouterr()) + shown

    assert "smpp_bound" in written
    for secret in (TO[1:], "81210100055", "123456", TEXT, PASSWORD):
        assert secret not in written
