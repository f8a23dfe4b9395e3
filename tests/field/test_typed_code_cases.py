"""Codes as people type and paste them: the correct code verifies, and what is not a code costs no attempt.

The ids are those of a collection of public bug reports about one-time codes.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.api.api_requests import VERIFICATIONS
from tests.config_parts import api_key, tenant
from tests.problem_assertions import problem_code
from tests.running_service import RunningService, ServiceFactory

TYPED = {
    "B01": [" {a}{b} ", "{a} {b}", "{a}-{b}", "{a}\u00a0{b}", "{a}\u2013{b}", " {a} - {b}"],
    "B02": ["{a}{b}\n", "{a}{b}\r\n", "\t{a}{b}", "{a}\n{b}", "\v{a}\f{b}\x85"],
    "B03": [
        "{a}\u200b{b}",
        "\ufeff{a}{b}",
        "\u200e{a}{b}",
        "\u202a{a}{b}\u202c",
        "\u2066{a}{b}\u2069",
        "{a}\u00ad{b}\u2060",
        "{a}\ufe0f{b}\U000e0020",
    ],
    "B05": [
        "{a}\u2009{b}",
        "{a}\u3000{b}",
        "{a}\uff0d{b}",
        "{a}\u2015{b}",
        "{a}\ufe58{b}",
        "{a}\u30fc{b}",
        "{a}\u2212{b}",
    ],
}
"""How the two halves of a correct code are written."""

NO_CODE = [
    "O23456",
    "12345l",
    "123.456",
    "123,456",
    "#123456",
    '"123456"',
    "'123456'",
    "123456.",
    "Acme: 123456",
    "¹²³⁴⁵⁶",
    "1\ufe0f\u20e32\ufe0f\u20e33\ufe0f\u20e34\ufe0f\u20e35\ufe0f\u20e36\ufe0f\u20e3",
    "①②③④⑤⑥",
    "123456\x00",
    "123\x07456",
    "123",
    "12345678901",
    "      ",
    "\u200b\u200b\u200b\u200b",
    "1" * 65,
]


@pytest.mark.parametrize(
    ("name", "written"),
    [pytest.param(name, text, id=f"{name}-{n}") for name in TYPED for n, text in enumerate(TYPED[name])],
)
async def test_formats_of_the_right_code_verify(service: RunningService, name: str, written: str) -> None:
    """Spaces, dashes, line ends and invisible characters in or after the code are ignored."""
    verification_id, code = await service.request_code()
    response = await service.verify(verification_id, written.format(a=code[:3], b=code[3:]))
    assert response.status_code == 200, (name, response.text)


async def test_a_lost_leading_zero_is_a_wrong_code(service: RunningService) -> None:
    """B08: five of six digits are a wrong code, and cost an attempt."""
    verification_id, code = await service.request_code()
    response = await service.verify(verification_id, code[1:])
    assert (response.status_code, response.json()["attempts_left"]) == (422, 4)


async def test_an_invalid_code_costs_no_attempt(service: RunningService) -> None:
    """B10: letters, punctuation, whole messages, superscripts, emoji and controls get 400 and cost no attempt."""
    verification_id, code = await service.request_code()
    for typed in [*NO_CODE, f"{code}\x00", f"Acme: {code}", f"{code}."]:
        response = await service.verify(verification_id, typed)
        assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, "/code"), ascii(typed)
    assert (await service.client.get(VERIFICATIONS + verification_id)).json()["attempts_left"] == 5
    assert (await service.verify(verification_id, code)).status_code == 200


async def test_the_code_of_the_first_message_after_a_resend(service: RunningService) -> None:
    """B11: after a resend the old verification is superseded, and its code is wrong for the new one."""
    old, first = await service.request_code()
    await service.advance(31)
    new, second = await service.request_code()
    assert problem_code(await service.verify(old, first)) == "verification_superseded"
    if first != second:
        assert problem_code(await service.verify(new, first)) == "code_incorrect"
    assert (await service.verify(new, second)).status_code == 200


async def test_the_right_code_four_times_at_once(service: RunningService) -> None:
    """B13: four formats of the correct code at once get one 200 and three 409."""
    verification_id, code = await service.request_code()
    spellings = [code, f"{code}\n", f"\u200e{code}", f"{code[:3]}\uff0d{code[3:]}"]
    answers = await asyncio.gather(*(service.verify(verification_id, typed) for typed in spellings))
    assert Counter(map(problem_code, answers)) == {"200": 1, "verification_used": 3}


async def test_the_sixth_attempt(service: RunningService) -> None:
    """B15: after five wrong codes the right one gets 429; a new code has five attempts."""
    verification_id, code = await service.request_code()
    left = [(await service.verify(verification_id, service.wrong_code(code))).json()["attempts_left"] for _ in range(5)]
    assert left == [4, 3, 2, 1, 0]
    for typed in (service.wrong_code(code), code, f"{code}\u200b"):
        assert problem_code(await service.verify(verification_id, typed)) == "attempts_exhausted"
    await service.advance(31)
    new, _ = await service.request_code()
    assert (await service.client.get(VERIFICATIONS + new)).json()["attempts_left"] == 5


async def test_ids_that_cannot_be_verified(make_service: ServiceFactory) -> None:
    """B16: a canceled verification gets 409; an id of another tenant or in another case gets 404."""
    service = await make_service({"tenants": {"acme": tenant(api_key("acme", "request", "verify"))}})
    verification_id, code = await service.request_code()
    body = {"verification_id": verification_id, "code": code}
    assert problem_code(await service.caller("acme").post("/v1/verify-code", json=body)) == "verification_unknown"
    assert problem_code(await service.verify(verification_id.swapcase(), code)) == "verification_unknown"
    assert (await service.client.delete(VERIFICATIONS + verification_id)).status_code == 200
    assert problem_code(await service.verify(verification_id, code)) == "verification_canceled"
