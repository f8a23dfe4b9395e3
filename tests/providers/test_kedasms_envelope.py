"""The envelope of KedaSMS, byte for byte; and a simulator that takes no other."""

import base64
import json
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.providers.kedasms.wire import encrypt_message
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from tests.providers.kedasms_kit import API_KEY, KEY, NOW, SENDING, gateway, on_time

IV = bytes(range(0xA0, 0xAC))
PLAINTEXT = b'{"countryCode":"ID","phoneNumbers":["81210100055"],"content":"123456"}'
SEALED = (
    "nTofQjClds0bJui3Ylj6/DnoezywxyoD8mto8xLJEHOhVH2kjRpiD26sNfg5SrbMZUZqagG/"
    "dAokMH98nlK0goeIsFkS2F+apIgKQTuakAmsHQr2jdg="
)
TIMESTAMP = NOW.to_bytes(8, "big")


def envelope(**changes: Any) -> dict[str, Any]:
    """Write the vector's envelope, with changes."""
    return {"apiKey": API_KEY, "timestamp": NOW, "iv": base64.b64encode(IV).decode(), "cipherText": SEALED} | changes


async def posted(simulator: KedasmsSimulator, *bodies: Any) -> list[int]:
    """Post bodies to the simulator as they are."""
    async with httpx.AsyncClient() as client:
        return [(await client.post(simulator.url + "/api/sms/send", json=body)).status_code for body in bodies]


def encrypted(plaintext: bytes, associated: bytes | None, key: bytes = KEY) -> str:
    """Encrypt as one likes, also wrongly."""
    return base64.b64encode(AESGCM(key).encrypt(IV, plaintext, associated)).decode()


NO_ASSOCIATED_DATA = encrypted(PLAINTEXT, None)
JAVA_SAMPLE = encrypted(TIMESTAMP + PLAINTEXT, None)


def test_the_envelope_is_the_one_of_the_vector() -> None:
    """The vector of the fact sheet comes out byte for byte."""
    assert encrypt_message(KEY, IV, NOW, PLAINTEXT) == SEALED
    assert len(base64.b64decode(SEALED)) == 86 and len(PLAINTEXT) == 70
    assert TIMESTAMP.hex() == "00000000660cee40"


async def test_the_simulator_takes_the_vector() -> None:
    """What a right client sends is taken, five minutes early and late as well."""
    for clock in (NOW, NOW - 300, NOW + 300):
        async with KedasmsSimulator(API_KEY, KEY, clock=lambda at=clock: at) as simulator:  # type: ignore[misc]
            assert await posted(simulator, envelope()) == [200]
            assert simulator.plaintexts == [PLAINTEXT]
            assert [(m.to, m.text) for m in simulator.messages] == [("+6281210100055", "123456")]
            assert simulator.messages[0].task_id != simulator.messages[0].msgid


@pytest.mark.parametrize(
    "wrong",
    [
        {"cipherText": NO_ASSOCIATED_DATA},
        {"cipherText": JAVA_SAMPLE},
        {"cipherText": encrypted(PLAINTEXT, TIMESTAMP, bytes(32))},
        {"cipherText": encrypted(PLAINTEXT, NOW.to_bytes(8, "little"))},
        {"cipherText": encrypted(PLAINTEXT, str(NOW).encode())},
        {"cipherText": SEALED[:-4] + "AAA="},
        {"cipherText": "=" + SEALED},
        {"timestamp": NOW + 1},
        {"timestamp": NOW - 301, "cipherText": encrypt_message(KEY, IV, NOW - 301, PLAINTEXT)},
        {"timestamp": NOW + 301, "cipherText": encrypt_message(KEY, IV, NOW + 301, PLAINTEXT)},
        {"timestamp": NOW * 1000},
        {"timestamp": str(NOW)},
        {"iv": base64.b64encode(bytes(12)).decode()},
        {"iv": base64.b64encode(IV + b"1234").decode()},
        {"apiKey": "another"},
        {"more": 1},
    ],
)
async def test_the_simulator_refuses_a_wrong_envelope(wrong: dict[str, Any]) -> None:
    """No associated data, the Java sample's mistake, a wrong key, time, iv, tag or member: nothing is taken."""
    async with on_time() as simulator:
        assert (await posted(simulator, envelope(**wrong)))[0] in (400, 401)
        assert simulator.messages == []


def test_the_wrong_envelopes_are_the_ones_of_the_fact_sheet() -> None:
    """The two mistakes that are refused above are those that were measured."""
    assert NO_ASSOCIATED_DATA.endswith("S2J2lvQMHxzaEgMSHoDi0e3M=")
    assert JAVA_SAMPLE.startswith("5hh8LSPH7P8ZR+")


@pytest.mark.parametrize(
    ("country", "number"),
    [("ID", "6281210100055"), ("ID", "081210100055"), ("ID", "+6281210100055"), ("SG", "81210100055"), ("id", "8121")],
)
async def test_the_simulator_wants_national_numbers(country: str, number: str) -> None:
    """A number with its country code or trunk prefix, or of another country, is refused."""
    message = json.dumps({"countryCode": country, "phoneNumbers": [number], "content": "x"}).encode()
    async with on_time() as simulator:
        assert await posted(simulator, envelope(cipherText=encrypt_message(KEY, IV, NOW, message))) == [400]


async def test_the_simulator_refuses_an_iv_twice() -> None:
    """A nonce is for one message."""
    async with on_time() as simulator:
        assert await posted(simulator, envelope(), envelope()) == [200, 400]


async def test_a_send_is_exactly_these_bytes() -> None:
    """The request has four members, a fresh iv of 12 bytes, and the documented fields in the envelope."""
    simulator = on_time()
    async with gateway(simulator, sender="Acme") as provider:
        first = await provider.send(SENDING)
        url = "https://otp.example.com/v1/receipts/keda/t"
        await provider.send(OutboundMessage("m-2", "+390612345678", "IT", "0612345678", "x", "1", 9, receipt_url=url))
    assert first == SendResult(Outcome.ACCEPTED, simulator.messages[0].task_id)
    assert simulator.plaintexts == [
        b'{"countryCode":"ID","phoneNumbers":["81210100055"],"content":"Acme: kode 739251 \xe2\x9c\x93",'
        b'"senderId":"Acme","trackClick":false}',
        b'{"countryCode":"IT","phoneNumbers":["0612345678"],"content":"x","senderId":"Acme","trackClick":false,'
        b'"callbackUrl":"https://otp.example.com/v1/receipts/keda/t"}',
    ]
    bodies = [json.loads(request.body) for request in simulator.requests]
    assert [list(body) for body in bodies] == [["apiKey", "timestamp", "iv", "cipherText"]] * 2
    assert [(body["apiKey"], body["timestamp"]) for body in bodies] == [(API_KEY, NOW)] * 2
    ivs = [base64.b64decode(body["iv"]) for body in bodies]
    assert [len(iv) for iv in ivs] == [12, 12] and ivs[0] != ivs[1]
    assert all(r.method == "POST" and r.target == "/api/sms/send" for r in simulator.requests)
    assert all(r.headers["content-type"] == "application/json" for r in simulator.requests)
