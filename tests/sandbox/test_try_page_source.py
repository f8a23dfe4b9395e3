"""The source of the try-it page: nothing is loaded from other hosts, no data becomes HTML, every field has a label."""

import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

PAGE = files("otp_service.sandbox").joinpath("page.html").read_text(encoding="utf-8")
FIELDS = ("input", "select", "textarea")
VOID = {"meta", "link", "input", "br", "hr", "img"}


class Elements(HTMLParser):
    """The elements of the page in order, with their attributes, and those that are never closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an element."""
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element, which must be this one."""
        assert self.open.pop() == tag


ELEMENTS = Elements(PAGE)
IDS = [attributes["id"] for _, attributes in ELEMENTS.found if "id" in attributes]


def test_every_url_is_local() -> None:
    """Every URL in `src`, `href`, `action`, `fetch` and `call` is a path of this service."""
    named = ("src", "href", "action", "formaction", "poster", "srcset")
    addresses = [value for _, attributes in ELEMENTS.found for name, value in attributes.items() if name in named]
    fetched = re.findall(r"""\b(?:fetch\(|call\([^,()]+,)\s*["'`]([^"'`]*)""", PAGE)
    assert set(fetched) == {"/dev/messages", "/v1/request-code", "/v1/verify-code", "/v1/verifications/"}
    assert [one for one in addresses + fetched if one != "data:," and not re.match(r"/(?![/\\])", one)] == []


@pytest.mark.parametrize(
    "sign",
    [r"\w://", r"""["'`(]//""", "@import", r"\burl\(", r"\bimport\b", "XMLHttpRequest", "WebSocket", "EventSource"],
)
def test_nothing_is_loaded_from_other_hosts(sign: str) -> None:
    """The page has no absolute URL, and nothing else that loads a resource."""
    assert re.search(sign, PAGE) is None


def test_the_content_security_policy_is_strict() -> None:
    """The policy allows connections to this service only."""
    policies = [a["content"] for _, a in ELEMENTS.found if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert "connect-src 'self'" in policies[0]


@pytest.mark.parametrize(
    "sign",
    ["innerHTML", "outerHTML", "insertAdjacentHTML", "setHTML", "document.write", "DOMParser", "srcdoc", "eval("],
)
def test_data_never_becomes_html(sign: str) -> None:
    """The script uses nothing that turns a string into elements or code."""
    assert sign.lower() not in PAGE.lower()


def test_no_attribute_has_a_handler() -> None:
    """No element has an `on...` attribute."""
    assert [name for _, attributes in ELEMENTS.found for name in attributes if name.startswith("on")] == []


def test_every_field_has_a_label() -> None:
    """Each input and select has exactly one label."""
    labels = sorted(attributes["for"] for tag, attributes in ELEMENTS.found if tag == "label")
    fields = sorted(attributes["id"] for tag, attributes in ELEMENTS.found if tag in FIELDS)
    assert fields == labels
    assert {"phone", "purpose", "channel", "country", "locale", "decoy", "code"} <= set(fields)


def test_phones_can_fill_in_the_code() -> None:
    """The field for the code has autocomplete `one-time-code` and a numeric keypad."""
    (code,) = [attributes for tag, attributes in ELEMENTS.found if tag == "input" and attributes["id"] == "code"]
    assert (code["autocomplete"], code["inputmode"]) == ("one-time-code", "numeric")
    assert "pattern" not in code


def test_results_are_announced() -> None:
    """The results of both steps and new messages are in live regions."""
    live = {attributes["id"] for _, attributes in ELEMENTS.found if attributes.get("role") == "status"}
    assert live == {"request-note", "verify-note", "inbox-note"}


def test_the_script_and_the_elements_agree() -> None:
    """Ids are unique, and every id in the script or in an attribute exists."""
    referring = ("for", "aria-labelledby", "aria-describedby")
    referred = {value for _, attributes in ELEMENTS.found for name, value in attributes.items() if name in referring}
    assert len(IDS) == len(set(IDS))
    assert referred | set(re.findall(r"""\b(?:at|show|note|problem)\("([^"]+)\"""", PAGE)) <= set(IDS)


def test_the_page_is_complete_and_short() -> None:
    """Elements are closed in order, there is a light and a dark scheme, and the source stays short."""
    assert ELEMENTS.open == []
    assert "(prefers-color-scheme: dark)" in PAGE
    assert PAGE.isascii() or 'charset="utf-8"' in PAGE
    assert len(PAGE.splitlines()) < 400
