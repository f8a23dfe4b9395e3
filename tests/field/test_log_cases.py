"""F11: a phone number in any input is in no log line and in no response header."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.api_requests import (
    JSON_HEADERS,
    NORMALIZE_PHONE,
    REQUEST_BODY,
    REQUEST_CODE,
    UNKNOWN_ID,
    VERIFICATIONS,
    VERIFY_CODE,
)
from tests.log_capture import captured_logs, digits_in
from tests.problem_assertions import assert_common_headers
from tests.running_service import RunningService

SUBSCRIBER = "81210100055"
SPELLINGS = {
    "plain": "6281210100055",
    "prefixed": "req-081210100055",
    "dots": "0812.1010.0055",
    "letters-between": "0a8b1c2d1e0f1g0h0i0j5k5",
    "words-between": "0812 then 1010 then 0055",
    "emoji": "0812\U0001f6001010\U0001f6000055",
    "keycaps": "".join(f"{digit}\ufe0f\u20e3" for digit in "081210100055"),
    "newlines": "0812\n1010\r\n0055",
    "zero-width": "0812\u200b1010\u2060\ufeff0055",
    "combining": "".join(f"{digit}\u0301" for digit in "081210100055"),
    "far-apart": ("x" * 9).join("081210100055"),
    "arabic": "\u0660\u0668\u0661\u0662\u0661\u0660\u0661\u0660\u0660\u0660\u0665\u0665",
    "mathematical": "".join(chr(0x1D7CE + int(digit)) for digit in "081210100055"),
    "mixed-scripts": "0\u0668\uff11\u09622\u0967" + "0\u0661\u0660\u0660\u06605\uff15",
    "superscripts": "081210100055".translate(str.maketrans("01258", "\u2070\u00b9\u00b2\u2075\u2078")),
    "circled": "081210100055".translate(str.maketrans("01258", "\u24ea\u2460\u2461\u2464\u2467")),
}


async def send_everywhere(service: RunningService, text: str) -> list[Any]:
    """Send a text in every place where a caller can send one."""
    client = service.client
    answers = [
        await client.post(REQUEST_CODE, json={**REQUEST_BODY, "reference": text[:128]}),
        await client.post(REQUEST_CODE, json={**REQUEST_BODY, "purpose": text}),
        await client.post(REQUEST_CODE, json={**REQUEST_BODY, text: 1}),
        await client.post(REQUEST_CODE, json={**REQUEST_BODY, "locale": text, "channel": text}),
        await client.post(REQUEST_CODE, json={**REQUEST_BODY, "client_ip": text}),
        await client.post(NORMALIZE_PHONE, json={"phone": text}),
        await client.post(VERIFY_CODE, json={"verification_id": text, "code": "914273"}),
        await client.post(VERIFY_CODE, json={"verification_id": UNKNOWN_ID, "code": text}),
        await client.post(REQUEST_CODE, content=f'{{"phone": "{text}'.encode(), headers=JSON_HEADERS),
        await client.post(REQUEST_CODE, json=REQUEST_BODY, headers={b"Idempotency-Key": text.encode()}),
        await client.get(VERIFICATIONS + text.replace("\n", "").replace("\r", "")),
        await client.get("/nothing", params={"phone": text}),
        await client.post(f"/v1/receipts/{text[:9]}/x".replace("\n", "").replace("\r", ""), params={"to": text}),
    ]
    paths = ("/v1/receipts/inbox/x", "/nothing", "/livez")
    names = (b"X-Request-Id", b"User-Agent", b"X-Forwarded-For", b"Content-Type", b"Host")
    return answers + [await client.post(path, headers={name: text.encode()}) for path in paths for name in names]


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=[f"F11-{name}" for name in SPELLINGS])
async def test_no_log_line_has_a_number(service: RunningService, text: str) -> None:
    """Digits are masked with any separators, and in any script."""
    assert len(digits_in(text)) >= 12
    with captured_logs() as logged:
        answers = await send_everywhere(service, text)
    for line in map(json.loads, logged.getvalue().splitlines()):
        for name, value in line.items():
            ours = name in ("timestamp", "duration_ms", "phone", "verification_id")
            assert SUBSCRIBER not in digits_in(str(value))
            assert ours or len(digits_in(str(value))) < 6, (name, value)
    for answer in answers:
        assert_common_headers(answer)
        assert len(digits_in(answer.headers["x-request-id"])) < 6


IDS = [
    ("order-17.a_b", True),
    ("x" * 64, True),
    ("a1b2c3d4e5", True),
    ("a1b2c3d4e5f6", False),
    ("6281210100055", False),
    ("req-0812-1010-0055", False),
    ("00000000-0000-4000-8000-628121010005", False),
    ("abcdefab-cdef-4abc-8def-abcdefabcdef", True),
    ("x" * 65, False),
    ("a b", False),
    ("a\tb", False),
    ("\u0661\u0662\u0663", False),
    ("", False),
]


@pytest.mark.parametrize(("given", "kept"), IDS, ids=[f"F11-id-{n}" for n in range(len(IDS))])
async def test_a_request_id_with_a_number_is_replaced(service: RunningService, given: str, kept: bool) -> None:
    """A request id with up to five digits is returned and logged; otherwise both places have a generated id."""
    with captured_logs() as logged:
        response = await service.client.post(NORMALIZE_PHONE, headers={b"X-Request-Id": given.encode()})
    own = response.headers["x-request-id"]
    assert (own == given) is kept
    assert response.json()["request_id"] == own
    [line] = map(json.loads, logged.getvalue().splitlines())
    assert line["request_id"] == own
    assert kept or digits_in(own) == ""


async def test_a_duplicate_request_id_is_replaced(service: RunningService) -> None:
    """Two `X-Request-ID` headers are ignored: two layers could read different ones."""
    response = await service.client.get("/livez", headers=[("X-Request-Id", "one"), ("X-Request-Id", "two")])
    assert response.headers["x-request-id"] not in ("one", "two")


async def test_generated_ids_are_not_masked(service: RunningService) -> None:
    """The log has generated ids unchanged, so that lines can be found by them."""
    with captured_logs() as logged:
        ids = {(await service.request(f"0812-1010-00{n}")).json()["verification_id"] for n in range(10, 30)}
    lines = list(map(json.loads, logged.getvalue().splitlines()))
    assert {line["verification_id"] for line in lines if line["event"] == "request"} == ids
    assert not [line for line in lines if "*" in line["request_id"]]
