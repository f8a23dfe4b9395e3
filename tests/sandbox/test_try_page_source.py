"""What the try-it page keeps to, by its source: nothing from elsewhere, no data as HTML, labels for every field."""

import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

PAGE = files("otp_service.sandbox").joinpath("page.html").read_text(encoding="utf-8")
FIELDS = ("input", "select", "textarea")
VOID = {"meta", "link", "input", "br", "hr", "img"}


class Elements(HTMLParser):
    """Every element of the page in order, as its name and attributes, and the elements that are never closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element, which must be this one."""
        assert self.open.pop() == tag


ELEMENTS = Elements(PAGE)
IDS = [attributes["id"] for _, attributes in ELEMENTS.found if "id" in attributes]


def test_every_address_is_local() -> None:
    """What `src`, `href`, `action`, `fetch` and `call` name is a path of this service, or nothing at all."""
    named = ("src", "href", "action", "formaction", "poster", "srcset")
    addresses = [value for _, attributes in ELEMENTS.found for name, value in attributes.items() if name in named]
    fetched = re.findall(r"""\b(?:fetch\(|call\([^,()]+,)\s*["'`]([^"'`]*)""", PAGE)
    assert set(fetched) == {"/dev/messages", "/v1/request-code", "/v1/verify-code", "/v1/verifications/"}
    assert [one for one in addresses + fetched if one != "data:," and not re.match(r"/(?![/\\])", one)] == []


@pytest.mark.parametrize(
    "sign",
    [r"\w://", r"""["'`(]//""", "@import", r"\burl\(", r"\bimport\b", "XMLHttpRequest", "WebSocket", "EventSource"],
)
def test_nothing_is_loaded_from_elsewhere(sign: str) -> None:
    """No absolute address stands anywhere in the page, and no other way to load something."""
    assert re.search(sign, PAGE) is None


def test_the_browser_is_told_the_same() -> None:
    """The page's own policy allows connections to this service only."""
    policies = [a["content"] for _, a in ELEMENTS.found if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert "connect-src 'self'" in policies[0]


@pytest.mark.parametrize(
    "sign",
    ["innerHTML", "outerHTML", "insertAdjacentHTML", "setHTML", "document.write", "DOMParser", "srcdoc", "eval("],
)
def test_data_never_becomes_html(sign: str) -> None:
    """Nothing in the page can turn a text into elements or code."""
    assert sign.lower() not in PAGE.lower()


def test_no_handler_stands_in_an_attribute() -> None:
    """No element has an `on...` attribute."""
    assert [name for _, attributes in ELEMENTS.found for name in attributes if name.startswith("on")] == []


def test_every_field_has_a_label() -> None:
    """Each input and select has exactly one label of its own."""
    labels = sorted(attributes["for"] for tag, attributes in ELEMENTS.found if tag == "label")
    fields = sorted(attributes["id"] for tag, attributes in ELEMENTS.found if tag in FIELDS)
    assert fields == labels
    assert {"phone", "purpose", "country", "locale", "decoy", "code"} <= set(fields)


def test_the_code_can_be_filled_in_by_the_phone() -> None:
    """The code's field is a one-time code with a keypad of digits."""
    (code,) = [attributes for tag, attributes in ELEMENTS.found if tag == "input" and attributes["id"] == "code"]
    assert (code["autocomplete"], code["inputmode"]) == ("one-time-code", "numeric")
    assert "pattern" not in code


def test_the_results_are_announced() -> None:
    """The outcome of both steps and a new message are live regions."""
    live = {attributes["id"] for _, attributes in ELEMENTS.found if attributes.get("role") == "status"}
    assert live == {"request-note", "verify-note", "inbox-note"}


def test_the_script_and_the_elements_agree() -> None:
    """Ids are unique, and every id that the script or an attribute refers to exists."""
    referring = ("for", "aria-labelledby", "aria-describedby")
    referred = {value for _, attributes in ELEMENTS.found for name, value in attributes.items() if name in referring}
    assert len(IDS) == len(set(IDS))
    assert referred | set(re.findall(r"""\b(?:at|show|note|problem)\("([^"]+)\"""", PAGE)) <= set(IDS)


def test_the_page_is_whole_and_short() -> None:
    """Every element is closed in its order, light and dark are there, and the source stays readable at one sitting."""
    assert ELEMENTS.open == []
    assert "(prefers-color-scheme: dark)" in PAGE
    assert PAGE.isascii() or 'charset="utf-8"' in PAGE
    assert len(PAGE.splitlines()) < 400
