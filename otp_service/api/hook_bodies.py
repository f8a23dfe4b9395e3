"""Parse the calls of products that hand over codes for delivery: Supabase Auth, Ory Kratos, a plugin of Keycloak.

The forms are those that the products' own sources send. Members that are not used here are ignored, because the
products add some with their versions. Errors repeat nothing that was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from otp_service.crypto.codes import parse_code
from otp_service.domain.caller_text import CODE_PLACEHOLDER, clean_text, find_code
from otp_service.domain.errors import FieldError, Reason, Refused
from otp_service.domain.integrations import CodeHook, RelayedCode

__all__ = ["MAX_TEXT_CHARACTERS", "body_members", "keycloak_code", "kratos_code", "supabase_code"]

MAX_TEXT_CHARACTERS: Final = 480
"""As long as a configured template: three segments."""

_FORM: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 32
_PHONE_CHANGE: Final = "phone_change"


class _SupabaseUser(msgspec.Struct):
    phone: str | None = None
    new_phone: str | None = None


class _SupabaseSms(msgspec.Struct):
    otp: str
    sms_type: str = ""
    phone: str = ""


class _SupabaseMetadata(msgspec.Struct):
    ip_address: str = ""


class _SupabaseBody(msgspec.Struct):
    user: _SupabaseUser
    sms: _SupabaseSms
    metadata: _SupabaseMetadata | None = None


class _KratosBody(msgspec.Struct):
    recipient: str = ""
    to: str = ""
    code: str = ""
    body: str = ""
    template_type: str = ""
    template_data: dict[str, Any] = {}


_decode_supabase: Final = msgspec.json.Decoder(_SupabaseBody).decode
_decode_kratos: Final = msgspec.json.Decoder(_KratosBody).decode
_decode_object: Final = msgspec.json.Decoder(dict[str, Any]).decode
_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def supabase_code(_hook: CodeHook, body: bytes) -> RelayedCode:
    """Return the code of a call of GoTrue's Send-SMS hook (supabase/auth, internal/hooks/v0hooks).

    The number is `sms.phone`, which older versions do not send, or the user's: the new one while it is changed. GoTrue
    stores numbers without `+`. Raises `Refused`.
    """
    try:
        sent = _decode_supabase(body)
    except _ERRORS:
        raise _malformed("", "Send the body of the Send-SMS hook: `user` with `phone`, and `sms` with `otp`.") from None
    is_change = sent.sms.sms_type == _PHONE_CHANGE
    phone = sent.sms.phone or (is_change and sent.user.new_phone) or sent.user.phone or ""
    if phone.isascii() and phone.isdecimal():
        phone = f"+{phone}"
    code = _required_code(sent.sms.otp, "/sms/otp")
    return RelayedCode(_required_phone(phone), code, client_ip=sent.metadata.ip_address if sent.metadata else "")


def kratos_code(_hook: CodeHook, body: bytes) -> RelayedCode:
    """Return the code of a message of Kratos' courier (ory/kratos, courier/http_channel.go).

    The operator's Jsonnet makes the body. It has `recipient` or `to`, and the code as `code`, in `template_data` (such
    as `login_code`), or in the text `body`. Raises `Refused`.
    """
    try:
        sent = _decode_kratos(body)
    except _ERRORS:
        detail = "Send JSON with `recipient`, `template_type`, `template_data` and `body`: function(ctx) ctx."
        raise _malformed("", detail) from None
    data = sent.template_data
    phone = sent.recipient or sent.to or _text(data.get("to"))
    named = [_text(value) for name, value in data.items() if name == "code" or name.endswith("_code")]
    given = sent.code or next(filter(None, named), "")
    code = _required_code(given, "/code") if given else _code_in(sent.body, "/body")
    return RelayedCode(_required_phone(phone), code, _as_template(sent.body, code), sent.template_type)


def body_members(content_type: str, body: bytes) -> Mapping[str, str]:
    """Return the members of a form, or those of a JSON object that are texts. Raises `Refused`."""
    try:
        if content_type.partition(";")[0].strip().lower() == _FORM:
            return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS))
        return {name: value for name, value in _decode_object(body).items() if isinstance(value, str)}
    except (*_ERRORS, ValueError):
        raise _malformed("", "Send a JSON object, or a form.") from None


def keycloak_code(hook: CodeHook, members: Mapping[str, str]) -> RelayedCode:
    """Return the code in a text of the plugin `sms-authenticator` (netzbegruenung/keycloak-mfa-plugins, ApiSmsService).

    Raises `Refused`.
    """
    text = members.get(hook.message_attribute, "")
    code = _code_in(text, f"/{hook.message_attribute}")
    return RelayedCode(_required_phone(members.get(hook.receiver_attribute, "")), code, _as_template(text, code))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _as_template(text: str, code: str) -> str:
    """Return the text with a placeholder for the code; "" if the code is not in it."""
    return clean_text(text).strip().replace(code, CODE_PLACEHOLDER) if code in text else ""


def _code_in(text: str, pointer: str) -> str:
    code = find_code(text) if len(text) <= MAX_TEXT_CHARACTERS else None
    if code is None:
        detail = f"Send a text of at most {MAX_TEXT_CHARACTERS} characters with one number of 4-10 digits: the code."
        raise _malformed(pointer, detail)
    return code


def _required_code(given: str, pointer: str) -> str:
    code = parse_code(given)
    if code is None:
        raise _malformed(pointer, "Send a code of 4-10 digits.")
    return code


def _required_phone(phone: str) -> str:
    if not phone or len(phone) > 64:
        raise _malformed("", "Send the phone number, of at most 64 characters.")
    return phone


def _malformed(pointer: str, detail: str) -> Refused:
    errors = (FieldError(pointer, detail),)
    return Refused(Reason.REQUEST_MALFORMED, "Correct the body: `errors` says what to send.", field_errors=errors)
