"""Guarantees under parallel requests, with exact numbers."""

from __future__ import annotations

import asyncio
import base64
import re
from collections import Counter

import httpx
import pytest

from tests.api.api_requests import REQUEST_BODY, REQUEST_CODE, VERIFY_CODE
from tests.problem_assertions import problem_code
from tests.running_service import NUMBER, RunningService, ServiceFactory

SPELLINGS = [
    "0812-1010-0055",
    "081210100055",
    "81210100055",
    "6281210100055",
    "+6281210100055",
    "+62 (0) 812 1010 0055",
    "006281210100055",
    "6208121010 0055",
    "+62-812-1010-0055",
    "tel:+62-812-1010-0055",
    "０８１２１０１００055",
]


def codes(responses: list[httpx.Response]) -> Counter[str]:
    """Count responses by their problem code, or by their status if they are no problem."""
    return Counter(map(problem_code, responses))


async def test_spellings_are_one_recipient(service: RunningService) -> None:
    """Eleven spellings of one number in parallel get one 202 and one message; the others meet the cooldown."""
    responses = [await service.request(spelling) for spelling in SPELLINGS]
    assert codes(responses) == {"202": 1, "resend_too_soon": len(SPELLINGS) - 1}
    await service.message_of(responses[0].json()["verification_id"])
    assert len(service.inbox.messages()) == 1


async def test_parallel_wrong_codes(service: RunningService, hashes: Counter[str]) -> None:
    """Of 100 parallel wrong codes exactly five are compared."""
    verification_id, code = await service.request_code()
    responses = await asyncio.gather(*(service.verify(verification_id, service.wrong_code(code)) for _ in range(100)))
    assert codes(responses) == {"code_incorrect": 5, "attempts_exhausted": 95}
    assert hashes["matches"] == 5
    left = sorted(response.json()["attempts_left"] for response in responses if response.status_code == 422)
    assert left == [0, 1, 2, 3, 4]


async def test_a_hundred_right_codes_at_once(service: RunningService) -> None:
    """Of 100 parallel correct codes one succeeds, and all others get `verification_used`."""
    verification_id, code = await service.request_code()
    answers = await asyncio.gather(*(service.verify(verification_id, code) for _ in range(100)))
    assert codes(answers) == {"200": 1, "verification_used": 99}


async def test_a_hundred_right_codes_at_two_replicas(make_service: ServiceFactory) -> None:
    """With two replicas, too, one correct code succeeds, and all others get `verification_used`."""
    keys = {"keys": {"k1": base64.b64encode(bytes(32)).decode(), "current": "k1", "index": "k1"}}
    one, two = await make_service(keys), await make_service(keys)
    body = (await one.client.post(REQUEST_CODE, json=REQUEST_BODY)).json()
    async with asyncio.timeout(5):
        while not (sent := [*one.inbox.messages(), *two.inbox.messages()]):
            await asyncio.sleep(0.005)
    found = re.search(r"\d{6}", sent[0].text)
    assert found
    attempt_body = {"verification_id": body["verification_id"], "code": found[0]}
    answers = await asyncio.gather(
        *(service.client.post(VERIFY_CODE, json=attempt_body) for service in [one, two] * 50)
    )
    assert codes(answers) == {"200": 1, "verification_used": 99}


async def test_parallel_requests_for_one_number(service: RunningService, hashes: Counter[str]) -> None:
    """Of 60 parallel requests for one number one is accepted, with one hash and one message."""
    responses = await asyncio.gather(*(service.request(NUMBER) for _ in range(60)))
    assert codes(responses) == {"202": 1, "resend_too_soon": 59}
    assert hashes["hash"] == 1
    [accepted] = [response for response in responses if response.status_code == 202]
    await service.message_of(accepted.json()["verification_id"])
    assert len(service.inbox.messages()) == 1


@pytest.mark.usefixtures("patient_store")
@pytest.mark.parametrize(
    ("limit", "members"),
    [("client_ip", {"client_ip": "203.0.113.9"}), ("tenant", {}), ("country", {})],
)
async def test_parallel_requests_at_a_limit(make_service: ServiceFactory, limit: str, members: dict[str, str]) -> None:
    """Of 200 parallel requests for 200 numbers at a limit of 20 exactly 20 are accepted."""
    service = await make_service({"limits": {"prefix": [], limit: ["20/3600"]}})
    responses = await asyncio.gather(*(service.request(f"0812100{n:05d}", **members) for n in range(200)))
    assert codes(responses) == {"202": 20, "rate_limited": 180}
    assert {response.json()["limit"] for response in responses if response.status_code == 429} == {limit}


async def test_a_denied_request_uses_no_limit(make_service: ServiceFactory) -> None:
    """After 40 requests that the cooldown denied, one of the tenant's limit of 2 is still left."""
    service = await make_service({"limits": {"tenant": ["2/3600"]}})
    await service.request_code()
    for _ in range(40):
        assert (await service.request()).json()["code"] == "resend_too_soon"
    assert (await service.request("0812-1010-0066")).status_code == 202
    assert (await service.request("0812-1010-0077")).json()["limit"] == "tenant"


async def test_parallel_idempotent_requests(service: RunningService) -> None:
    """Thirty parallel requests with one key send one message, and each gets the same response or `in flight`."""
    headers = {"Idempotency-Key": "k-1"}
    responses = await asyncio.gather(
        *(service.client.post(REQUEST_CODE, json=REQUEST_BODY, headers=headers) for _ in range(30))
    )
    assert set(codes(responses)) <= {"202", "idempotency_in_flight"}
    again = await service.client.post(REQUEST_CODE, json=REQUEST_BODY, headers=headers)
    accepted = {response.content for response in [*responses, again] if response.status_code == 202}
    assert len(accepted) == 1
    await service.message_of(again.json()["verification_id"])
    assert len(service.inbox.messages()) == 1
