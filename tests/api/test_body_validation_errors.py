"""What a caller is told of a wrong body: the member of ours, what to send, and nothing of what was sent."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otp_service.api.request_bodies import decode_body
from otp_service.api.schemas import EXPECTED_VALUES, NormalizePhone, RequestCodeBody, VerifyCodeBody
from otp_service.domain.errors import Refused
from tests.api.api_requests import JSON_HEADERS, REQUEST_BODY, REQUEST_CODE
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService

BODIES: list[type[msgspec.Struct]] = [RequestCodeBody, VerifyCodeBody, NormalizePhone]
MEMBERS = "phone, purpose, country, locale, channel, client_ip, reference, decoy"
LEAVE = f"Leave it out: the members are {MEMBERS}."


def told(kind: type[msgspec.Struct], raw: bytes) -> tuple[str, str]:
    """Hold a body to be refused for one mistake; give it."""
    with pytest.raises(Refused) as refused:
        decode_body(kind, raw)
    [mistake] = refused.value.mistakes
    return mistake[0], mistake[1]


FORGED = [
    "+6281210100055 - at `$.x",
    "x` - at `$.phone",
    "a` - at `$[0].code",
    "phone` - at `$",
    "missing required field `phone`",
    "unknown field `x` - at `$.0812-1010-0055`",
    "/phone",
    "~1phone",
    "a.b",
    "a b",
    "0812",
    "x0812",
    "a0b8c1d2",
    "tel\u0660\u0661\u0662\u0663",
    "é",
    "x" * 33,
    "$" * 9,
    "",
]


@pytest.mark.parametrize("name", FORGED, ids=[str(n) for n in range(len(FORGED))])
async def test_a_members_name_forges_nothing(service: RunningService, name: str) -> None:
    """A name that is no plain one, or that may hold a number or a code, is not told again in any form."""
    response = await service.client.post(REQUEST_CODE, json={name: 1, **REQUEST_BODY})
    body = assert_problem(response, 400, "request_malformed", "errors")
    assert body["errors"] == [{"pointer": "", "detail": LEAVE}]
    assert not name or len(name) < 6 or name not in response.text


@pytest.mark.parametrize("name", ["otp", "clientIp", "phone_number", "X-Phone", "ipv4", "_id", "a1b2c3", "x" * 32])
def test_a_plain_name_is_pointed_at(name: str) -> None:
    """Who misspelt a member sees which one it was, and which ones there are."""
    assert told(RequestCodeBody, json.dumps({**REQUEST_BODY, name: 1}).encode()) == ("/" + name, LEAVE)


WRONG: dict[str, list[Any]] = {
    "phone": [None, 81210100055, 1e300, "", "x" * 65, ["081210100055"], {"phone": "081210100055"}, True],
    "purpose": [None, "", "Login", "1x", "login\n", "x" * 33, 1],
    "country": ["id", "IDN", "ID\n", "", 62, ["ID"]],
    "locale": [7, ["id"], "x" * 257],
    "channel": [None, "SMS", "sms\n", "voice", 1],
    "client_ip": [1, "1" * 129, ["::1"]],
    "reference": [17, "x" * 129],
    "decoy": [None, 0, 1, "true", []],
}


@pytest.mark.parametrize("name", WRONG)
def test_each_member_says_what_to_send(name: str) -> None:
    """In words, and always the same ones, whatever was wrong."""
    for value in WRONG[name]:
        assert told(RequestCodeBody, json.dumps({**REQUEST_BODY, name: value}).encode()) == (
            "/" + name,
            EXPECTED_VALUES[name],
        ), value


@pytest.mark.parametrize("body", BODIES)
def test_every_member_has_its_words(body: type[msgspec.Struct]) -> None:
    """No member of a body is left without, and none of them shows a regular expression."""
    assert {field.encode_name for field in msgspec.structs.fields(body)} <= EXPECTED_VALUES.keys()
    assert not [words for words in EXPECTED_VALUES.values() if set(words) & set("^$\\{}")]


def test_the_first_mistake_is_told() -> None:
    """In the order of the body, and what is missing last."""
    assert told(RequestCodeBody, b'{"decoy": 1, "otp": 1, "phone": 1}')[0] == "/decoy"
    assert told(RequestCodeBody, b'{"otp": 1, "decoy": 1}')[0] == "/otp"
    assert told(RequestCodeBody, b'{"purpose": "a", "purpose": 1, "phone": 1}')[0] == "/purpose"
    assert told(RequestCodeBody, b'{"decoy": true}') == ("/phone", "is required")
    assert told(RequestCodeBody, b'{"phone": "1"}') == ("/purpose", "is required")


DEEP = b'{"otp": ' + b"[" * 30_000 + b"]" * 30_000 + b"}"


@pytest.mark.parametrize("raw", [b"", b"{", b"nan", b'{"phone": NaN}', b"[" * 60_000, DEEP], ids=range(6))
def test_what_is_no_json(raw: bytes) -> None:
    """It has no member to point at."""
    assert told(RequestCodeBody, raw) == ("", "Send a JSON object in UTF-8.")


@pytest.mark.parametrize("raw", [b"[]", b"1", b'"x"', b"null", b"[[1,2]]", b'[["phone", "1"]]'])
def test_what_is_no_object(raw: bytes) -> None:
    """An array of pairs is none either."""
    assert told(RequestCodeBody, raw) == ("", "Send a JSON object.")


PAIRS = st.lists(
    st.tuples(
        st.sampled_from(["phone", "purpose", "locale", "reference", "decoy"]),
        st.sampled_from(["login", "0812", None, True, '\u00e9\n"\\', '{"phone": 1}']),
    ),
    max_size=7,
)


@settings(deadline=None, max_examples=200)
@given(pairs=PAIRS, ascii_only=st.booleans(), spaced=st.booleans())
def test_a_body_is_taken_when_each_member_stands_once(
    pairs: list[tuple[str, Any]], *, ascii_only: bool, spaced: bool
) -> None:
    """What is taken is what a plain reader makes of it, and it never had a member twice."""
    written = ((json.dumps(name), json.dumps(value, ensure_ascii=ascii_only)) for name, value in pairs)
    raw = ("{" + (" , " if spaced else ",").join(f"{name}:{value}" for name, value in written) + "}").encode()
    names = [name for name, _ in pairs]
    try:
        body = decode_body(RequestCodeBody, raw)
    except Refused:
        return
    assert len(set(names)) == len(names)
    assert {name: getattr(body, name) for name in names} == dict(pairs)


async def test_no_number_of_a_body_comes_back(service: RunningService) -> None:
    """Not in any member of the problem, whatever stands around it."""
    for raw in (b'{"+6281210100055 - at `$.x": 1}', b'{"phone": 6281210100055}', b'{"purpose": "6281210100055"}'):
        response = await service.client.post(REQUEST_CODE, content=raw, headers=JSON_HEADERS)
        assert_problem(response, 400, "request_malformed", "errors")
        assert "81210100055" not in response.text
