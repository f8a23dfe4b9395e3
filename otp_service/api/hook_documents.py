"""The bodies of code hooks, for the OpenAPI document. The products define them and add members, so they are open."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["add_hook_bodies"]

_TEXT: Final = {"type": "string"}
_PHONE: Final = {"type": "string", "maxLength": 64, "description": "A phone number, best in E.164."}
_ANY_TEXT: Final = {"type": "string", "maxLength": 480, "description": "A text with the code: its only 4-10 digits."}

_SUPABASE: Final = {
    "description": "What GoTrue's Send-SMS hook posts, signed by Standard Webhooks.",
    "type": "object",
    "required": ["user", "sms"],
    "properties": {
        "user": {"type": "object", "properties": {"phone": {"type": ["string", "null"], "maxLength": 64}}},
        "sms": {"type": "object", "required": ["otp"], "properties": {"otp": _TEXT, "phone": _PHONE}},
    },
}
_KRATOS: Final = {
    "description": "What Kratos' courier posts with the Jsonnet `function(ctx) ctx`.",
    "type": "object",
    "properties": {
        "recipient": _PHONE,
        "template_type": _TEXT,
        "template_data": {"type": "object", "description": "With the code, such as `login_code`."},
        "body": _TEXT,
    },
}
_KEYCLOAK: Final = {
    "description": "What the plugin posts; the names are those of the hook's config.",
    "type": "object",
    "required": ["to", "message"],
    "properties": {"to": _PHONE, "message": _ANY_TEXT, "token": {**_TEXT, "description": "The secret of the hook."}},
}
_KRATOS_EXAMPLE: Final = {
    "recipient": "+6281210100055",
    "template_type": "login_code_valid",
    "template_data": {"to": "+6281210100055", "login_code": "123456"},
    "body": "Your login code is: 123456",
}
_KEYCLOAK_EXAMPLE: Final = {"to": "+6281210100055", "message": "Your SMS code is 123456.", "from": "Acme"}
_BODIES: Final[dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "supabase": (_SUPABASE, {"user": {"phone": "6281210100055"}, "sms": {"otp": "123456"}}),
    "kratos": (_KRATOS, _KRATOS_EXAMPLE),
    "keycloak": (_KEYCLOAK, _KEYCLOAK_EXAMPLE),
}


def add_hook_bodies(openapi_schema: dict[str, Any]) -> None:
    """Describe the bodies, which the handlers read themselves: a signature covers the bytes."""
    for product, (schema, example) in _BODIES.items():
        content = {"application/json": {"schema": schema, "examples": {product: {"value": example}}}}
        operation = openapi_schema["paths"][f"/v1/hooks/{product}/{{name}}"]["post"]
        operation["requestBody"] = {"required": True, "content": content}
