"""File descriptors are divided so that the store and the gateways always have theirs."""

from __future__ import annotations

import resource

import pytest

from otp_service.server.descriptors import OWN_DESCRIPTORS, divide, raise_limit


@pytest.mark.parametrize("limit", [64, 128, 256, 1024, 4096, 20_000, 1_000_000])
@pytest.mark.parametrize("calls", [0, 16, 64, 1000])
@pytest.mark.parametrize("wanted", [8, 4096, 65_536])
def test_the_shares_are_within_the_limit(limit: int, calls: int, wanted: int) -> None:
    """Connections, backlog and reserve are within the limit, with at least some and at most the wanted connections."""
    found = divide(limit, wanted, calls)
    assert found.connections + found.backlog <= max(limit - OWN_DESCRIPTORS - 2 * calls, limit // 3, 16)
    assert 8 <= found.connections <= wanted
    assert found.backlog >= 8
    assert found.is_short is (found.connections < wanted)


def test_a_sufficient_limit_allows_all_connections() -> None:
    """With the requested limit there are as many connections as wanted."""
    assert divide(OWN_DESCRIPTORS + 2 * 16 + 4096 + 1024, 4096, 16).connections == 4096


def test_the_soft_limit_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """The soft limit is raised as far as needed, at most to the hard limit, and never lowered."""
    limits = [(256, 300), (256, 100_000), (50_000, 100_000), (256, resource.RLIM_INFINITY)]
    raised: list[int] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: raised.append(pair[0]))
    found = []
    for pair in limits:
        monkeypatch.setattr(resource, "getrlimit", lambda _, pair=pair: pair)
        found.append(raise_limit(1000, 10))
    enough = OWN_DESCRIPTORS + 20 + 1000 + 1024
    assert found == [300, enough, 50_000, enough]
    assert raised == [300, enough, enough]
