"""The one redactor of the log: what it masks, what it leaves, and that nothing gets around it."""

from __future__ import annotations

import io
import json
import logging
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from otp_service.observability import LOG, redact
from tests.log_capture import captured_logs, digits_in

SECRET = "0812.1010.0055"


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Catch everything that is logged."""
    with captured_logs() as stream:
        yield stream


def lines(logged: io.StringIO) -> list[dict[str, Any]]:
    """Read what was logged."""
    return [json.loads(line) for line in logged.getvalue().splitlines()]


@given(st.text())
def test_a_text_keeps_at_most_five_digits(text: str) -> None:
    """With six of them in all, none is left; with fewer, the text is as it was."""
    before, after = digits_in(text), redact(text)
    assert len(after) == len(text)
    assert after == text if len(before) < 6 else digits_in(after) == ""


def test_every_digit_of_every_script_is_one() -> None:
    """Decimal digits, and those that are raised or circled."""
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if unicodedata.decimal(character, None) is not None or character in "\u00b2\u2075\u2460\u24ea\U0001f101":
            assert redact(character * 6) == "*" * 6, hex(code)


class _Told:
    def __repr__(self) -> str:
        return f"to {SECRET}"


@pytest.mark.parametrize(
    "value", [SECRET, SECRET.encode(), [SECRET], {"to": SECRET}, {SECRET: 1}, (SECRET,), ValueError(SECRET), _Told()]
)
def test_every_kind_of_value_is_looked_at(logged: io.StringIO, value: Any) -> None:
    """A member that is no text is written as one first."""
    LOG.info("said", value=value)
    assert "0812" not in logged.getvalue() and "1010" not in logged.getvalue()


@pytest.mark.parametrize("name", ["uvicorn.error", "uvicorn.access", "asyncio", "litestar", "redis", "somebody.else"])
def test_lines_of_libraries_are_redacted(logged: io.StringIO, name: str) -> None:
    """With their arguments, and whatever they add."""
    logging.getLogger(name).error("call to %s from %r", SECRET, {"phone": SECRET}, extra={"phone": SECRET})
    assert "0812" not in logged.getvalue() and "1010" not in logged.getvalue()
    assert len(lines(logged)) == 1


def _raised() -> BaseException:
    phone = SECRET
    try:
        try:
            raise KeyError(phone)
        except KeyError as missing:
            missing.add_note(f"asked for {phone}")
            raise ExceptionGroup(f"group of {phone}", [ValueError(phone), OSError(2, phone)]) from missing
    except ExceptionGroup as group:
        try:
            raise RuntimeError(f'while {phone}\n  File "{phone}", line 914273')
        except RuntimeError as problem:
            problem.__context__ = group
            return problem


def test_an_exception_is_told_without_its_words(logged: io.StringIO) -> None:
    """Its kinds and the places of its frames stand there, in a chain, a group and a note; no value does."""
    problem = _raised()
    LOG.error("broke", exc_info=problem)
    logging.getLogger("uvicorn.error").error("broke", exc_info=(type(problem), problem, problem.__traceback__))
    for line in lines(logged):
        told = line["exception"]
        assert all(kind in told for kind in ("KeyError", "ExceptionGroup", "ValueError", "OSError", "RuntimeError"))
        assert 'test_log_redaction.py", line ' in told
        assert f"line {problem.__traceback__.tb_lineno}, in _raised" in told  # type: ignore[union-attr]
        assert "0812" not in told and "1010" not in told and "914273" not in told


def test_a_line_that_cannot_be_written_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither half a character nor wrong arguments make logging print the line as it was."""
    with captured_logs() as logged:
        LOG.info("half \ud800", reference=f"\ud800 {SECRET}")
        logging.getLogger("somebody").error("two %s %s", SECRET)  # noqa: PLE1206  # that is the point
    captured = capsys.readouterr()
    for text in (logged.getvalue(), captured.err, captured.out):
        assert "1010" not in text
    assert [line["event"] for line in lines(logged)] == ["half \ud800", "log_line_lost"]


def test_a_requests_id_has_no_exception(logged: io.StringIO) -> None:
    """It goes through the same rule as any other member."""
    with structlog.contextvars.bound_contextvars(request_id=SECRET):
        LOG.info("said")
    assert lines(logged)[0]["request_id"] == "****.****.****"
