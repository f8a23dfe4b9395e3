"""The parsing of single values, and the keys without effect."""

from collections.abc import Callable
from typing import Any

import pytest

from otp_service.providers.eims.config import EimsConfig
from otp_service.providers.http.config import HttpConfig
from otp_service.providers.vonage.config import VonageConfig
from otp_service.settings import Settings, unused_keys


def test_default_provider(loaded: Callable[..., Settings]) -> None:
    """A provider has a timeout of 8 seconds, prices in USD, and no caps by default."""
    box = loaded().providers["box"]
    assert (box.type, box.timeout_seconds, box.max_concurrent, box.currency) == ("inbox", 8, 16, "USD")
    assert (box.max_per_second, box.price, box.daily_message_cap, box.daily_spend_cap) == (None, {}, None, None)
    assert (box.alert_threshold, box.block_on_limit) == (0.8, True)


def test_from_is_the_attribute_sender(loaded: Callable[..., Settings]) -> None:
    """The key `from` is the attribute `sender`."""
    vonage = loaded().providers["vonage"]
    assert isinstance(vonage, VonageConfig)
    assert (vonage.sender, vonage.base_url) == ("Acme", "https://rest.nexmo.com")


def test_all_countries(loaded: Callable[..., Settings]) -> None:
    """`*` allows every country, also if the tenant has no country of its own."""
    tenant = loaded(("tenants.acme.country", None), ("tenants.acme.countries", ["*"])).tenants["acme"]
    assert (tenant.country, tenant.countries) == (None, ("*",))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("/result", [("/result", ())]),
        ("/status=0", [("/status", ("0",))]),
        ("/status == ok", [("/status", ("ok",))]),
        (["/a", "/b/0=1"], [("/a", ()), ("/b/0", ("1",))]),
        ({"/ok": True, "/code": 0, "/text": "fine"}, [("/ok", ("true",)), ("/code", ("0",)), ("/text", ("fine",))]),
        ({"/code": [0, "1"], "status": "2xx"}, [("/code", ("0", "1")), ("status", ("2xx",))]),
        ({"status": [200, 202], "text_contains": "OK"}, [("status", ("200", "202")), ("text_contains", ("OK",))]),
    ],
)
def test_accepted_when(loaded: Callable[..., Settings], written: Any, read: list[tuple[str, tuple[str, ...]]]) -> None:
    """`accepted_when` is a pointer, a pointer with a value, a list, or a table with one value or several for each."""
    own = loaded(("providers.own.accepted_when", written)).providers["own"]
    assert isinstance(own, HttpConfig)
    assert [(one.subject, one.allowed) for one in own.accepted_when or ()] == read


def test_http_method_in_any_case(loaded: Callable[..., Settings]) -> None:
    """Methods are accepted in upper and lower case."""
    providers = loaded(("providers.own.method", "put"), ("providers.jakarta.method", "POST")).providers
    own, jakarta = providers["own"], providers["jakarta"]
    assert isinstance(own, HttpConfig)
    assert isinstance(jakarta, EimsConfig)
    assert (own.method, jakarta.method) == ("PUT", "post")


def test_base_url_loses_its_trailing_slash(loaded: Callable[..., Settings]) -> None:
    """A slash at the end of a base URL is removed."""
    jakarta = loaded(("providers.jakarta.base_url", "http://host:1/api/")).providers["jakarta"]
    assert isinstance(jakarta, EimsConfig)
    assert jakarta.base_url == "http://host:1/api"


def test_unused_values() -> None:
    """A key without effect is named by its path."""
    document = {
        "tenants": {"a": {"api_keys": [{"scopes": ["read", "admin"]}], "policy": {"currency": "IDR"}}},
        "providers": {"j": {"type": "eims", "report_poll_seconds": 7}, "k": {"type": "eims", "variant": "v2"}},
    }
    assert unused_keys(document) == ["tenants.a.policy.currency"]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"providers": 5, "routes": "x"},
        {"providers": {"a": 5}, "server": []},
        {"providers": {"a": {"type": ["http"]}}},
    ],
)
def test_unused_keys_of_an_invalid_document(document: dict[str, Any]) -> None:
    """An invalid document does not cause an exception."""
    assert unused_keys(document) == []
