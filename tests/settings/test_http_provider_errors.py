"""What `check-config` refuses in the table of an `http` provider, and that no error shows a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.settings import ConfigInvalid, config_warnings, load
from tests.config_parts import demo_policy

BODY = '{"to": "{to}", "text": "{text}", "id": "{message_id}"}'
BASE: Mapping[str, Any] = {"type": "http", "url": "https://sms.example.com/send", "body": BODY}
FORM: Mapping[str, Any] = {**BASE, "body": "to={to}&text={text}"}
ENVIRON = {
    "TOKEN": "hunter2-hunter2-hunter2",
    "LINES": "hunter2\nhunter2",
    "UMLAUT": "h\u00fcnter2",
    "SHORT": "hunter2",
    "BAD": "hunter2 {oops} {to} {text}",
}
RECEIPTS: Mapping[str, Any] = {"status": "/status", "delivered": ["OK"], "token": "env:TOKEN", "message_id": "/id"}
RULE: Mapping[str, Any] = {"when": {"status": 400}, "outcome": "funds"}


def load_errors(**keys: Any) -> list[str]:
    """Return the errors of a config whose provider `own` has these keys besides those of `BASE`; None removes one."""
    plain = dev_config("redis://127.0.0.1")
    table = {name: value for name, value in {**BASE, **keys}.items() if value is not None}
    document = merged(plain, {"redis": {"url": "env:REDIS"}, "keys": {"dev": "env:KEY"}, "tokens": {"dev": "env:PEM"}})
    document["providers"]["own"] = table
    environ = {"REDIS": plain["redis"]["url"], "KEY": plain["keys"]["dev"], "PEM": plain["tokens"]["dev"]}
    try:
        load(document, ENVIRON | environ)
    except ConfigInvalid as invalid:
        return [str(error).removeprefix("providers.own.") for error in invalid.errors]
    return []


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"method": "GET", "body": None, "query": {"to": "{to}", "text": "{code}"}},
        {"body": "to={to}&text={text}"},
        {"body": "  <m to='{to}'>{text}</m>"},
        {"body": "<?xml version=\"1.0\"?><m a='\">' to=\"'{to}\">{text}<b c='<'/></m>"},
        {"body": "{to};{text}", "body_format": "text"},
        {"body": "{to}&text={text}", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"body": '["{to}", "{text}", {"{code}": 1}, {}, "{ }", "{{}}"]'},
        {"headers": {"X-To": "{to}", "X-Code": "{code}"}, "body": "{}"},
        {"secrets": {"token": "env:TOKEN"}, "headers": {"Authorization": "Token {token}"}},
        {"username": "acme", "password": "env:TOKEN"},
        {"username": "env:SHORT", "password": "env:LINES"},
        {"bearer_token": "env:TOKEN"},
        {"url": "/send", "base_url": "http://127.0.0.1:8080/api"},
        {"url": "http://10.0.0.7:13013/cgi-bin/sendsms?to={to}&text={text}", "method": "get", "body": None},
        {"receipts": RECEIPTS},
        {"receipts": {"status": "/s", "delivered": ["1"]}, "query": {"dlr-url": "{receipt_url}"}},
        {"outcomes": [RULE] * 64},
        {"idempotent_send": True},
        {"body": BODY + " " * (8192 - len(BODY))},
        {"sender": "Acme", "query": {"from": "{sender}"}},
    ],
)
def test_good_tables(keys: dict[str, Any]) -> None:
    """What can be sent and escaped is accepted, over http:// and to private addresses as for every provider."""
    assert load_errors(**keys) == []


@pytest.mark.parametrize(
    ("keys", "path", "found"),
    [
        ({"body": '{"text": "{text}"}'}, "body", "{to} is missing"),
        ({"body": '{"to": "{to}"}'}, "body", "{text} and {code} are missing"),
        ({"body": '{"to": "{to}", "t": "{text}{x}"}'}, "body", "unknown placeholder {x}; allowed: {to}, {text}"),
        ({"url": "https://h/{a}{to}"}, "url", "unknown placeholder {a}"),
        ({"query": {"q": "{Text}"}}, "query.q", "unknown placeholder {Text}"),
        ({"headers": {"X-A": "{token}"}}, "headers.X-A", "unknown placeholder {token}"),
        ({"body": "env:BAD"}, "body", "an unknown placeholder (not shown)"),
        ({"secrets": {"to": "env:TOKEN"}}, "secrets.to", "a fact of the message"),
        ({"secrets": {"A": "env:TOKEN"}}, "secrets.A", '"A" is not allowed'),
        ({"secrets": {"token": "hunter2"}}, "secrets.token", "a plain value (not shown)"),
        ({"secrets": {"token": "env:NONE"}}, "secrets.token", "NONE is not set"),
        ({"secrets": {f"s{number}": "env:TOKEN" for number in range(17)}}, "secrets", "a table is not allowed"),
        ({"headers": {"X-A": "a\r\nB: c"}}, "headers.X-A", "several lines"),
        ({"headers": {"X-A": "a\nb"}}, "headers.X-A", "several lines"),
        ({"headers": {"X-A": "env:LINES"}}, "headers.X-A", "several lines"),
        ({"headers": {"X-A": "\u00e9"}}, "headers.X-A", "printable ASCII"),
        ({"headers": {"X-A": "a\tb"}}, "headers.X-A", "printable ASCII"),
        ({"headers": {"X:A": "b"}}, 'headers."X:A"', "the name of an HTTP header"),
        ({"headers": {"Host": "other"}}, "headers.Host", "a header that the client sets"),
        ({"headers": {"content-length": "5"}}, "headers.content-length", "a header that the client sets"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "headers.Transfer-Encoding", "a header that the client sets"),
        ({"headers": {f"X-{number}": "a" for number in range(33)}}, "headers", "a table is not allowed"),
        ({"headers": {"X-Api-Key": "hunter2"}}, "headers.X-Api-Key", "a plain value (not shown)"),
        ({"secrets": {"t": "env:LINES"}, "headers": {"X-A": "{t}"}}, "secrets.t", "cannot be in a header"),
        ({"secrets": {"t": "env:UMLAUT"}, "headers": {"X-A": "{t}"}}, "secrets.t", "cannot be in a header"),
        ({"bearer_token": "env:LINES"}, "bearer_token", "cannot be in a header"),
        ({"bearer_token": "hunter2"}, "bearer_token", "a plain value (not shown)"),
        ({"username": "acme"}, "password", "missing"),
        ({"password": "env:TOKEN"}, "username", "missing"),
        ({"username": "a:b", "password": "env:TOKEN"}, "username", "a colon is not allowed"),
        ({"username": "a", "password": "env:TOKEN", "bearer_token": "env:TOKEN"}, "bearer_token", "exclude each other"),
        (
            {"username": "a", "password": "env:TOKEN", "headers": {"authorization": "env:TOKEN"}},
            "username",
            "exclude each other",
        ),
        ({"method": "GET"}, "body", "a body is not allowed with GET"),
        ({"method": "DELETE"}, "method", '"DELETE" is not allowed'),
        ({"body": '{"to": {to}, "text": "{text}"}'}, "body", "not JSON with every placeholder in quotes"),
        ({"body": '{"to": "\\{to}", "text": "{text}"}'}, "body", "not JSON with every placeholder in quotes"),
        ({"body": '{"to": "\\u00{to}", "text": "{text}"}'}, "body", "not JSON with every placeholder in quotes"),
        ({"body": '{"to": "{to}", "text": "{text}",}'}, "body", "not JSON with every placeholder in quotes"),
        ({"body": "[" * 5000 + '"{to}{text}"' + "]" * 3000}, "body", "not JSON with every placeholder in quotes"),
        ({"body": "to={to}&text={text}&a=b c"}, "body", "a character that a form cannot contain"),
        ({"body": "to={to}&text={text}&a=\u00e9"}, "body", "a character that a form cannot contain"),
        ({"body": "<m {to}='1'>{text}</m>"}, "body", "a placeholder in a tag"),
        ({"body": "<{to}>{text}</m>"}, "body", "a placeholder in a tag"),
        ({"body": "<m to={to}>{text}</m>"}, "body", "a placeholder in a tag"),
        ({"body": "<m a='>' to={to}>{text}</m>"}, "body", "a placeholder in a tag"),
        ({"body": "<m a='\"' to={to}>{text}</m>"}, "body", "a placeholder in a tag"),
        ({"body": "<m><!-- {to} --><t>{text}</t></m>"}, "body", "<! (a comment"),
        ({"body": "<m><![CDATA[{to}{text}]]></m>"}, "body", "<! (a comment"),
        ({"body": "<m a='{to}{text}"}, "body", "a tag without an end"),
        ({"body": "{to}: {text}", "body_format": None}, "body", "not JSON"),
        ({"body": "send {to} {text}"}, "body_format", "missing"),
        ({"body": BODY, "body_format": "yaml"}, "body_format", '"yaml" is not allowed'),
        (
            {"body_format": "text", "headers": {"Content-Type": "application/json"}},
            "body_format",
            '"text" escapes nothing',
        ),
        ({"body": BODY + " " * 8192}, "body", "too long; allowed: at most 8192 characters"),
        ({"url": "https://{to}.example.com/"}, "url", "the value (not shown)"),
        ({"url": "https://h/#a"}, "url", "the value (not shown)"),
        ({"url": "https://acme:hunter2@h/"}, "url", "the value (not shown)"),
        ({"url": "ftp://h/"}, "url", "the value (not shown)"),
        ({"url": "https://h/a b"}, "url", "the value (not shown)"),
        ({"url": "/send"}, "url", "a path without base_url"),
        ({"query": {"from": "{sender}"}}, "sender", "missing"),
        ({"to_format": "local"}, "to_format", '"local" is not allowed'),
        ({"idempotent_send": True, "body": '{"to": "{to}", "t": "{text}"}'}, "idempotent_send", "without {message_id}"),
        ({"accepted_when": {"status": 99}}, "accepted_when", "the status 99"),
        ({"accepted_when": {"status": "2x"}}, "accepted_when", 'the status "2x"'),
        ({"accepted_when": {"status": True}}, "accepted_when", "the status true"),
        ({"accepted_when": {"text": ""}}, "accepted_when", '"" is not allowed'),
        ({"accepted_when": {"code": 1}}, "accepted_when", 'the pointer "code"'),
        ({"accepted_when": {"/a~2": 1}}, "accepted_when", 'the pointer "/a~2"'),
        ({"accepted_when": {"/" + "a" * 255: 1}}, "accepted_when", "the pointer"),
        ({"accepted_when": {"/a": []}}, "accepted_when", "an empty list"),
        ({"accepted_when": {"/a": ["x"] * 65}}, "accepted_when", "a list of 65"),
        ({"accepted_when": {"/a": {"b": 1}}}, "accepted_when", "a table"),
        ({"accepted_when": {"/a": "x" * 256}}, "accepted_when", "too long"),
        ({"accepted_when": {}}, "accepted_when", "an empty table"),
        ({"accepted_when": ["/a"] * 17}, "accepted_when", "a list of 17"),
        ({"outcomes": [RULE] * 65}, "outcomes", "a list of 65"),
        ({"outcomes": [{**RULE, "outcome": "lost"}]}, "outcomes[0].outcome", '"lost" is not allowed'),
        ({"outcomes": [{"outcome": "funds"}]}, "outcomes[0].when", "missing"),
        ({"outcomes": [{**RULE, "then": 1}]}, "outcomes[0].then", "unknown key"),
        ({"balance": {"url": "https://h/b", "amount": "b"}}, "balance.amount", '"b" is not allowed'),
        ({"balance": {"url": "https://h/{to}", "amount": "/b"}}, "balance.url", "unknown placeholder {to}"),
        ({"balance": {"url": "/b", "amount": "/b"}}, "balance.url", "a path without base_url"),
        ({"receipts": {**RECEIPTS, "token": "env:SHORT"}}, "receipts.token", "fewer than 16 characters"),
        ({"receipts": {**RECEIPTS, "token": "hunter2-hunter2-hunter2"}}, "receipts.token", "a plain value (not shown)"),
        ({"receipts": {**RECEIPTS, "underway": ["OK"]}}, "receipts.status", "the state 'OK' is listed twice"),
        ({"receipts": {**RECEIPTS, "delivered": []}}, "receipts.delivered", "an empty list"),
        ({"receipts": {**RECEIPTS, "undelivered": {"NO": "accepted"}}}, "receipts.undelivered.NO", '"accepted"'),
        ({"receipts": {"status": "/s", "delivered": ["1"]}}, "receipts.token", "missing"),
        ({"receipts": {**RECEIPTS, "message_id": "id"}}, "receipts.message_id", '"id" is not allowed'),
        (
            {"receipts": {"status": "/s", "delivered": ["1"], "token": "env:TOKEN"}},
            "receipts.message_id",
            "missing",
        ),
        ({"receipts": RECEIPTS, "body": FORM["body"]}, "receipts.message_id", "the request has no {message_id}"),
    ],
)  # fmt: skip
def test_errors(keys: dict[str, Any], path: str, found: str) -> None:
    """Each error is one line with its path, and shows nothing of a secret."""
    [error] = load_errors(**keys)
    assert error.startswith(f"{path}: ")
    assert found in error
    assert not re.search(r"h.nter2|oops", error.replace("(not shown)", ""))


def test_what_is_probably_unintended() -> None:
    """Without `accepted_when`, and with a receipt URL that the service does not have, `check-config` warns."""
    table = {**BASE, "query": {"dlr": "{receipt_url}"}}
    document = merged(dev_config("redis://127.0.0.1"), demo_policy(channels=["sms"]))
    inbox = document["providers"]["inbox"]
    document |= {"providers": {"own": table, "inbox": inbox}, "routes": [{"providers": ["own", "inbox"]}]}
    assert config_warnings(load(document, {}, plain_secrets=True)) == [
        "providers.own: without server.public_url it cannot send receipts: messages stay in status sent",
        "providers.own: without accepted_when every HTTP status 2xx is an acceptance",
    ]
    document["providers"]["own"]["accepted_when"] = "/ok"
    document["server"] = {"public_url": "https://otp.example.com"}
    assert config_warnings(load(document, {}, plain_secrets=True)) == []
