"""The OpenAPI document at `/schema`: as JSON, and as one HTML page without external resources."""

from __future__ import annotations

import html
from typing import Any, Final

import msgspec
from litestar import Request, Router
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from otp_service import __version__
from otp_service.api.hook_documents import add_hook_bodies
from otp_service.api.members import TransactionBody
from otp_service.api.openapi_examples import REQUEST_EXAMPLES
from otp_service.api.problems import MEDIA_TYPE as PROBLEM_TYPE
from otp_service.api.proof_bodies import IntrospectionBody
from otp_service.api.quota_headers import QUOTA_HEADERS
from otp_service.api.schemas import EXACTLY_ONE

__all__ = ["SCHEMA", "openapi_config"]

SCHEMA: Final = "/schema"

_RETRY_AFTER: Final = {
    "Retry-After": {"description": "Whole seconds, at least 1.", "schema": {"type": "integer", "minimum": 1}}
}

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1c2430}"
    "h2{margin-top:2.5rem;border-top:1px solid #d7dde5;padding-top:1.5rem}"
    "code,pre{font:14px/1.45 ui-monospace,monospace}"
    "pre{background:#f4f6f9;padding:.8rem;overflow:auto;border-radius:6px}summary{cursor:pointer;padding:.15rem 0}"
    ".m{color:#0b5cad;font-weight:600}"
    "@media(prefers-color-scheme:dark){body{background:#12161c;color:#dfe5ec}pre{background:#1b2129}.m{color:#7cc0ff}}"
)


class _HtmlPlugin(OpenAPIRenderPlugin):
    """Renders one HTML page without scripts and without resources from other hosts."""

    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        del request  # the page does not depend on it
        info = openapi_schema["info"]
        parts = [
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
            f"<title>{html.escape(info['title'])}</title><style>{_STYLE}</style>",
            f"<h1>{html.escape(info['title'])} {html.escape(info['version'])}</h1>",
            f"<p>{html.escape(info.get('description', ''))} <a href='openapi.json'>openapi.json</a></p>",
        ]
        for path, item in openapi_schema["paths"].items():
            for method, operation in item.items():
                parts += _operation_html(path, method, operation)
        return "".join(parts).encode()


class _JsonPlugin(JsonRenderPlugin):
    """Renders the document as JSON. Litestar builds it at the first request, not at startup."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Add what Litestar leaves out: examples, that bodies are closed, members that exclude others, a form."""
        schemas = openapi_schema["components"]["schemas"]
        for body, examples in REQUEST_EXAMPLES.items():
            schemas[body.__name__]["examples"] = examples
            if alternatives := EXACTLY_ONE.get(body):
                schemas[body.__name__]["oneOf"] = [{"required": [name]} for name in alternatives]
        for name in (*(body.__name__ for body in REQUEST_EXAMPLES), TransactionBody.__name__):
            schemas[name]["additionalProperties"] = False
            for member in schemas[name]["properties"].values():
                if "pattern" in member:
                    member["pattern"] = _ecma_pattern(member["pattern"])
        content = openapi_schema["paths"]["/v1/introspect"]["post"]["requestBody"]["content"]
        open_form = {**schemas[IntrospectionBody.__name__], "additionalProperties": True}
        content["application/x-www-form-urlencoded"] = {"schema": open_form}
        add_hook_bodies(openapi_schema)
        _add_headers(openapi_schema)
        return super().render(request, openapi_schema)


def _add_headers(openapi_schema: dict[str, Any]) -> None:
    """Describe the headers of responses that deny a request for some time, and of those to an accepted request."""
    quotas = {
        name: {"description": text, "schema": {"type": "string", "minLength": 1}}
        for name, text in QUOTA_HEADERS.items()
    }
    for item in openapi_schema["paths"].values():
        for operation in item.values():
            for status, response in operation["responses"].items():
                is_problem = PROBLEM_TYPE in response.get("content", {})
                headers: dict[str, Any] = dict(_RETRY_AFTER) if is_problem and status in ("429", "503") else {}
                if (is_problem and status == "429") or (operation["operationId"], status) == ("requestCode", "202"):
                    headers |= quotas
                if headers:
                    response["headers"] = headers


def _ecma_pattern(pattern: str) -> str:
    r"""Convert a Python pattern to ECMA-262, as JSON Schema requires: there `$` is the end, and `\Z` is unknown."""
    return pattern.replace(r"\A", "^").replace(r"\Z", "$")


def _operation_html(path: str, method: str, operation: dict[str, Any]) -> list[str]:
    parts = [
        f"<h2><code><span class=m>{method.upper()}</span> {html.escape(path)}</code></h2>",
        f"<p>{html.escape(operation.get('summary', ''))}. {html.escape(operation.get('description', ''))}</p>",
    ]
    for status, reply in operation.get("responses", {}).items():
        for media in reply.get("content", {}).values():
            for name, example in media.get("examples", {}).items():
                value = msgspec.json.format(msgspec.json.encode(example.get("value")), indent=2).decode()
                label = html.escape(str(example.get("summary", name)))
                parts.append(f"<details><summary>{status} <code>{label}</code></summary>")
                parts.append(f"<pre>{html.escape(value)}</pre></details>")
    return parts


def openapi_config() -> OpenAPIConfig:
    """Return how Litestar builds and serves the OpenAPI document."""
    return OpenAPIConfig(
        title="OTP service",
        version=__version__,
        description="Proves that a person holds a phone number.",
        path=SCHEMA,
        use_handler_docstrings=True,
        render_plugins=[_HtmlPlugin(), _JsonPlugin()],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    description="An API key, or an OAuth 2.0 access token (JWT) of an issuer that is configured.",
                )
            }
        ),
        openapi_router=Router(SCHEMA, route_handlers=[], include_in_schema=False),
    )
