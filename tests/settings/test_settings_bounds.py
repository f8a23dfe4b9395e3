"""The lowest and highest value of each bounded key, and the first value beyond it."""

from collections.abc import Callable

import pytest

from otp_service.settings import ConfigError

FindErrors = Callable[..., tuple[ConfigError, ...]]

POLICY = "tenants.acme.policy"


@pytest.mark.parametrize(
    ("path", "lowest", "highest"),
    [
        ("server.port", 0, 65535),
        ("server.workers", 1, 64),
        ("server.max_connections", 8, 65_536),
        ("hashing.time_cost", 3, 10),
        ("hashing.memory_kib", 12288, 1_048_576),
        ("hashing.parallelism", 1, 16),
        ("hashing.threads", 0, 64),
        ("hashing.max_waiting", 1, 10_000),
        (f"{POLICY}.code_length", 6, 10),
        (f"{POLICY}.ttl_seconds", 10, 600),
        (f"{POLICY}.max_attempts", 1, 5),
        (f"{POLICY}.resend_cooldown_seconds", 1, 3600),
        (f"{POLICY}.max_sends", 1, 20),
        (f"{POLICY}.lockout_seconds", 1, 3600),
        (f"{POLICY}.max_lockout_seconds", 1, 86400),
        (f"{POLICY}.max_consecutive_failures", 1, 100),
        ("providers.jakarta.max_concurrent", 1, 1000),
        ("providers.jakarta.report_poll_seconds", 0, 3600),
        ("providers.keda.report_poll_seconds", 0, 3600),
        ("routes.0.providers.1.weight", 1, 1000),
        ("delivery.hold_seconds", 0, 120),
        ("delivery.channel_hold_seconds", 0, 120),
        ("delivery.max_texts", 1, 10),
        ("guard.unverified_block", 1, 1_000_000),
        ("guard.unverified_area", 1, 1_000_000),
        ("guard.burst", 1, 1_000_000),
        ("guard.quiet_burst", 1, 1_000_000),
        ("guard.quiet_verified", 1, 1_000_000),
        ("guard.window_hours", 2, 24),
        ("guard.burst_factor", 1, 100),
        ("guard.breaker.sends", 1, 1_000_000),
        ("guard.breaker.window_seconds", 60, 86_400),
        ("guard.breaker.open_seconds", 60, 86_400),
        ("guard.breaker.probe_seconds", 1, 3_600),
        ("guard.breaker.probes", 1, 1_000),
    ],
)
def test_bounds(find_errors: FindErrors, path: str, lowest: int, highest: int) -> None:
    """A bound itself is accepted, and the next value beyond it is refused."""
    assert find_errors((path, lowest)) == find_errors((path, highest)) == ()
    assert len(find_errors((path, lowest - 1))) == len(find_errors((path, highest + 1))) == 1


@pytest.mark.parametrize(("value", "good"), [(0.5, True), (30, True), (0.49, False), (30.01, False)])
def test_timeout_bounds(find_errors: FindErrors, value: float, good: bool) -> None:
    """The timeout of a provider is 0.5 to 30 seconds."""
    assert (find_errors(("providers.box.timeout_seconds", value)) == ()) is good


@pytest.mark.parametrize(("value", "good"), [(0, True), (60, True), (-0.1, False), (60.1, False)])
def test_keepalive_of_a_provider(find_errors: FindErrors, value: float, good: bool) -> None:
    """Connections to a gateway are kept for 0 to 60 seconds."""
    assert (find_errors(("providers.box.keepalive_seconds", value)) == ()) is good


@pytest.mark.parametrize(("value", "good"), [(0.5, True), (120, True), (0.49, False), (120.1, False)])
@pytest.mark.parametrize("key", ["head_timeout_seconds", "body_timeout_seconds", "write_timeout_seconds"])
def test_deadline_bounds(find_errors: FindErrors, key: str, value: float, good: bool) -> None:
    """The timeouts of callers are 0.5 to 120 seconds."""
    assert (find_errors((f"server.{key}", value)) == ()) is good


@pytest.mark.parametrize(("length", "good"), [(3, False), (4, True), (5, True)])
def test_short_codes(find_errors: FindErrors, length: int, good: bool) -> None:
    """Codes of 4 and 5 digits need `allow_short_codes`; shorter codes are refused."""
    edits = ((f"{POLICY}.allow_short_codes", True), (f"{POLICY}.code_length", length))
    assert (find_errors(*edits) == ()) is good


@pytest.mark.parametrize(("memory", "passes"), [(47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5)])
def test_hash_strength(find_errors: FindErrors, memory: int, passes: int) -> None:
    """The costs that OWASP recommends are accepted, and 1 KiB less needs `allow_weak`."""
    cost = ("hashing.time_cost", passes)
    less = (cost, ("hashing.memory_kib", memory - 1))
    assert find_errors(cost, ("hashing.memory_kib", memory)) == ()
    assert [error.path for error in find_errors(*less)] == ["hashing.memory_kib"]
    assert find_errors(*less, ("hashing.allow_weak", True)) == ()


def test_lanes_need_memory(find_errors: FindErrors) -> None:
    """Argon2 needs 8 KiB for each lane, also with `allow_weak`."""
    edits = (("hashing.allow_weak", True), ("hashing.parallelism", 16))
    assert find_errors(*edits, ("hashing.memory_kib", 128)) == ()
    assert "at least 128" in str(find_errors(*edits, ("hashing.memory_kib", 127))[0])


@pytest.mark.parametrize(
    ("windows", "good"),
    [
        (["100/86400"], True),
        (["101/86400"], False),
        (["100/2592000"], True),
        (["101/2592000"], False),
        (["4/3600"], True),
        (["5/3600"], False),
        (["5/3600", "100/86400"], True),
        (["50/43200"], True),
        (["50/43199"], False),
        (["1/1"], False),
    ],
)
def test_failures_of_a_day(find_errors: FindErrors, windows: list[str], good: bool) -> None:
    """All windows together allow at most 100 failed attempts in any day."""
    assert (find_errors(("limits.recipient_failures", windows)) == ()) is good


@pytest.mark.parametrize(
    ("window", "good"),
    [("1000000/2592000", True), ("1/1", True), ("1000001/60", False), ("1/2592001", False), ("1/0", False)],
)
def test_window_bounds(find_errors: FindErrors, window: str, good: bool) -> None:
    """A window counts at most a million, in at most 30 days."""
    assert (find_errors(("limits.tenant", [window])) == ()) is good


@pytest.mark.parametrize(("first", "longest", "good"), [(60, 60, True), (61, 60, False), (3600, 3600, True)])
def test_lockout_bounds(find_errors: FindErrors, first: int, longest: int, good: bool) -> None:
    """The first lockout is at most as long as the longest."""
    edits = ((f"{POLICY}.lockout_seconds", first), (f"{POLICY}.max_lockout_seconds", longest))
    assert (find_errors(*edits) == ()) is good


def test_global_limit_is_named_global(find_errors: FindErrors) -> None:
    """Errors of the global limit have the name that the configuration uses."""
    assert find_errors(("limits.global", ["9/60", "90/3600"])) == ()
    assert [one.path for one in find_errors(("limits.global", ["9/60", "8/60"]))] == ["limits.global[1]"]
    assert [one.path for one in find_errors(("limits.global_", ["9/60"]))] == ["limits.global_"]
