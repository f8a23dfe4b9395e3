"""Errors in a body name the member and what to send, and repeat nothing that was sent."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otp_service.api.members import EXPECTED_VALUES, TransactionBody
from otp_service.api.proof_bodies import IntrospectionBody
from otp_service.api.request_bodies import decode_body
from otp_service.api.schemas import NormalizePhone, RequestCodeBody, VerifyCodeBody
from otp_service.domain.errors import Refused
from tests.api.api_requests import JSON_HEADERS, REQUEST_BODY, REQUEST_CODE
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService

BODIES: list[type[msgspec.Struct]] = [
    RequestCodeBody,
    VerifyCodeBody,
    NormalizePhone,
    TransactionBody,
    IntrospectionBody,
]
MEMBERS = (
    "phone, email, purpose, country, locale, channel, app, client_ip, reference, decoy, link, transaction, binding, "
    "captcha_token"
)
LEAVE = f"Leave it out: the members are {MEMBERS}."


def body_error(kind: type[msgspec.Struct], raw: bytes) -> tuple[str, str]:
    """Decode a body that must be refused, and return its only error."""
    with pytest.raises(Refused) as refused:
        decode_body(kind, raw)
    [error] = refused.value.field_errors
    return error[0], error[1]


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
async def test_a_member_name_with_data_is_not_repeated(service: RunningService, name: str) -> None:
    """A member name that is not plain, or that may contain a number or a code, is not repeated in the error."""
    response = await service.client.post(REQUEST_CODE, json={name: 1, **REQUEST_BODY})
    body = assert_problem(response, 400, "request_malformed", "errors")
    assert body["errors"] == [{"pointer": "", "detail": LEAVE}]
    assert not name or len(name) < 6 or name not in response.text


@pytest.mark.parametrize("name", ["otp", "clientIp", "phone_number", "X-Phone", "ipv4", "_id", "a1b2c3", "x" * 32])
def test_an_unknown_plain_member_is_named(name: str) -> None:
    """An unknown member with a plain name is named, together with the members that exist."""
    assert body_error(RequestCodeBody, json.dumps({**REQUEST_BODY, name: 1}).encode()) == ("/" + name, LEAVE)


WRONG: dict[str, list[Any]] = {
    "email": [None, 1, "a@", "a" * 255, ["a@b.co"]],
    "phone": [None, 81210100055, 1e300, "", "x" * 65, ["081210100055"], {"phone": "081210100055"}, True],
    "purpose": [None, "", "Login", "1x", "login\n", "x" * 33, 1],
    "country": ["id", "IDN", "ID\n", "", 62, ["ID"]],
    "locale": [7, ["id"], "x" * 257],
    "channel": [None, "SMS", "sms\n", "pigeon", 1],
    "app": ["", "Web", "a b", "web\n", "x" * 33, 1, ["web"]],
    "client_ip": [1, "1" * 129, ["::1"]],
    "reference": [17, "x" * 129],
    "decoy": [None, 0, 1, "true", []],
    "transaction": [1, "12", [], ["amount", "1"], [["amount", "1"]], True],
    "binding": ["", " ", "a b", "x" * 129, "caf\u00e9", "a\n", 1, ["a"]],
}


@pytest.mark.parametrize("name", WRONG)
def test_each_member_says_what_to_send(name: str) -> None:
    """The error of a member says what to send, in the same words for every wrong value."""
    for value in WRONG[name]:
        assert body_error(RequestCodeBody, json.dumps({**REQUEST_BODY, name: value}).encode()) == (
            "/" + name,
            EXPECTED_VALUES[name],
        ), value


PAID = {"amount": "12500.00", "currency": "IDR", "payee": "Toko Budi"}
WRONG_PAID: dict[str, list[Any]] = {
    "amount": [
        None,
        1,
        12.5,
        "",
        "-1",
        "+1",
        "01",
        "1.",
        ".5",
        "1,5",
        "1e3",
        "1 000",
        "1.00000",
        "9" * 16,
        "1\n",
        "\u0661",
    ],
    "currency": [None, "", "idr", "ID", "IDRR", "IDR\n", 360],
    "payee": [None, 1, "", " ", " a", "a ", "a\nb", "a\u202eb", "a\u200bb", "a\u2028b", "\ufeffa", "x" * 71, "a\x00"],
}


@pytest.mark.parametrize("name", WRONG_PAID)
def test_each_member_of_a_transaction_says_what_to_send(name: str) -> None:
    """The pointer of an error names the member of the transaction, and the text says what to send there."""
    for value in WRONG_PAID[name]:
        raw = json.dumps({**REQUEST_BODY, "transaction": {**PAID, name: value}}).encode()
        assert body_error(RequestCodeBody, raw) == (f"/transaction/{name}", EXPECTED_VALUES[name]), value


def test_errors_in_the_members_of_a_transaction() -> None:
    """A missing, an unknown and a repeated member of a transaction are reported like those of the body."""
    body = '{"phone": "1", "purpose": "a", "transaction": {%s}}'
    members = "Leave it out: the members are amount, currency, payee."
    whole = '"amount": "1", "currency": "IDR", "payee": "A"'
    for sent, error in (
        ("", ("/transaction/amount", "Send this member; it is required.")),
        ('"amount": "1", "currency": "IDR"', ("/transaction/payee", "Send this member; it is required.")),
        (whole + ', "iban": 1', ("/transaction/iban", members)),
        (whole + ', "+6281210100055": 1', ("/transaction", members)),
        (whole + ', "amount": "1"', ("/transaction/amount", "Send it once.")),
    ):
        assert body_error(RequestCodeBody, (body % sent).encode()) == error, sent
    decoded = decode_body(RequestCodeBody, (body % whole).encode())
    assert decoded.transaction == TransactionBody(amount="1", currency="IDR", payee="A")


@pytest.mark.parametrize("body", BODIES)
def test_every_member_has_an_error_text(body: type[msgspec.Struct]) -> None:
    """Every member of every body has an error text, and no text contains a regular expression."""
    assert {field.encode_name for field in msgspec.structs.fields(body)} <= EXPECTED_VALUES.keys()
    assert not [words for words in EXPECTED_VALUES.values() if set(words) & set("^$\\{}")]


def test_the_first_error_is_reported() -> None:
    """Errors are reported in the order of the body, and missing members last."""
    assert body_error(RequestCodeBody, b'{"decoy": 1, "otp": 1, "phone": 1}')[0] == "/decoy"
    assert body_error(RequestCodeBody, b'{"otp": 1, "decoy": 1}')[0] == "/otp"
    assert body_error(RequestCodeBody, b'{"purpose": "a", "purpose": 1, "phone": 1}')[0] == "/purpose"
    assert body_error(RequestCodeBody, b'{"decoy": true}') == ("/phone", "Send this member, or `email`.")
    assert body_error(RequestCodeBody, b'{"email": "a@b.co", "phone": "1"}') == (
        "/email",
        "Leave it out, or leave out `phone`.",
    )
    assert body_error(RequestCodeBody, b'{"email": "a@b.co"}') == ("/purpose", "Send this member; it is required.")
    assert body_error(RequestCodeBody, b'{"phone": "1"}') == ("/purpose", "Send this member; it is required.")


DEEP = b'{"otp": ' + b"[" * 30_000 + b"]" * 30_000 + b"}"


@pytest.mark.parametrize("raw", [b"", b"{", b"nan", b'{"phone": NaN}', b"[" * 60_000, DEEP], ids=range(6))
def test_a_body_that_is_not_json(raw: bytes) -> None:
    """The error of a body that is not JSON has no pointer."""
    assert body_error(RequestCodeBody, raw) == ("", "Send a JSON object in UTF-8.")


@pytest.mark.parametrize("raw", [b"[]", b"1", b'"x"', b"null", b"[[1,2]]", b'[["phone", "1"]]'])
def test_json_that_is_not_an_object(raw: bytes) -> None:
    """Any JSON except an object is refused, also an array of pairs."""
    assert body_error(RequestCodeBody, raw) == ("", "Send a JSON object.")


PAIRS = st.lists(
    st.tuples(
        st.sampled_from(["phone", "purpose", "locale", "reference", "decoy"]),
        st.sampled_from(["login", "0812", None, True, '\u00e9\n"\\', '{"phone": 1}']),
    ),
    max_size=7,
)


@settings(deadline=None, max_examples=200)
@given(pairs=PAIRS, ascii_only=st.booleans(), spaced=st.booleans())
def test_a_body_with_unique_members_is_decoded(pairs: list[tuple[str, Any]], *, ascii_only: bool, spaced: bool) -> None:
    """A decoded body has the values of a plain JSON parser, and none of its members occurred twice."""
    written = ((json.dumps(name), json.dumps(value, ensure_ascii=ascii_only)) for name, value in pairs)
    raw = ("{" + (" , " if spaced else ",").join(f"{name}:{value}" for name, value in written) + "}").encode()
    names = [name for name, _ in pairs]
    try:
        body = decode_body(RequestCodeBody, raw)
    except Refused:
        return
    assert len(set(names)) == len(names)
    assert {name: getattr(body, name) for name in names} == dict(pairs)


async def test_no_phone_number_is_repeated(service: RunningService) -> None:
    """No member of the problem contains a phone number from the body."""
    for raw in (b'{"+6281210100055 - at `$.x": 1}', b'{"phone": 6281210100055}', b'{"purpose": "6281210100055"}'):
        response = await service.client.post(REQUEST_CODE, content=raw, headers=JSON_HEADERS)
        assert_problem(response, 400, "request_malformed", "errors")
        assert "81210100055" not in response.text
