"""A struct that hides members in its `repr` hides them from `rich`, too, which asks `__rich_repr__` first."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import msgspec
from rich.pretty import pretty_repr

import otp_service
from otp_service.domain.phone import parse
from otp_service.domain.secret import MaskedStruct


def structs(base: type[msgspec.Struct] = msgspec.Struct) -> Iterator[type[msgspec.Struct]]:
    """Yield the structs of the service that are imported."""
    for one in base.__subclasses__():
        yield from structs(one)
        if one.__module__.startswith("otp_service"):
            yield one


def test_structs_with_a_repr_of_their_own_are_masked() -> None:
    """All modules are imported; at least those of numbers, messages, texts and gateways' responses are masked."""
    for module in pkgutil.walk_packages(otp_service.__path__, "otp_service."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    with_own = {one for one in structs() if one.__repr__ is not msgspec.Struct.__repr__}

    assert {one.__name__ for one in with_own if not issubclass(one, MaskedStruct)} == set()
    assert {"PhoneNumber", "OutboundMessage", "TextContext", "GatewayResponse", "_KeyFile"} <= {
        one.__name__ for one in with_own
    }


def test_rich_shows_no_number() -> None:
    """It prints the name of the struct only."""
    assert pretty_repr(parse("+6281210100055", "ID")) == "PhoneNumber()"
