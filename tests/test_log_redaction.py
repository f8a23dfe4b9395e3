"""The redaction of the log: what it masks, what it keeps, and that it covers every log line."""

from __future__ import annotations

import io
import json
import logging
import sys
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otp_service.observability import LOG, REQUEST_ID, redact
from tests.log_capture import captured_logs, digits_in

SECRET = "0812.1010.0055"


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Capture the log."""
    with captured_logs() as stream:
        yield stream


def lines(logged: io.StringIO) -> list[dict[str, Any]]:
    """Return the log lines."""
    return [json.loads(line) for line in logged.getvalue().splitlines()]


@given(st.text(st.characters(exclude_characters="@")))
def test_a_text_keeps_at_most_five_digits(text: str) -> None:
    """A text with six digits or more loses all of them; a text with fewer is unchanged."""
    before, after = digits_in(text), redact(text)
    assert len(after) == len(text)
    assert after == text if len(before) < 6 else digits_in(after) == ""


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("550 <ann.lee@example.com> unknown user", "550 <***@example.com> unknown user"),
        ("to=ann@example.com, o'brien+x@example.org;", "***@example.com, ***@example.org;"),
        ('{"email":"ann@example.com"}', '{"email":"***@example.com"}'),
        ("ann@ann@example.com", "***@***@example.com"),
        ("redis://user:word@host:6379", "redis://user:***@host:6379"),
        ("/v1/verifications/ann@example.com", "***@example.com"),
        ("@", "***@"),
    ],
)
def test_local_parts_of_addresses_are_masked(text: str, redacted: str) -> None:
    """What stands before an @ is masked, back to a character that no address contains there."""
    assert redact(text) == redacted


@given(st.lists(st.text("01\u00b2@*a \n", max_size=9), max_size=5))
@example(["***", "@"])
@example(["12345", "6"])
def test_each_text_of_a_line_is_redacted_alone(texts: list[str]) -> None:
    """A text of a line is redacted as if it were the only one, whatever the others contain."""
    with captured_logs() as logged:
        LOG.info("said", **{f"text{number}": text for number, text in enumerate(texts)})
    [line] = lines(logged)
    assert [line[f"text{number}"] for number in range(len(texts))] == [redact(text) for text in texts]


def test_digits_of_every_script_are_masked() -> None:
    """Decimal digits of every script are masked, and superscript and circled ones."""
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if unicodedata.decimal(character, None) is not None or character in "\u00b2\u2075\u2460\u24ea\U0001f101":
            assert redact(character * 6) == "*" * 6, hex(code)


class _ObjectWithNumber:
    def __repr__(self) -> str:
        return f"to {SECRET}"


@pytest.mark.parametrize(
    "value",
    [
        SECRET,
        SECRET.encode(),
        [SECRET],
        {"to": SECRET},
        {SECRET: 1},
        (SECRET,),
        ValueError(SECRET),
        _ObjectWithNumber(),
    ],
)
def test_values_of_every_type_are_redacted(logged: io.StringIO, value: Any) -> None:
    """A value that is not a string is converted to one before it is redacted."""
    LOG.info("said", value=value)
    assert "0812" not in logged.getvalue() and "1010" not in logged.getvalue()


@pytest.mark.parametrize("name", ["uvicorn.error", "uvicorn.access", "asyncio", "litestar", "redis", "somebody.else"])
def test_lines_of_libraries_are_redacted(logged: io.StringIO, name: str) -> None:
    """The arguments and the extra members of their lines are redacted, too."""
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


def test_the_exception_in_progress_is_logged(logged: io.StringIO) -> None:
    """`LOG.exception` logs the exception that is being handled, at the level `error`."""
    try:
        raise KeyError(SECRET)
    except KeyError:
        LOG.exception("failed")
    [line] = lines(logged)
    assert line["level"] == "error"
    assert "in test_the_exception_in_progress_is_logged" in line["exception"]
    assert "KeyError" in line["exception"] and "1010" not in line["exception"]


def test_an_exception_is_logged_without_its_message(logged: io.StringIO) -> None:
    """The log has the types and frames of a chain, a group and a note, but no values."""
    problem = _raised()
    LOG.error("broke", exc_info=problem)
    logging.getLogger("uvicorn.error").error("broke", exc_info=(type(problem), problem, problem.__traceback__))
    for line in lines(logged):
        logged_exception = line["exception"]
        assert all(
            kind in logged_exception for kind in ("KeyError", "ExceptionGroup", "ValueError", "OSError", "RuntimeError")
        )
        assert 'test_log_redaction.py", line ' in logged_exception
        assert f"line {problem.__traceback__.tb_lineno}, in _raised" in logged_exception  # type: ignore[union-attr]  # it was raised
        assert "0812" not in logged_exception and "1010" not in logged_exception and "914273" not in logged_exception


def test_the_time_of_a_line_is_in_utc_with_microseconds(logged: io.StringIO) -> None:
    """Each line of a second has its own microseconds."""
    times = [datetime.now(UTC)]
    for _ in range(3):
        LOG.info("said")
        times.append(datetime.now(UTC))
    written = [line["timestamp"] for line in lines(logged)]
    assert all(len(text) == len("2026-11-22T10:00:00.000000Z") and text[-1] == "Z" for text in written)
    assert sorted([*times, *map(datetime.fromisoformat, written)])[1::2] == [*map(datetime.fromisoformat, written)]


def test_a_line_that_cannot_be_formatted_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    """A lone surrogate or wrong arguments do not make logging print the line unredacted."""
    with captured_logs() as logged:
        LOG.info("half \ud800", reference=f"\ud800 {SECRET}")
        logging.getLogger("somebody").error("two %s %s", SECRET)  # noqa: PLE1206  # the wrong number of arguments is what is tested
    captured = capsys.readouterr()
    for text in (logged.getvalue(), captured.err, captured.out):
        assert "1010" not in text
    assert [line["event"] for line in lines(logged)] == ["half \ud800", "log_line_lost"]


def test_the_request_id_is_redacted(logged: io.StringIO) -> None:
    """The request id is redacted like any other member."""
    bound = REQUEST_ID.set(SECRET)
    try:
        LOG.info("said")
        logging.getLogger("somebody.else").error("said")
    finally:
        REQUEST_ID.reset(bound)
    assert [line["request_id"] for line in lines(logged)] == ["****.****.****"] * 2
