"""The message templates: how they are compiled and rendered."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otp_service.domain.sms_segments import count_segments
from otp_service.domain.templates import TemplateInvalid, compile_template, validity_minutes


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{code}", "0042"),
        ("{brand}: {code} ({minutes})", "Acme: 0042 (5)"),
        ("{code}\n@acme.example #{code}", "0042\n@acme.example #0042"),
        ("%s $code {code} \\{brand}", "%s $code 0042 \\Acme"),
    ],
)
def test_a_template_renders(source: str, text: str) -> None:
    """Each occurrence of a placeholder is replaced; everything else is literal."""
    assert compile_template(source).render("Acme", "0042", 5) == text


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("", "{code} is missing"),
        ("Your code", "{code} is missing"),
        ("{brand} {minutes}", "{code} is missing"),
        ("{code} {name}", "unknown placeholder {name}"),
        ("{code} {}", "unknown placeholder {}"),
        ("{code} {0}", "unknown placeholder"),
        ("{ code }", "unknown placeholder"),
        ("{Code}", "unknown placeholder"),
        ("{code:>9}", "unknown placeholder"),
        ("{code!r}", "unknown placeholder"),
        ("{code} {brand.__class__}", "unknown placeholder"),
        ("{code} {brand[0]}", "unknown placeholder"),
        ("{code} {", "brace"),
        ("{code} }", "brace"),
        ("{{code}}", "brace"),
        ("{code} {bra{nd}", "unknown placeholder"),
        ("{code", "brace"),
    ],
)
def test_an_invalid_template_is_refused(source: str, error: str) -> None:
    """Unknown names, attributes, format specifications, single braces and a missing code are refused."""
    with pytest.raises(TemplateInvalid, match=error.replace("{", r"\{").replace("}", r"\}")):
        compile_template(source)


def test_a_value_is_not_parsed_as_a_template() -> None:
    """A brand that looks like a placeholder is sent literally."""
    rendered = compile_template("{brand} {code}").render("{code}{brand.__class__}{", "0042", 5)
    assert rendered == "{code}{brand.__class__}{ 0042"


@pytest.mark.parametrize(
    ("source", "brand", "text"),
    [
        ("{brand} re\u0301initialise\u0301 {code}", "Cafe\u0301", "Café réinitialisé 1"),
        ("{brand}\u0301 {code}", "Cafe", "Café 1"),
        ("{brand} {code}", "\u212bngstr\u00f6m \u2126", "Ångström Ω 1"),
    ],
)
def test_a_text_is_normalized(source: str, brand: str, text: str) -> None:
    """A letter and its accent become one character, which GSM-7 has, also where a brand meets the text around it."""
    rendered = compile_template(source).render(brand, "1", 5)
    assert rendered == text
    assert count_segments(rendered + "x" * (160 - len(text))) == 1


@settings(deadline=None)
@given(st.text(alphabet="{}codebrandminutes .!:", max_size=30))
def test_any_source_compiles_or_is_refused(source: str) -> None:
    """Compiling raises nothing but TemplateInvalid, and a rendered message contains no brace."""
    try:
        text = compile_template(source).render("B", "1234", 5)
    except TemplateInvalid:
        return
    assert "1234" in text
    assert "{" not in text and "}" not in text


@pytest.mark.parametrize(("seconds", "minutes"), [(0, 1), (10, 1), (60, 1), (61, 2), (90, 2), (300, 5), (600, 10)])
def test_validity_minutes(seconds: int, minutes: int) -> None:
    """Minutes are rounded up, to at least one."""
    assert validity_minutes(seconds) == minutes
