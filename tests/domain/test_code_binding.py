"""What a code is bound to: the hashed parts are unambiguous, and nothing is shown."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.crypto.keyring import Keyring, length_prefixed
from otp_service.domain.code_binding import PAYEE_PATTERN, UNBOUND, CodeBinding, Transaction

WORDS = st.sampled_from(["", "transaction", "binding", "1", "12", "IDR", "A", "\x00\x00\x00\x01", "\x00"])
"""Texts of which ambiguous encodings would be confused, also ones that no request can contain."""

TEXTS = st.one_of(WORDS, st.text(max_size=6))
BINDINGS = st.builds(
    CodeBinding, transaction=st.none() | st.builds(Transaction, amount=TEXTS, currency=TEXTS, payee=TEXTS), text=TEXTS
)
CODES = st.one_of(st.from_regex(r"\A[0-9]{4,10}\Z"), TEXTS)
SELECTORS, SPACES = "\ufe0f\U000e0100", "\u3000\u00a0"
TAGS = ("\U000e0041", "\U0001d173", "\U0001bca0", "\U000e0001", "\U000e0100")
CONTEXT = ("demo", "A" * 23, "recipient", "login")


@given(code=CODES, bound=BINDINGS, other_code=CODES, other=BINDINGS)
def test_no_two_bindings_have_the_same_hash_input(
    code: str, bound: CodeBinding, other_code: str, other: CodeBinding
) -> None:
    """Two different pairs of a code and a binding never give the same bytes to the HMAC, whatever their texts are."""
    inputs = [length_prefixed(*CONTEXT, one, *of.hashed_parts) for one, of in ((code, bound), (other_code, other))]
    assert (inputs[0] == inputs[1]) is ((code, bound) == (other_code, other))


@given(code=CODES, bound=BINDINGS)
def test_parts_cannot_be_moved(code: str, bound: CodeBinding) -> None:
    """A part that moves from one value to its neighbour changes the input, also across the code."""
    if bound.transaction is None or not bound.transaction.amount:
        return
    paid = bound.transaction
    moved = CodeBinding(Transaction(paid.amount[1:], paid.amount[0] + paid.currency, paid.payee), bound.text)
    longer = code + paid.amount[0]
    inputs = {
        length_prefixed(*CONTEXT, code, *bound.hashed_parts),
        length_prefixed(*CONTEXT, code, *moved.hashed_parts),
        length_prefixed(*CONTEXT, longer, *moved.hashed_parts),
    }
    assert len(inputs) == 3


def test_a_code_without_binding_is_hashed_as_before() -> None:
    """Nothing is added to what is hashed for a code that is bound to nothing: hashes in the store stay valid."""
    assert UNBOUND.hashed_parts == ()
    keyring = Keyring({"k": bytes(32)}, current="k", index="k")
    peppered = keyring.pepper_code("k", "demo", "Aid", "recipient", "login", "012345", *UNBOUND.hashed_parts)
    assert peppered is not None
    assert peppered.hex() == "75815d672a4d728d49e17dbd7c0810e6066907ae1f777665d115569e04b232dd"


def test_nothing_is_shown() -> None:
    """Neither `repr` contains an amount, a payee or the text."""
    bound = CodeBinding(Transaction("12500.00", "IDR", "Toko Budi"), "device-17")
    for shown in (repr(bound), str(bound), f"{bound.transaction}"):
        assert not re.search("12500|IDR|Budi|device", shown)


@given(st.text(max_size=70))
def test_a_payee_has_no_invisible_end_or_line(payee: str) -> None:
    """A payee that is accepted has no control character, no end of a line and no direction mark."""
    if re.search(PAYEE_PATTERN, payee):
        assert payee == payee.strip(" ")
        assert len(payee.splitlines()) == 1
        assert not [char for char in payee if unicodedata.category(char) in ("Cc", "Zl", "Zp")]
        assert not set(payee) & set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c")


@pytest.mark.parametrize("hidden", [*"\u00ad\u034f\u115f\u180e\u2800\u3164\ufe0f\uffa0\u3000\u00a0", *TAGS])
def test_a_payee_is_seen(hidden: str) -> None:
    """A payee is not blank, and has no hidden text; a variation selector may follow a character, a space stand inside.

    The payees are the character alone, and the character before, behind and in a name.
    """
    payees = [hidden, f"{hidden}Toko", f"Toko{hidden}", f"To{hidden}ko"]
    fits = [bool(re.search(PAYEE_PATTERN, one)) and Transaction.of("1", "EUR", one).has_plain_payee for one in payees]
    behind, inside = hidden in SELECTORS, hidden in SELECTORS + SPACES
    assert fits == [False, False, behind, inside]


def test_a_payee_is_short_in_its_normal_form() -> None:
    """Characters of which normal form C makes three do not make a payee, and so a message and a proof, longer."""
    for character, most in (("\U0001d160", 23), ("a\u0301", 70), ("\u4e2d", 70)):
        fits = [Transaction.of("1", "EUR", character * count).has_plain_payee for count in (most, most + 1)]
        assert fits == [True, False]


def test_two_encodings_of_a_name_are_one_payee() -> None:
    """A payee with combined or separate accents is the same one."""
    assert Transaction.of("1", "EUR", "Caf\u00e9") == Transaction.of("1", "EUR", "Cafe\u0301")
