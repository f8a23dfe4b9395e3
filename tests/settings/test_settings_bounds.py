"""What is just allowed, and what is just not."""

from collections.abc import Callable

import pytest

from otp_service.settings import ConfigError

Mistakes = Callable[..., tuple[ConfigError, ...]]

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
        ("delivery.max_texts", 1, 10),
    ],
)
def test_bounds(mistakes: Mistakes, path: str, lowest: int, highest: int) -> None:
    """A bound is allowed, and one beyond it is not."""
    assert mistakes((path, lowest)) == mistakes((path, highest)) == ()
    assert len(mistakes((path, lowest - 1))) == len(mistakes((path, highest + 1))) == 1


@pytest.mark.parametrize(("value", "good"), [(0.5, True), (30, True), (0.49, False), (30.01, False)])
def test_timeout_bounds(mistakes: Mistakes, value: float, good: bool) -> None:
    """A gateway is given half a second to 30 seconds."""
    assert (mistakes(("providers.box.timeout_seconds", value)) == ()) is good


@pytest.mark.parametrize(("value", "good"), [(0.5, True), (120, True), (0.49, False), (120.1, False)])
@pytest.mark.parametrize("key", ["head_timeout_seconds", "body_timeout_seconds", "write_timeout_seconds"])
def test_deadline_bounds(mistakes: Mistakes, key: str, value: float, good: bool) -> None:
    """A caller is given half a second to two minutes."""
    assert (mistakes((f"server.{key}", value)) == ()) is good


@pytest.mark.parametrize(("length", "good"), [(3, False), (4, True), (5, True)])
def test_short_codes(mistakes: Mistakes, length: int, good: bool) -> None:
    """Codes of 4 and 5 digits are for who asks for them, shorter ones for nobody."""
    edits = ((f"{POLICY}.allow_short_codes", True), (f"{POLICY}.code_length", length))
    assert (mistakes(*edits) == ()) is good


@pytest.mark.parametrize(("memory", "passes"), [(47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5)])
def test_hash_strength(mistakes: Mistakes, memory: int, passes: int) -> None:
    """OWASP's equal choices pass, one KiB less does not, unless that is said to be wanted."""
    cost = ("hashing.time_cost", passes)
    less = (cost, ("hashing.memory_kib", memory - 1))
    assert mistakes(cost, ("hashing.memory_kib", memory)) == ()
    assert [mistake.path for mistake in mistakes(*less)] == ["hashing.memory_kib"]
    assert mistakes(*less, ("hashing.allow_weak", True)) == ()


def test_lanes_need_memory(mistakes: Mistakes) -> None:
    """Argon2 itself needs 8 KiB for each lane, however weak it may be."""
    edits = (("hashing.allow_weak", True), ("hashing.parallelism", 16))
    assert mistakes(*edits, ("hashing.memory_kib", 128)) == ()
    assert "at least 128" in str(mistakes(*edits, ("hashing.memory_kib", 127))[0])


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
def test_failures_of_a_day(mistakes: Mistakes, windows: list[str], good: bool) -> None:
    """All windows together let at most 100 wrong codes through in any day."""
    assert (mistakes(("limits.recipient_failures", windows)) == ()) is good


@pytest.mark.parametrize(
    ("window", "good"),
    [("1000000/2592000", True), ("1/1", True), ("1000001/60", False), ("1/2592001", False), ("1/0", False)],
)
def test_window_bounds(mistakes: Mistakes, window: str, good: bool) -> None:
    """A window counts to a million, over up to 30 days."""
    assert (mistakes(("limits.tenant", [window])) == ()) is good


@pytest.mark.parametrize(("first", "longest", "good"), [(60, 60, True), (61, 60, False), (3600, 3600, True)])
def test_the_first_lockout_is_not_longer_than_the_longest(
    mistakes: Mistakes, first: int, longest: int, good: bool
) -> None:
    """A wait grows; one that would begin beyond its end is a mistake."""
    edits = ((f"{POLICY}.lockout_seconds", first), (f"{POLICY}.max_lockout_seconds", longest))
    assert (mistakes(*edits) == ()) is good


def test_the_global_limit_is_written_global(mistakes: Mistakes) -> None:
    """Its mistakes are named as the config writes it."""
    assert mistakes(("limits.global", ["9/60", "90/3600"])) == ()
    assert [one.path for one in mistakes(("limits.global", ["9/60", "8/60"]))] == ["limits.global[1]"]
    assert [one.path for one in mistakes(("limits.global_", ["9/60"]))] == ["limits.global_"]
