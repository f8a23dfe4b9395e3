"""Logs and metrics for valid, wrong and malformed input: one line per request, and no secret."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from otp_service.service import OtpService
from otp_service.service.verify_code import VerifyCode
from tests.api.api_requests import (
    JSON_HEADERS,
    NORMALIZE_PHONE,
    REQUEST_BODY,
    REQUEST_CODE,
    UNKNOWN_ID,
    VERIFICATIONS,
    VERIFY_CODE,
)
from tests.config_parts import api_key, tenant
from tests.log_capture import captured_logs, digits_in
from tests.running_service import RunningService, ServiceFactory

SUBSCRIBER = "81210100055"
SPELLINGS = [
    "0812-1010-0055",
    "+6281210100055",
    "0812 1010 0055",
    "0812.1010.0055",
    "(0812) 1010/0055",
    "+62 (0) 812 1010 0055",
    "0812\u20131010\u20130055",
    "\uff10\uff18\uff11\uff12\uff11\uff10\uff11\uff10\uff10\uff10\uff15\uff15",
    "\u0660\u0668\u0661\u0662-\u0661\u0660\u0661\u0660-\u0660\u0660\u0665\u0665",
    "tel:+62-812-1010-0055",
]


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Capture all log lines, also those of libraries, as they would be written."""
    with captured_logs() as stream:
        yield stream


def assert_logged_safely(logged: io.StringIO, answers: list[httpx.Response], secrets: set[str]) -> list[dict[str, Any]]:
    """Assert one line per response, with its id and outcome, and no secret in any value of any line."""
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    by_id = {line["request_id"]: line for line in lines if line["event"] == "request"}
    assert len(by_id) == len([line for line in lines if line["event"] == "request"])
    assert set(by_id) == {answer.headers["x-request-id"] for answer in answers}
    for answer in answers:
        line = by_id[answer.headers["x-request-id"]]
        code = answer.json().get("code", "ok") if "json" in answer.headers["content-type"] else "ok"
        assert (line["status"], line["outcome"]) == (answer.status_code, code)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*Z", line["timestamp"])
    for line in lines:
        for name, value in line.items():
            assert name in ("timestamp", "duration_ms") or SUBSCRIBER not in digits_in(str(value)), line
    for secret in secrets:
        assert secret not in logged.getvalue()
    return [by_id[answer.headers["x-request-id"]] for answer in answers]


async def test_requests_of_all_kinds_log_no_secret(logged: io.StringIO, make_service: ServiceFactory) -> None:
    """No code, number or key is logged, whatever the request and wherever it contained them."""
    key = {**api_key("acme-secret-key", "read"), "id": "app"}
    service = await make_service({"tenants": {"acme": tenant(key)}})
    logged.truncate(0)
    logged.seek(0)
    answers: list[httpx.Response] = []
    secrets = {"dev-key", "acme-secret-key", "another-secret-key"}

    answers.append(await service.request())
    verification_id = answers[0].json()["verification_id"]
    code = await service.code_of(verification_id)
    for spelling in SPELLINGS:
        answers.append(await service.request(spelling, reference=f"call {spelling} back"))
        answers.append(await service.request(spelling + "x", reference=f"x\r\n{spelling}\ny"))
        answers.append(await service.client.post(NORMALIZE_PHONE, json={"phone": spelling}))
        answers.append(
            await service.client.post(REQUEST_CODE, json={"phone": spelling, "purpose": "login", spelling: 1})
        )
        answers.append(
            await service.client.post(REQUEST_CODE, json={**REQUEST_BODY, "channel": spelling, "purpose": "login"})
        )
        answers.append(
            await service.client.post(REQUEST_CODE, content=f'{{"phone": "{spelling}'.encode(), headers=JSON_HEADERS)
        )
        answers.append(await service.client.post(VERIFY_CODE, json={"verification_id": spelling, "code": "914273"}))
        answers.append(await service.client.get(VERIFICATIONS + spelling.replace("/", "")))
        answers.append(await service.client.delete(VERIFICATIONS + spelling.replace("/", "")))
        answers.append(await service.client.get("/nothing/" + spelling, params={"phone": spelling}))
        headers = {"Idempotency-Key": spelling.encode()}
        answers.append(await service.client.post(REQUEST_CODE, json=REQUEST_BODY, headers=headers))  # type: ignore[arg-type]  # bytes in headers, as clients send them
    bare = {"verification_id": "6281210100055", "code": "914273"}
    answers.append(await service.client.post(VERIFY_CODE, json=bare))
    answers.append(await service.request(purpose="a81210100055"))
    answers.append(await service.client.post(VERIFY_CODE, json={"verification_id": UNKNOWN_ID, "code": "12"}))
    answers.append(await service.caller("acme-secret-key").post(REQUEST_CODE, json=REQUEST_BODY))
    answers.append(await service.caller("another-secret-key").post(REQUEST_CODE, json=REQUEST_BODY))
    answers.append(await service.caller(None).post(REQUEST_CODE, json=REQUEST_BODY))
    answers.append(await service.client.post(REQUEST_CODE, content=b"x" * 70_000))
    answers.append(await service.client.get(VERIFICATIONS + verification_id))
    answers.append(await service.client.get("/schema"))
    for typed in (service.wrong_code(code), code, code):
        answers.append(await service.verify(verification_id, typed))
        secrets |= {typed}
    assert {answer.status_code for answer in answers} == {200, 202, 400, 401, 403, 404, 409, 413, 422, 429}
    lines = assert_logged_safely(logged, answers, secrets)
    assert [line.get("verification_id") for line in lines[-3:]] == [verification_id] * 3
    assert (lines[0]["phone"], lines[-2]["phone"]) == ("+62812*****055", "+62812*****055")
    assert {line["api_key"] for line in lines if "api_key" in line} == {"dev", "app"}


async def test_an_unhandled_exception_is_logged_redacted(
    logged: io.StringIO, service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of the exception is masked; its type and its location are logged."""

    async def broken(*_: object) -> None:
        raise RuntimeError("no luck with 0812.1010.0055 and 914273")

    monkeypatch.setattr(OtpService, "read", broken)
    answer = await service.client.get(VERIFICATIONS + UNKNOWN_ID)
    text = logged.getvalue()
    assert answer.status_code == 500
    assert '"unhandled_exception"' in text
    assert "RuntimeError" in text
    assert "914273" not in text
    assert "1010" not in text


async def test_an_unknown_id_is_not_logged(
    logged: io.StringIO, service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until a verification is found its id may be a phone number, so it is not logged."""

    async def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(VerifyCode, "__call__", broken)
    answer = await service.client.post(VERIFY_CODE, json={"verification_id": "6281210100055", "code": "914273"})
    assert answer.status_code == 500
    assert SUBSCRIBER not in logged.getvalue()


async def test_metrics_hold_no_personal_data(service: RunningService) -> None:
    """The page is valid, counts requests by route and status, and no label contains a number, a code or an id."""
    verification_id, code = await service.request_code()
    await service.verify(verification_id, service.wrong_code(code))
    await service.verify(verification_id, code)
    await service.client.get(VERIFICATIONS + "6281210100055")
    await service.client.get("/6281210100055")
    await service.request("6281210100055", purpose="p81210100055")
    response = await service.caller(None).get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    expected = {"otp_requests", "otp_request_seconds", "otp_outcomes", "otp_deliveries", "otp_hash_seconds"}
    assert expected | {"otp_outbox_oldest_due_seconds"} <= set(families)
    labels = {
        (name, value) for family in families.values() for one in family.samples for name, value in one.labels.items()
    }
    routes = {value for name, value in labels if name == "route"}
    assert {REQUEST_CODE, VERIFY_CODE, "/v1/verifications/{id}", "other"} <= routes
    assert all(len(digits_in(value)) < 4 for name, value in labels if name != "le")
    verified = {"action": "verify_code", "outcome": "ok", "tenant": "demo"}
    assert [one.value for one in families["otp_outcomes"].samples if one.labels == verified and "total" in one.name]
    assert ("outcome", "code_incorrect") in labels
    assert verification_id not in response.text
