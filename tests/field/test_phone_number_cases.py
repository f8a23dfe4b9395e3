"""Phone numbers as people and programs write them: the message goes to exactly the expected number, or is not sent.

The ids are those of a collection of public bug reports about phone number fields.
"""

from __future__ import annotations

import pytest

from tests.config_parts import api_key, tenant
from tests.running_service import E164, RunningService, ServiceFactory

INVALID = "phone_invalid"
NOT_MOBILE = "phone_not_mobile"

Case = tuple[str, str, str]
"""What is sent, the country, and the number that gets a text, or the code of the problem."""


def cases(country: str, expected: str, *texts: str) -> list[Case]:
    """Return cases with the same expected result for several inputs."""
    return [(text, country, expected) for text in texts]


CASES: dict[str, list[Case]] = {
    "A01": cases(
        "ID", E164, "\u202a+62 812-1010-0055\u202c", "\u202d0812-1010-0055\u202c", "\u2066+62812 1010 0055\u2069"
    ),
    "A02": cases("ID", E164, "\u200e081210100055", "\u200f0812-1010-0055", "\u061c+6281210100055"),
    "A05": cases(
        "ID", E164, "0812\u200b1010\u200b0055", "0812\u00ad1010\u00ad0055", "081210100055\u2060", "\u200d081210100055"
    ),
    "A06": cases("ID", E164, "\ufeff081210100055", "\ufeff+6281210100055\ufeff"),
    "A07": cases(
        "ID",
        E164,
        "081210100055\n",
        "081210100055\r\n",
        "\t081210100055",
        "\u3000081210100055\u2028",
        "0812\t1010\t0055",
    ),
    "A09": [
        *cases("ID", INVALID, "6281210100055.0", "081210100055.0", "+6281210100055.0", "81210100055.00"),
        *cases("AT", INVALID, "436641234567.0", "06641234567.0"),
        *cases("FI", INVALID, "0401234567.0"),
        *cases("IT", INVALID, "347123456.0"),
    ],
    "A11": [
        ("6502530000.0", "US", INVALID),
        ("9876543210.0", "IN", INVALID),
        ("82345678.0", "SG", INVALID),
        ("0123456789.0", "MY", INVALID),
        ("08031234567.0", "NG", INVALID),
    ],
    "A12": cases("ID", INVALID, "6.281210100055E+12", "6281210100055,0", "6,28121E+12", "6281210100055,00"),
    "A13": [
        *cases("ID", INVALID, "0811-1234-567/8", "0811-1234-567 / 8", "0811-1234-567/68", "0811-123-456/789"),
        ("0171/1234567", "DE", "+491711234567"),
        ("0664/1234567", "AT", "+436641234567"),
    ],
    "A15": cases(
        "ID",
        INVALID,
        "081210100055 (2)",
        "081210100055 - 1",
        "081210100055(2)",
        "081210100055 [2]",
        "0812-1010-0055 (1)",
    ),
    "A16": [
        *cases("TH", "+6582345678", "001 65 8234 5678", "001-65-8234-5678"),
        *cases("ID", "+6582345678", "001 65 8234 5678", "017 65 8234 5678"),
    ],
    "A17": [("001 44 7911 123456", "HK", "+447911123456"), ("001 62 812 1010 0055", "HK", E164)],
    "A20": [
        ("011 62 812 1010 0055", "US", E164),
        ("010 62 812 1010 0055", "JP", E164),
        ("8 10 62 812 1010 0055", "RU", E164),
        ("012 62 812 1010 0055", "IL", E164),
        ("019 62 812 1010 0055", "SG", E164),
        ("000 62 812 1010 0055", "KE", E164),
        *cases("ID", E164, "0062 812 1010 0055", "001 62 812 1010 0055", "008 62 812 1010 0055"),
        ("00 62 812 1010 0055", "US", INVALID),
        ("001 62 812 1010 0055", "JP", INVALID),
    ],
    "A23": [
        *cases("ID", INVALID, "0 62 812 1010 0055", "+62 62 812 1010 0055"),
        *cases("ID", INVALID, "++6281210100055", "00+6281210100055"),
    ],
    "A24": [
        ("0811 123 456", "ID", "+62811123456"),
        ("62811123456", "ID", "+62811123456"),
        ("0811 1234 567", "ID", "+628111234567"),
        ("0838 1234 5678", "ID", "+6283812345678"),
        ("0851 1234 5678", "ID", "+6285112345678"),
        ("0881 1234 56789", "ID", "+62881123456789"),
        ("0895 1234 56789", "ID", "+62895123456789"),
    ],
    "A25": cases("ID", INVALID, "08951234567890", "08591234567890"),
    "A26": cases("ID", "+628121010005", "08121010005"),
    "A28": [("97 12 34 56", "BJ", INVALID), ("01 97 12 34 56", "BJ", "+2290197123456")],
    "A29": [("07 12 34 56 78", "CI", "+2250712345678"), ("07 12 34 56", "CI", INVALID)],
    "A30": [("+52 1 55 1234 5678", "ID", INVALID), ("+52 55 1234 5678", "ID", "+525512345678")],
    "A32": [("+54 11 2345 6789", "ID", NOT_MOBILE), ("+54 9 11 2345 6789", "ID", "+5491123456789")],
    "A33": [
        *cases("BR", "+5511961234567", "0 15 11 96123-4567", "90 11 96123-4567", "(11) 96123-4567"),
        ("11 6123-4567", "BR", INVALID),
    ],
    "A34": [("07797 712345", "GB", "+447797712345"), ("07781 123456", "GB", "+447781123456")],
    "A35": [
        ("+383 43 201 234", "ID", "+38343201234"),
        ("0895 123 4567", "PH", "+638951234567"),
        ("011 2345678", "KE", "+254112345678"),
        ("0712 345678", "ET", "+251712345678"),
        ("970 1234567", "NP", "+9779701234567"),
        ("8 612 34567", "LT", "+37061234567"),
        ("030 1234567", "LA", "+856301234567"),
        ("055 1234567", "ZM", "+260551234567"),
        ("983 234 5678", "US", "+19832345678"),
        ("712 34 56 78", "ES", "+34712345678"),
    ],
    "A36": cases(
        "ID",
        E164,
        "٠٨١٢١٠١٠٠٠٥٥",
        "۰۸۱۲۱۰۱۰۰۰۵۵",
        "०८१२१०१०००५५",
        "০৮১২১০১০০০৫৫",
        "๐๘๑๒๑๐๑๐๐๐๕๕",
        "＋６２８１２１０１０００５５",
    ),
    "A37": [
        *cases("ID", NOT_MOBILE, "021 5551234", "0800 123456", "0809 1234567"),
        *cases("ID", INVALID, "112", "911", "62112"),
        ("+65 3123 4567", "ID", NOT_MOBILE),
    ],
    "A38": [
        *cases("ID", E164, "tel:+62-812-1010-0055", "TEL:081210100055", "tel:0812-1010-0055;phone-context=+62"),
        *cases("ID", E164, "\u200etel:+62-812-1010-0055 ", "tel:+62\u2011812\u20111010\u20110055"),
        *cases("ID", INVALID, "tel:+6281210100055;ext=5", "https://wa.me/6281210100055", "081210100055 ext 5"),
        *cases("ID", INVALID, "081210100055x5", "081210100055;5", "081210100055#5"),
    ],
    "A39": cases(
        "ID",
        INVALID,
        "081210100055 / 081210100056",
        "0811123456 / 0811123457",
        "081210100055\n081210100056",
        "0811123456, 789",
    ),
}


async def number_messaged(service: RunningService, text: str, country: str) -> str:
    """Request a code on an empty store; return the number that got the message, or the problem's code."""
    await service.store.flushall()
    before = len(service.inbox.messages())
    response = await service.request(text, country=country)
    if response.status_code == 202:
        return (await service.message_of(response.json()["verification_id"])).to
    assert await service.store.keys("otp:{p*") == []
    assert len(service.inbox.messages()) == before
    return str(response.json()["code"])


@pytest.mark.parametrize("rows", CASES.values(), ids=CASES.keys())
async def test_a_message_goes_to_the_right_number_or_to_none(service: RunningService, rows: list[Case]) -> None:
    """The number that the person means gets the message; an ambiguous input is rejected."""
    got = [(text, country, await number_messaged(service, text, country)) for text, country, _ in rows]
    assert got == rows


@pytest.mark.parametrize(
    "text",
    [
        "081210100055",
        "81210100055",
        "6281210100055",
        "006281210100055",
        "001 62 812 1010 0055",
        "62081210100055",
        "+62 (0) 812-1010-0055",
        "+62 0812 1010 0055",
        "\u202a+62 812-1010-0055\u202c\r\n",
        "0812\u30001010\uff0d0055",
    ],
)
async def test_all_formats_are_one_recipient(service: RunningService, text: str) -> None:
    """A21: after a code, the cooldown applies to every other format of the number."""
    assert (await service.request("+62 812 1010 0055")).status_code == 202
    assert (await service.request(text)).json()["code"] == "resend_too_soon"


async def test_channel_islands_numbers(make_service: ServiceFactory) -> None:
    """A34: a Jersey number belongs to Jersey also with country GB, and a tenant that allows only GB rejects it."""
    service = await make_service({"tenants": {"acme": tenant(api_key("acme", "request")) | {"country": "GB"}}})
    for phone, code in [("07797 712345", "country_not_allowed"), ("07400 123456", "")]:
        response = await service.caller("acme").post("/v1/request-code", json={"phone": phone, "purpose": "login"})
        assert response.json().get("code", "") == code
