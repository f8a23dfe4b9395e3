"""The bounds of calls to a captcha vendor: exact numbers of calls after failures, and one probe at a time."""

from __future__ import annotations

import asyncio

import pytest

from otp_service.domain.captcha import CaptchaCheck, CaptchaCheckResult, CaptchaResult
from otp_service.service.captcha_verifiers import BoundedVerifier

CHECK = CaptchaCheck("token", None, "")
UNAVAILABLE, REJECTED = CaptchaCheckResult(CaptchaResult.UNAVAILABLE), CaptchaCheckResult(CaptchaResult.REJECTED)


class ScriptedVerifier:
    """Answers as it is told, after the others had their turn."""

    def __init__(self) -> None:
        self.answer, self.calls, self.now = UNAVAILABLE, 0, 0.0
        self.bounded = BoundedVerifier(self, max_concurrent=2, clock=lambda: self.now)

    async def verify(self, _check: CaptchaCheck) -> CaptchaCheckResult:
        """Count the call."""
        self.calls += 1
        await asyncio.sleep(0)
        return self.answer

    async def close(self) -> None:
        """Do nothing."""


@pytest.fixture
async def vendor() -> ScriptedVerifier:
    """A vendor that has failed five times in a row, at time 0."""
    scripted = ScriptedVerifier()
    for _ in range(5):
        assert await scripted.bounded.verify(CHECK) == UNAVAILABLE
    return scripted


async def test_no_call_for_ten_seconds(vendor: ScriptedVerifier) -> None:
    """After five failures the vendor is not called, and the answer is the same at once."""
    vendor.now = 9.9
    found = [await vendor.bounded.verify(CHECK) for _ in range(100)]

    assert {one.result for one in found} == {CaptchaResult.UNAVAILABLE}
    assert vendor.calls == 5


async def test_one_probe_at_a_time(vendor: ScriptedVerifier) -> None:
    """Then one of many parallel requests probes; while it fails, the next probe is 10 seconds later."""
    for now, calls in ((10, 6), (19, 6), (20, 7)):
        vendor.now = now
        await asyncio.gather(*(vendor.bounded.verify(CHECK) for _ in range(50)))
        assert vendor.calls == calls


async def test_any_answer_ends_the_pause(vendor: ScriptedVerifier) -> None:
    """A vendor that rejects a token works: everything is verified again, and failures are counted from zero."""
    vendor.now, vendor.answer = 10, REJECTED
    assert await vendor.bounded.verify(CHECK) == REJECTED
    vendor.answer = UNAVAILABLE
    for _ in range(4):
        await vendor.bounded.verify(CHECK)
    vendor.answer = REJECTED

    assert await vendor.bounded.verify(CHECK) == REJECTED
    assert vendor.calls == 5 + 1 + 4 + 1


async def test_cancelled_call_frees_its_place() -> None:
    """A client that disconnects while the vendor is asked leaves no place taken."""
    vendor = ScriptedVerifier()
    calls = [asyncio.create_task(vendor.bounded.verify(CHECK)) for _ in range(2)]
    await asyncio.sleep(0)
    assert vendor.bounded.is_busy()

    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    assert not vendor.bounded.is_busy()
