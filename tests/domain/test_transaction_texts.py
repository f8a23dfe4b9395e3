"""The built-in texts that name a transaction, and which template a request with a transaction gets."""

from __future__ import annotations

import pytest

from otp_service.domain.built_in_templates import BUILT_IN
from otp_service.domain.code_binding import Transaction
from otp_service.domain.limits import SendPolicy
from otp_service.domain.locale_matching import choose_template, match_locale
from otp_service.domain.sms_segments import Encoding, measure
from otp_service.domain.templates import TemplateInvalid, compile_template
from otp_service.domain.tenant import Tenant, TextContext
from otp_service.domain.transaction_texts import TRANSACTION_TEXTS
from tests.domain.test_built_in_templates import BRAND, GSM7_LOCALES, LONGEST_CODE, WARNINGS

PAID = Transaction("1234567890.5", "IDR", "Toko Budi Jaya Abadi")
OWN = {
    "fr": {"payment": compile_template("{code} {amount} {currency} {payee}"), "login": compile_template("L {code}")},
    "ms": {"transaction": compile_template("{payee} {currency} {amount}: {code}")},
}


@pytest.mark.parametrize("locale", sorted(TRANSACTION_TEXTS))
def test_what_a_text_says(locale: str) -> None:
    """The brand comes first, then the code, then the amount, its currency and the payee, each once, and the warning."""
    text = TRANSACTION_TEXTS[locale].render("Acme", "987654", 5, "", PAID)
    assert text.lstrip("[【").startswith("Acme")
    named = ["987654", PAID.amount, PAID.currency, PAID.payee]
    assert [text.count(one) for one in named] == [1, 1, 1, 1]
    assert text.index("987654") < min(text.index(one) for one in named[1:])
    assert WARNINGS[locale].split()[0] in text


@pytest.mark.parametrize("locale", sorted(TRANSACTION_TEXTS))
def test_length(locale: str) -> None:
    """GSM-7 texts are one segment with a payee of 20 characters and an amount of 12, the others at most two."""
    assert (len(BRAND), len(PAID.amount), len(PAID.payee)) == (20, 12, 20)
    size = measure(TRANSACTION_TEXTS[locale].render(BRAND, LONGEST_CODE, 10, "", PAID))
    assert (size.encoding is Encoding.GSM7) is (locale in GSM7_LOCALES)
    assert size.segments == (1 if locale in GSM7_LOCALES else 2)


@pytest.mark.parametrize(
    ("locale", "purpose", "text"),
    [
        ("fr", "payment", "1234 1234567890.5 IDR Toko Budi Jaya Abadi"),
        ("ms", "payment", "Toko Budi Jaya Abadi IDR 1234567890.5: 1234"),
        ("en-GB", "payment", "B: 1234 is your code to pay 1234567890.5 IDR to Toko Budi Jaya Abadi. Valid for 5 min."),
        ("th", "payment", "B: 1234 kode Anda untuk membayar 1234567890.5 IDR ke Toko Budi Jaya Abadi."),
        ("fr", "login", "B : 1234 est votre code"),  # not its own template, which names no transaction
    ],
)
def test_template_of_a_transaction(locale: str, purpose: str, text: str) -> None:
    """The tenant's template of the purpose goes first, then its `transaction`, then the built-in one; then others."""
    template = choose_template(OWN, locale, "ID", purpose, for_transaction=True)
    assert template.render("B", "1234", 5, "", PAID).startswith(text)


def test_requests_without_a_transaction_get_the_same_templates_as_before() -> None:
    """The texts for transactions are not used for other requests, whatever the locale."""
    for locale, texts in BUILT_IN.items():
        assert choose_template({}, locale, "ID", "payment") is texts["default"]
        assert choose_template({}, locale, "ID", "transaction") is texts["default"]
    assert match_locale(OWN, "th", "payment") == "th"
    assert match_locale(OWN, "th", "payment", for_transaction=True) == ""


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("{code} {amount}", "{currency} is missing"),
        ("{code} {amount} {currency}", "{payee} is missing"),
        ("{code} {payee}", "{amount} is missing"),
        ("{amount} {currency} {payee}", "{code} is missing"),
    ],
)
def test_a_part_of_a_transaction_is_no_template(source: str, missing: str) -> None:
    """A text names all of a transaction or nothing of it."""
    with pytest.raises(TemplateInvalid) as invalid:
        compile_template(source)
    assert str(invalid.value).startswith(missing)


def test_values_are_not_parsed_again() -> None:
    """A payee that is spelled like a placeholder is named literally."""
    paid = Transaction("1", "IDR", "{code}{brand}")
    assert (
        compile_template("{code}/{amount}/{currency}/{payee}").render("B", "12", 5, "", paid)
        == "12/1/IDR/{code}{brand}"
    )


def test_a_tenant_finds_the_template_of_each_message() -> None:
    """What was found for one message is not used for another country, locale, purpose or kind of request."""
    policy = SendPolicy(cooldown_seconds=30, max_sends=5, ttl_seconds=300, recipient=(), recipient_failures=())
    tenant = Tenant("acme", "B", "ID", frozenset({"ID", "SG"}), frozenset(), policy, 4, 5, OWN)
    contexts = [
        TextContext(country, locale, purpose, transaction=transaction)
        for country in ("ID", "SG")
        for locale in ("", "fr", "ms")
        for purpose in ("login", "payment")
        for transaction in (None, PAID)
    ]
    for context in [*contexts, *reversed(contexts)]:
        transaction = context.transaction
        template = choose_template(
            OWN, context.locale, context.country, context.purpose, for_transaction=transaction is not None
        )
        expected = template.render("B", "1234", 5, "", transaction)
        assert tenant.template_text(context, code="1234", minutes=5) == expected
