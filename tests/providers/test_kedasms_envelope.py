"""The encrypted envelope of KedaSMS, byte for byte, and a simulator that accepts no other."""

import base64
import json
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from otp_service.domain.message import OutboundMessage
from otp_service.domain.outcomes import Outcome
from otp_service.providers.kedasms.wire import encrypt_message
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from tests.providers.kedasms_provider import API_KEY, KEY, MESSAGE, NOW, gateway, new_simulator

IV = bytes(range(0xA0, 0xAC))
PLAINTEXT = b'{"countryCode":"ID","phoneNumbers":["81210100055"],"content":"123456"}'
CIPHER_TEXT = (
    "nTofQjClds0bJui3Ylj6/DnoezywxyoD8mto8xLJEHOhVH2kjRpiD26sNfg5SrbMZUZqagG/"
    "dAokMH98nlK0goeIsFkS2F+apIgKQTuakAmsHQr2jdg="
)
TIMESTAMP = NOW.to_bytes(8, "big")


def envelope(**changes: Any) -> dict[str, Any]:
    """Return the envelope of the test vector, with changes."""
    return {
        "apiKey": API_KEY,
        "timestamp": NOW,
        "iv": base64.b64encode(IV).decode(),
        "cipherText": CIPHER_TEXT,
    } | changes


async def posted(simulator: KedasmsSimulator, *bodies: Any) -> list[int]:
    """Post bodies to the simulator and return the HTTP statuses."""
    async with httpx.AsyncClient() as client:
        return [(await client.post(simulator.url + "/api/sms/send", json=body)).status_code for body in bodies]


def encrypted(plaintext: bytes, associated: bytes | None, key: bytes = KEY) -> str:
    """Encrypt with any associated data and key, to make wrong envelopes."""
    return base64.b64encode(AESGCM(key).encrypt(IV, plaintext, associated)).decode()


NO_ASSOCIATED_DATA = encrypted(PLAINTEXT, None)
JAVA_SAMPLE = encrypted(TIMESTAMP + PLAINTEXT, None)


def test_cipher_text_matches_the_test_vector() -> None:
    """The cipher text equals that of the test vector, byte for byte."""
    assert encrypt_message(KEY, IV, NOW, PLAINTEXT) == CIPHER_TEXT
    assert len(base64.b64decode(CIPHER_TEXT)) == 86 and len(PLAINTEXT) == 70
    assert TIMESTAMP.hex() == "00000000660cee40"


async def test_simulator_accepts_the_test_vector() -> None:
    """The simulator accepts a correct envelope, also five minutes early or late."""
    for clock in (NOW, NOW - 300, NOW + 300):
        async with KedasmsSimulator(API_KEY, KEY, clock=lambda at=clock: at) as simulator:  # type: ignore[misc]  # binds the value of this pass
            assert await posted(simulator, envelope()) == [200]
            assert simulator.plaintexts == [PLAINTEXT]
            assert [(m.to, m.text) for m in simulator.messages] == [("+6281210100055", "123456")]
            assert simulator.messages[0].task_id != simulator.messages[0].msgid


@pytest.mark.parametrize(
    "changes",
    [
        {"cipherText": NO_ASSOCIATED_DATA},
        {"cipherText": JAVA_SAMPLE},
        {"cipherText": encrypted(PLAINTEXT, TIMESTAMP, bytes(32))},
        {"cipherText": encrypted(PLAINTEXT, NOW.to_bytes(8, "little"))},
        {"cipherText": encrypted(PLAINTEXT, str(NOW).encode())},
        {"cipherText": CIPHER_TEXT[:-4] + "AAA="},
        {"cipherText": "=" + CIPHER_TEXT},
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
async def test_simulator_refuses_a_wrong_envelope(changes: dict[str, Any]) -> None:
    """No associated data, the Java sample's error, a wrong key, time, IV, tag or member: all are refused."""
    async with new_simulator() as simulator:
        assert (await posted(simulator, envelope(**changes)))[0] in (400, 401)
        assert simulator.messages == []


def test_wrong_cipher_texts_match_the_measured_ones() -> None:
    """The two wrong cipher texts above are those that other clients were measured to produce."""
    assert NO_ASSOCIATED_DATA.endswith("S2J2lvQMHxzaEgMSHoDi0e3M=")
    assert JAVA_SAMPLE.startswith("5hh8LSPH7P8ZR+")


@pytest.mark.parametrize(
    ("country", "number"),
    [("ID", "6281210100055"), ("ID", "081210100055"), ("ID", "+6281210100055"), ("SG", "81210100055"), ("id", "8121")],
)
async def test_simulator_requires_national_numbers(country: str, number: str) -> None:
    """The simulator refuses a number with country code or trunk prefix, or of another country."""
    message = json.dumps({"countryCode": country, "phoneNumbers": [number], "content": "x"}).encode()
    async with new_simulator() as simulator:
        assert await posted(simulator, envelope(cipherText=encrypt_message(KEY, IV, NOW, message))) == [400]


async def test_simulator_refuses_a_repeated_iv() -> None:
    """The simulator accepts each nonce once."""
    async with new_simulator() as simulator:
        assert await posted(simulator, envelope(), envelope()) == [200, 400]


async def test_send_request_byte_for_byte() -> None:
    """A request has four members, a new IV of 12 bytes, and the documented fields inside the envelope."""
    simulator = new_simulator()
    async with gateway(simulator, sender="Acme") as provider:
        first = await provider.send(MESSAGE)
        url = "https://otp.example.com/v1/receipts/keda/t"
        await provider.send(OutboundMessage("m-2", "+390612345678", "IT", "0612345678", "x", "1", 9, receipt_url=url))
    assert (first.outcome, first.provider_message_id) == (Outcome.ACCEPTED, simulator.messages[0].task_id)
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
