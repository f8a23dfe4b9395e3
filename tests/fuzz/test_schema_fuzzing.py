"""Schemathesis finds no failure in our document and in CAMARA's: the short form of `python -m tests.fuzz`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.schema_runs import CAMARA, OWN, Document, Options, fuzz


@pytest.mark.parametrize(
    ("document", "examples", "least", "route"),
    [(OWN, 5, 80, "/v1/request-code"), (CAMARA, 30, 40, "/one-time-password-sms/v1/send-code")],
    ids=["own", "camara"],
)
async def test_schemathesis_finds_no_failure(
    tmp_path: Path, document: Document, examples: int, least: int, route: str
) -> None:
    """Generated requests get documented responses: no 5xx, no other status, type, header or schema."""
    result = await fuzz(document, Options(examples, phases="fuzzing", seed=1), tmp_path)
    assert result.status == 0, result.output
    assert result.cases >= least
    assert {status[0] for _, status in result.answers} <= {"2", "4"}
    assert any(status[0] == "2" for name, status in result.answers if name == route), result.answers
