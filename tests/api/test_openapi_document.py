"""The OpenAPI document is valid, complete and correct, and its page needs no other host."""

from __future__ import annotations

import re
from typing import Any

import httpx
import jsonschema_rs
import pytest

from otp_service.domain.code_binding import AMOUNT_PATTERN, BINDING_PATTERN, CURRENCY_PATTERN, PAYEE_PATTERN
from otp_service.domain.links import LINK_PATTERN
from tests.api.api_requests import NORMALIZE_PHONE, REQUEST_BODY, UNLOCK_RECIPIENT, VERIFICATIONS
from tests.api.test_problem_responses import BEYOND, CONTRACT
from tests.api.test_read_and_cancel_verification import STATUSES
from tests.problem_assertions import assert_common_headers
from tests.running_service import RunningService

FORM = "application/x-www-form-urlencoded"
SHARED_PATTERNS = {
    "link": LINK_PATTERN,
    "amount": AMOUNT_PATTERN,
    "currency": CURRENCY_PATTERN,
    "payee": PAYEE_PATTERN,
    "binding": BINDING_PATTERN,
}
"""The patterns that the domain has as Python writes them, by member."""

ACCESS = "An API key, or an OAuth 2.0 access token (JWT) of an issuer that is configured."

OPERATIONS = {
    ("/v1/request-code", "post"): {202, 400, 401, 403, 409, 413, 415, 422, 429, 503},
    ("/v1/verify-code", "post"): {200, 400, 401, 403, 404, 409, 410, 413, 415, 422, 429, 503},
    ("/v1/introspect", "post"): {200, 400, 401, 403, 413, 415, 503},
    ("/v1/app-attest/challenges", "post"): {200, 400, 401, 403, 404, 503},
    ("/v1/app-attest/keys", "post"): {200, 400, 401, 403, 404, 413, 415, 429, 503},
    ("/v1/normalize-phone", "post"): {200, 400, 401, 413, 415, 422, 503},
    ("/v1/admin/recipients", "delete"): {200, 400, 401, 403, 413, 415, 422, 503},
    ("/v1/admin/recipients/unlock", "post"): {200, 400, 401, 403, 413, 415, 422, 503},
    ("/v1/admin/recipients/check", "post"): {200, 400, 401, 403, 413, 415, 422, 503},
    ("/v1/admin/opt-outs", "get"): {200, 401, 403, 503},
    ("/v1/admin/guard", "get"): {200, 401, 403, 503},
    ("/v1/admin/guard/{country}", "get"): {200, 400, 401, 403, 404, 503},
    ("/v1/admin/guard/{country}/breaker", "put"): {200, 400, 401, 403, 404, 413, 415, 503},
    ("/v1/verifications/{verification_id}", "get"): {200, 400, 401, 403, 404, 503},
    ("/v1/verifications/{verification_id}", "delete"): {200, 400, 401, 403, 404, 503},
    ("/v1/hooks/supabase/{name}", "post"): {200, 400, 401, 404, 413, 503},
    ("/v1/hooks/kratos/{name}", "post"): {200, 400, 401, 403, 404, 409, 413, 422, 429, 503},
    ("/v1/hooks/keycloak/{name}", "post"): {200, 400, 401, 403, 404, 409, 413, 422, 429, 503},
    ("/livez", "get"): {200},
    ("/readyz", "get"): {200, 503},
    ("/metrics", "get"): {200},
    ("/.well-known/jwks.json", "get"): {200},
}

HOOKS = ("supabaseHook", "kratosHook", "keycloakHook")


@pytest.fixture
async def document(service: RunningService) -> dict[str, Any]:
    """Fetch the document as a client would."""
    response = await service.caller(None).get("/schema/openapi.json")
    assert response.status_code == 200
    assert_common_headers(response)
    found: dict[str, Any] = response.json()
    return found


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the operations by path and method."""
    return {(path, method): it for path, item in document["paths"].items() for method, it in item.items()}


def errors(document: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    """Validate a value by a schema of the document, and return the errors."""
    complete = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "components": document["components"],
    }
    validator = jsonschema_rs.Draft202012Validator(complete, validate_formats=True)
    return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(value)]


async def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    """The document is valid by the schema of the OpenAPI specification."""
    from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR  # takes a second: not at collection

    assert document["openapi"].startswith("3.1")
    assert [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []


async def test_every_operation_and_response_is_documented(document: dict[str, Any]) -> None:
    """Each operation documents each of its responses, and has an id of its own."""
    found = operations(document)
    assert {key: {int(status) for status in it["responses"]} for key, it in found.items()} == OPERATIONS | {
        key: {int(status) for status in it["responses"]} for key, it in found.items() if key not in OPERATIONS
    }
    ids = [it["operationId"] for it in found.values()]
    assert len(set(ids)) == len(ids)
    assert all(it["summary"] for it in found.values())


async def test_every_example_is_valid(document: dict[str, Any]) -> None:
    """Each response has an example for each of its codes, and each example is valid by its schema."""
    for (path, _), operation in operations(document).items():
        for status, reply in operation["responses"].items():
            [(media_type, content)] = reply["content"].items()
            values = [example["value"] for example in content["examples"].values()]
            assert values, (path, status)
            for value in values:
                assert errors(document, content["schema"], value) == [], (path, status)
            if int(status) >= 400:
                assert media_type == "application/problem+json"
                assert {value["status"] for value in values} == {int(status)}
                assert {value["code"] for value in values} <= CONTRACT[int(status)] | BEYOND.get(int(status), set())
                assert all(("retry_after" in value) is (int(status) in (429, 503)) for value in values)


async def test_every_code_of_the_contract_has_an_example(document: dict[str, Any]) -> None:
    """Every problem code of the contract has an example in some operation."""
    shown = {
        name
        for operation in operations(document).values()
        for status, reply in operation["responses"].items()
        if int(status) >= 400
        for name in next(iter(reply["content"].values()))["examples"]
    }
    assert shown == set().union({"not_found"}, *CONTRACT.values())


async def test_request_bodies_are_closed_and_have_examples(document: dict[str, Any]) -> None:
    """Request bodies refuse unknown members, list required ones, and have a valid example."""
    for operation in operations(document).values():
        if "requestBody" not in operation:
            continue
        assert operation["requestBody"]["required"] is True
        contents = operation["requestBody"]["content"]
        if operation["operationId"] in HOOKS:
            continue
        content = contents.pop("application/json")
        name = content["schema"]["$ref"].rpartition("/")[2]
        schema = document["components"]["schemas"][name]
        open_form = {FORM: {"schema": {**schema, "additionalProperties": True}}}  # RFC 7662: others are ignored
        assert contents == (open_form if operation["operationId"] == "introspectProof" else {})
        assert schema["additionalProperties"] is False
        assert schema.get("required") or schema["oneOf"]
        for example in schema["examples"]:
            assert errors(document, content["schema"], example) == []
            assert errors(document, content["schema"], {**example, "unknown_member": 1}) != []


async def test_bodies_of_hooks(document: dict[str, Any]) -> None:
    """The bodies of hooks are open, because products add members, and have valid examples."""
    by_id = {operation["operationId"]: operation for operation in operations(document).values()}
    for name in HOOKS:
        content = by_id[name]["requestBody"]["content"]["application/json"]
        for example in content["examples"].values():
            assert errors(document, content["schema"], {**example["value"], "another_member": 1}) == []


async def test_patterns_are_ecma_262(document: dict[str, Any]) -> None:
    """Patterns are ECMA-262; the service is stricter only about a newline at the end."""
    schemas = document["components"]["schemas"]
    patterns = {
        name: member["pattern"]
        for schema in schemas.values()
        for name, member in schema.get("properties", {}).items()
        if "pattern" in member
    }
    assert patterns == {
        "app": "^[a-z0-9][a-z0-9_-]{0,31}$",
        "purpose": "^[a-z][a-z0-9_]{0,31}$",
        "country": "^[A-Z]{2}$",
        "captcha_token": "^[!-~]*$",
        "verification_id": "^[A-Za-z0-9_-]{1,36}$",
        "key_id": "^[A-Za-z0-9+/]{43}=$",
        "challenge": "^[A-Za-z0-9_-]{50}$",
        "attestation": "^[A-Za-z0-9+/]+={0,2}$",
        **{name: pattern.replace("\\A", "^").replace("\\Z", "$") for name, pattern in SHARED_PATTERNS.items()},
    }


async def test_codes_and_statuses_are_enumerated(document: dict[str, Any]) -> None:
    """Codes and statuses are enumerations, so that generated clients know them."""
    schemas = document["components"]["schemas"]
    assert set(schemas["Reason"]["enum"]) >= set().union(*CONTRACT.values())
    assert set(schemas["VerificationStatus"]["enum"]) == STATUSES


async def test_security_of_operations(document: dict[str, Any]) -> None:
    """Everything under /v1 needs a bearer key except receipts and hooks, which have secrets of their own."""
    assert document["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer", "description": ACCESS}
    }
    for (path, _), operation in operations(document).items():
        keyed = path.startswith("/v1/") and not path.startswith(("/v1/receipts", "/v1/hooks"))
        assert operation.get("security", []) == ([{"bearer": []}] if keyed else [])


async def test_responses_match_the_document(service: RunningService, document: dict[str, Any]) -> None:
    """The responses of the service are valid by the schemas of the document."""
    first = await service.client.post("/v1/request-code", json=REQUEST_BODY)
    verification_id = first.json()["verification_id"]
    code = await service.code_of(verification_id)
    by_id = "/v1/verifications/{verification_id}"
    answers: list[tuple[str, httpx.Response]] = [
        ("/v1/request-code", first),
        ("/v1/request-code", await service.client.post("/v1/request-code", json=REQUEST_BODY)),
        ("/v1/request-code", await service.client.post("/v1/request-code", json={})),
        ("/v1/verify-code", await service.verify(verification_id, service.wrong_code(code))),
        (by_id, await service.client.get(VERIFICATIONS + verification_id)),
        ("/v1/verify-code", await service.verify(verification_id, code)),
        (by_id, await service.client.delete(VERIFICATIONS + verification_id)),
        (by_id, await service.client.get(VERIFICATIONS + "nothing")),
        (NORMALIZE_PHONE, await service.client.post(NORMALIZE_PHONE, json={"phone": "081210100055"})),
        (UNLOCK_RECIPIENT, await service.client.post(UNLOCK_RECIPIENT, json={"phone": "081210100055"})),
        (UNLOCK_RECIPIENT, await service.client.post(UNLOCK_RECIPIENT, json={"phone": "1"})),
        ("/livez", await service.client.get("/livez")),
        ("/readyz", await service.client.get("/readyz")),
        ("/.well-known/jwks.json", await service.client.get("/.well-known/jwks.json")),
    ]
    for path, answer in answers:
        reply = document["paths"][path][answer.request.method.lower()]["responses"][str(answer.status_code)]
        content = reply["content"][answer.headers["content-type"]]
        assert errors(document, content["schema"], answer.json()) == [], path
        closed = {**document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]}
        assert set(answer.json()) <= set(closed["properties"])
        limiting = {"retry-after", "ratelimit", "ratelimit-policy"} & set(answer.headers)
        assert limiting <= {name.lower() for name in reply.get("headers", {})}, path


async def test_the_page_needs_no_other_host(service: RunningService) -> None:
    """The page at /schema has no script and no reference to another host."""
    response = await service.caller(None).get("/schema")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    page = response.text
    assert not re.findall(r"""(?:src|href|action|url|@import)\s*[=(]?\s*["']?\s*(?:https?:)?//""", page)
    assert not re.search(r"<(script|link|iframe|img|object|embed|base)\b", page)
    for path, _ in OPERATIONS:
        assert path in page
