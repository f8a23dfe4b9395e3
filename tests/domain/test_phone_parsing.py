"""All spellings of a phone number give one recipient, and anything else is refused: examples."""

import re

import pytest

from otp_service.domain.phone import MAX_INPUT_CHARS, SUPPORTED_COUNTRIES, PhoneInvalid, parse

ONE = "+6281210100055"

SPELLINGS = [
    "081210100055",
    "81210100055",
    "6281210100055",
    "+6281210100055",
    "006281210100055",
    "6208121010 0055",
    "+62081210100055",
    "+62 (0) 812-1010-0055",
    "(0812) 1010.0055",
    "(+62) 812 1010 0055",
    "[62] 812/1010/0055",
    "00 62 812 1010 0055",
    "(00)62-812-1010-0055",
    "0-0-6-2-8-1-2-1-0-1-0-0-0-5-5",
    "  0812 1010 0055  ",
    "0812\u00a01010\u20090055",
    "0812\u20131010\u22120055",
    "\uff0b\uff16\uff12 \uff18\uff11\uff12\uff0d\uff11\uff10\uff11\uff10\uff0d\uff10\uff10\uff15\uff15",
    "٠٨١٢١٠١٠٠٠٥٥",
    "+٦٢٨١٢١٠١٠٠٠٥٥",
    "۰۸۱۲۱۰۱۰۰۰۵۵",
    "०८१२१०१०००५५",
    "0812١٠١٠0055",
    "tel:+62-812-1010-0055",
    "TEL:081210100055",
    "tel:0812-1010-0055;phone-context=+62",
    "tel:812-1010-0055;Phone-Context=+62",
]

NOT_A_NUMBER = [
    "",
    " ",
    "+",
    "00",
    "()",
    "tel:",
    "0812-CALL-NOW",
    "1800MICROSOFT",
    "0812 1010 O055",
    "081210100055 ext 5",
    "081210100055x5",
    "081210100055#5",
    "081210100055,5",
    "tel:+6281210100055;ext=5",
    "tel:+6281210100055;isub=5",
    "tel:+6281210100055;phone-context=+62",
    "tel:081210100055;phone-context=example.com",
    "tel:081210100055;phone-context=+",
    "tel:081210100055;phone-context=+62;ext=5",
    "081210100055;phone-context=+62",
    "tel:tel:081210100055",
    "tel:%2B6281210100055",
    "sip:+6281210100055@example.com",
    "++6281210100055",
    "+006281210100055",
    "+0062081210100055",
    "+081210100055",
    "62+81210100055",
    "081210100055+",
    "000812101000555",
    "081210100055\x00",
    "\x000812\x0010100055",
    "0812²10100055",
    "081210100055\ud800",
    "Ⅻ081210100055",
    "081210100055, 081210100056",
    "081210100055/081210100056",
    "call 081210100055 now",
    "{phone}",
    "-81210100055e0",
    "1" * 17,
    "+" + "1" * 17,
]

TYPES = [
    ("081210100055", "ID", "ID", "mobile", True),
    ("0215551234", "ID", "ID", "fixed_line", False),
    ("08091234567", "ID", "ID", "premium_rate", False),
    ("08041234567", "ID", "ID", "shared_cost", False),
    ("0800123456", "ID", "ID", "toll_free", False),
    ("+16502530000", "ID", "US", "fixed_line_or_mobile", True),
    ("+19002345678", "ID", "US", "premium_rate", False),
    ("+6531234567", "ID", "SG", "voip", False),
    ("+447012345678", "ID", "GB", "personal_number", False),
    ("+447640123456", "ID", "GB", "pager", False),
    ("+445512345678", "ID", "GB", "uan", False),
    ("+41860123456789", "ID", "CH", "voicemail", False),
    ("+870773111632", "ID", "001", "mobile", True),
    ("+88213300655", "ID", "001", "voip", False),
    ("+979123456789", "ID", "001", "premium_rate", False),
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_every_spelling_is_one_recipient(text: str) -> None:
    """Every spelling gives the same E.164 and an equal value."""
    assert parse(text, "ID") == parse(ONE, "ID")
    assert parse(text, "ID").e164 == ONE


def test_attributes_of_a_number() -> None:
    """A number has a country, national forms, a type, a mask and a block."""
    number = parse("0812-1010-0055", "ID")
    assert (number.e164, number.country, number.type, number.mobile) == (ONE, "ID", "mobile", True)
    assert (number.national, number.national_digits) == ("0812-1010-0055", "81210100055")
    assert (number.masked, number.block) == ("+62812*****055", "+628121010")


@pytest.mark.parametrize(
    "text",
    [
        "08123456789",
        "628123456789",
        "+628123456789",
        "8123456789",
        "6208123456789",
        "+6208123456789",
        "+62 (0) 812 3456 789",
        "٠٨١٢٣٤٥٦٧٨٩",
        "tel:+62-812-345-6789",
        "00628123456789",
    ],
)
def test_vectors_that_are_mobile_numbers(text: str) -> None:
    """All of them are +628123456789."""
    number = parse(text, "ID")
    assert (number.e164, number.mobile) == ("+628123456789", True)


@pytest.mark.parametrize(
    "text",
    [
        "62628123456789",
        "0628123456789",
        "+62628123456789",
        "08123456",
        "+6281234567890123",
        "08123456789 ext 5",
    ],
)
def test_vectors_that_are_invalid(text: str) -> None:
    """Doubled country codes, wrong lengths and extensions are refused."""
    with pytest.raises(PhoneInvalid):
        parse(text, "ID")


@pytest.mark.parametrize("digits", range(6, 18))
def test_indonesian_mobile_lengths(digits: int) -> None:
    """9 to 12 digits after the 0 are valid; other lengths are refused."""
    text = "0812345678901234567"[: digits + 1]
    if 9 <= digits <= 12:
        assert parse(text, "ID").national_digits == text[1:]
    else:
        with pytest.raises(PhoneInvalid):
            parse(text, "ID")


@pytest.mark.parametrize(("text", "country", "own_country", "type_name", "mobile"), TYPES)
def test_types(text: str, country: str, own_country: str, type_name: str, mobile: bool) -> None:
    """Each type has a name, and only `mobile` and `fixed_line_or_mobile` count as mobile."""
    number = parse(text, country)
    assert (number.country, number.type, number.mobile) == (own_country, type_name, mobile)


@pytest.mark.parametrize(
    ("text", "e164", "national_digits"),
    [
        ("+225 07 12 34 56 78", "+2250712345678", "0712345678"),
        ("+241 06 03 12 34", "+24106031234", "06031234"),
        ("+242 06 123 4567", "+242061234567", "061234567"),
        ("+39 06 698 82412", "+390669882412", "0669882412"),
        ("+60 012 345 6789", "+60123456789", "123456789"),
        ("+65 8123 4567", "+6581234567", "81234567"),
    ],
)
def test_leading_zeros(text: str, e164: str, national_digits: str) -> None:
    """A 0 is kept where it is part of the number, and removed where it is a trunk prefix."""
    number = parse(text, "ID")
    assert (number.e164, number.national_digits) == (e164, national_digits)


def test_leading_zero_after_65_is_invalid() -> None:
    """Singapore has no trunk prefix, so +65 012.. is refused."""
    with pytest.raises(PhoneInvalid):
        parse("+65 012 345 6789", "ID")


@pytest.mark.parametrize("text", NOT_A_NUMBER)
def test_anything_else_is_refused(text: str) -> None:
    """Letters, extensions, control characters or a plus inside give PhoneInvalid."""
    with pytest.raises(PhoneInvalid):
        parse(text, "ID")


def test_without_a_country_only_international_numbers_are_read() -> None:
    """A tenant can have no default country; then a number must contain its country code."""
    for text in ("+62 812-1010-0055", "0062 812 1010 0055", "tel:+62-812-1010-0055"):
        assert parse(text, "").e164 == ONE
    for text in ("0812-1010-0055", "6281210100055"):
        with pytest.raises(PhoneInvalid):
            parse(text, "")


@pytest.mark.parametrize("country", ["id", "XX", "001", "ZZ", "IDN", "ID\n", "62"])
@pytest.mark.parametrize("text", [ONE, "081210100055"])
def test_an_unknown_country_is_refused(country: str, text: str) -> None:
    """An unknown country is an error even if the number contains its country code."""
    with pytest.raises(PhoneInvalid):
        parse(text, country)


def test_a_long_text_is_refused_unread() -> None:
    """64 characters are parsed, 65 are not, even if the last ones are spaces."""
    assert parse(ONE.ljust(MAX_INPUT_CHARS), "ID").e164 == ONE
    for text in (ONE.ljust(MAX_INPUT_CHARS + 1), "1" * 1_000_000):
        with pytest.raises(PhoneInvalid):
            parse(text, "ID")


@pytest.mark.parametrize("country", ["SG", "US", "MY", "IT"])
def test_a_foreign_country_code_without_a_plus_is_refused(country: str) -> None:
    """62.. is read by the plan of the given country only, not as Indonesian."""
    with pytest.raises(PhoneInvalid):
        parse("6281210100055", country)


def test_a_foreign_country_code_that_is_valid_in_the_plan() -> None:
    """In Germany the same digits are a fixed line of the area 6281."""
    number = parse("6281210100055", "DE")
    assert (number.e164, number.mobile) == ("+496281210100055", False)


@pytest.mark.parametrize("text", [ONE, "(+62) 0812 1010 0055"])
def test_a_plus_makes_the_country_irrelevant(text: str) -> None:
    """With a plus, every default country gives the same number."""
    assert {parse(text, country).e164 for country in SUPPORTED_COUNTRIES} == {ONE}


def test_an_unassigned_country_code_does_not_fall_back() -> None:
    """+990.. is not read as 990, an international prefix of Finland."""
    with pytest.raises(PhoneInvalid):
        parse("+9906281210100055", "FI")


@pytest.mark.parametrize("text", ["0812-CALL-555", "+6281234567890123", "1" * 65, "08123456789 ext 5", "+99912345678"])
def test_an_error_contains_no_digits(text: str) -> None:
    """Neither the message nor a chained error can put the number into a log."""
    with pytest.raises(PhoneInvalid) as caught:
        parse(text, "ID")
    assert not re.search(r"\d", str(caught.value))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (ONE, "+62812*****055"),
        ("+6281234567890", "+62812*****890"),
        ("+62812345678901", "+62812******901"),
        ("+628123456789", "+6281*****789"),
        ("+62812345678", "+6281****678"),
        ("+6581234567", "+6581****67"),
        ("+6834002", "+683****"),
        ("+29022158", "+290****8"),
    ],
)
def test_masks(text: str, masked: str) -> None:
    """A shorter number shows fewer digits."""
    assert parse(text, "ID").masked == masked


def test_repr_hides_the_number() -> None:
    """In a log line, a traceback or a container only the masked number is visible."""
    number = parse(ONE, "ID")
    assert repr(number) == str(number) == f"{number}" == "PhoneNumber(+62812*****055)"
    assert "1010" not in repr([{"to": number}])
