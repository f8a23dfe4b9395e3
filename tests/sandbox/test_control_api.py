"""The control API of the sandbox: the scripts that it accepts and returns, and the requests that it rejects."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.sandbox.sandbox_client import SandboxClient, sandbox_http_client


async def test_a_gateway_can_stay_down(sandbox: SandboxClient) -> None:
    """With `always` down, the port refuses connections and `listening` is false, until the script changes."""
    shown = (await sandbox.script("hub", {"always": "down"})).json()
    assert (shown["listening"], shown["script"]["always"]) == (False, "down")
    async with sandbox_http_client() as client:
        with pytest.raises(httpx.ConnectError):
            await client.post(shown["address"] + "/Login")
        await sandbox.script("hub", {"always": None})
        await sandbox.gateway("hub", listening=True)
        assert (await client.post(shown["address"] + "/Login")).status_code == 415


STEP = "/next/0"
REFUSED: list[tuple[str, object, str]] = [
    ("keda", b"", ""),
    ("keda", b"[" * 9000, ""),
    ("keda", [], ""),
    ("keda", {"net": []}, "/net"),
    ("keda", {"next": None}, "/next"),
    ("keda", {"next": "hang"}, "/next"),
    ("keda", {"next": ["sleep"]}, STEP),
    ("keda", {"next": [True]}, STEP),
    ("keda", {"next": [{}]}, STEP),
    ("keda", {"next": ["hang", {"say": 402, "status": 503}]}, "/next/1"),
    ("keda", {"next": [{"say": 200}]}, STEP + "/say"),
    ("keda", {"next": [{"say": "402"}]}, STEP + "/say"),
    ("keda", {"next": [{"message": "x"}]}, STEP),
    ("keda", {"next": [{"status": 503, "message": "x"}]}, STEP + "/message"),
    ("keda", {"next": [{"status": 99}]}, STEP + "/status"),
    ("keda", {"next": [{"status": 503, "headers": {"A": "b\r\nC: d"}}]}, STEP + "/headers"),
    ("keda", {"next": [{"slow": 0}]}, STEP + "/slow"),
    ("keda", {"next": [{"down": 1, "more": 1}]}, STEP + "/more"),
    ("keda", {"always": ["hang"]}, "/always"),
    ("jakarta", {"always": {"say": 0}}, "/always/say"),
    ("jakarta", {"always": {"say": -1, "message": "x"}}, "/always/message"),
    ("aurora", {"always": {"say": 200}}, "/always/say"),
    ("hub", {"always": {"say": -1}}, "/always/say"),
    ("twilio", {"always": {"say": 400}}, "/always/say"),
    ("twilio", {"always": {"say": 21211, "message": "x"}}, "/always/message"),
    ("twilio", {"receipts": {"say": "undelivered", "reason": 999}}, "/receipts/reason"),
    ("twilio", {"form": "json"}, "/form"),
    ("infobip", {"always": {"say": 5}}, "/always/say"),
    ("keda", {"inbound": {"from": "+6281210100055"}}, "/inbound"),
    ("aurora", {"inbound": {"text": "STOP"}}, "/inbound/from"),
    ("aurora", {"inbound": {"from": "0812"}}, "/inbound/from"),
    ("keda", {"receipts": {}}, "/receipts/say"),
    ("keda", {"receipts": "delivered"}, "/receipts"),
    ("keda", {"receipts": {"say": "read"}}, "/receipts/say"),
    ("keda", {"receipts": [{"say": "sent"}, {"say": "sent", "times": 0}]}, "/receipts/1/times"),
    ("keda", {"receipts": {"say": "delivered", "after": -1}}, "/receipts/after"),
    ("keda", {"receipts": {"say": "delivered", "url": "ftp://x"}}, "/receipts/url"),
    ("keda", {"receipts": {"say": "delivered", "reason": "REJECTED"}}, "/receipts/reason"),
    ("keda", {"receipts": {"say": "undelivered", "reason": 500}}, "/receipts/reason"),
    ("aurora", {"receipts": [{"say": "undelivered", "reason": 700}]}, "/receipts/0/reason"),
    ("aurora", {"receipts": [{"say": "undelivered", "reason": "REJECTED"}]}, "/receipts/0/reason"),
    ("jakarta", {"receipts": {"say": "delivered", "times": 2}}, "/receipts/times"),
    ("jakarta", {"receipts": {"say": "delivered", "url": "http://127.0.0.1:1/"}}, "/receipts/url"),
    ("hub", {"receipts": {"say": "delivered"}}, "/receipts"),
    ("vonage", {"always": {"say": 100}}, "/always/say"),
    ("smsc", {"always": {"say": 0}}, "/always/say"),
    ("smsc", {"next": [{"status": 503}]}, "/next/0/status"),
    ("smsc", {"receipts": {"say": "sent", "url": "http://127.0.0.1/"}}, "/receipts/url"),
    ("whatsapp", {"always": {"say": -1}}, "/always/say"),
    ("smtp", {"always": {"say": 250}}, "/always/say"),
    ("smtp", {"receipts": {"say": "delivered"}}, "/receipts"),
    ("twilio_voice", {"receipts": {"say": "undelivered", "reason": "asleep"}}, "/receipts/reason"),
    ("vonage_voice", {"receipts": {"say": "undelivered", "reason": 5}}, "/receipts/reason"),
    ("vonage_voice", {"always": {"say": 200}}, "/always/say"),
    ("whatsapp", {"receipts": {"say": "undelivered", "reason": "x"}}, "/receipts/reason"),
    ("vonage", {"receipts": {"say": "undelivered", "reason": 100}}, "/receipts/reason"),
    ("aurora", {"form": "xml"}, "/form"),
    ("aurora", {"form": "query"}, "/form"),
    ("keda", {"form": "json"}, "/form"),
]


async def test_an_invalid_script_is_rejected(sandbox: SandboxClient) -> None:
    """The problem points at the invalid member, and nothing changes, not even by the valid members."""
    before = await sandbox.gateways()
    for name, script, pointer in REFUSED:
        beside = {"next": ["cut"], "always": "hang"} if isinstance(script, dict) else {}
        body = script if isinstance(script, bytes) else json.dumps(beside | script if beside else script).encode()  # type: ignore[operator]  # `script` is a dict then
        headers = {"Content-Type": "application/json"}
        response = await sandbox.client.post(f"/dev/gateways/{name}", content=body, headers=headers)
        problem = response.json()
        assert (response.status_code, response.headers["content-type"]) == (400, "application/problem+json"), script
        assert problem["code"] == "request_malformed"
        assert [mistake["pointer"] for mistake in problem["errors"]] == [pointer], (script, problem)
    assert {name: one["script"] for name, one in (await sandbox.gateways()).items()} == {
        name: one["script"] for name, one in before.items()
    }


@pytest.mark.parametrize(
    ("method", "path", "media_type", "status", "code"),
    [
        ("POST", "/dev/gateways/nobody", "application/json", 404, "not_found"),
        ("GET", "/dev/gateways/nobody", "", 404, "not_found"),
        ("POST", "/dev/gateways", "application/json", 405, "method_not_allowed"),
        ("DELETE", "/dev/gateways/keda", "", 405, "method_not_allowed"),
        ("POST", "/dev/gateways/keda", "text/plain", 415, "media_type_unsupported"),
        ("PUT", "/dev/gateways", "", 405, "method_not_allowed"),
        ("GET", "/dev/gatewaysandmore", "", 404, "not_found"),
    ],
)
async def test_other_requests_are_rejected(
    sandbox: SandboxClient, *, method: str, path: str, media_type: str, status: int, code: str
) -> None:
    """The response is a problem as the service's API returns; a page of another origin cannot send JSON."""
    response = await sandbox.client.request(method, path, content=b"{}", headers={"Content-Type": media_type})
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert (status != 405) or response.headers["allow"].startswith("GET, HEAD, OPTIONS")


@pytest.mark.parametrize(
    ("path", "allow"), [("/dev/gateways", "GET, HEAD, OPTIONS"), ("/dev/gateways/keda", "GET, HEAD, OPTIONS, POST")]
)
async def test_options_and_head_work(sandbox: SandboxClient, path: str, allow: str) -> None:
    """OPTIONS returns the methods in Allow, and HEAD is GET without a body, as on the paths of the API."""
    options = await sandbox.client.options(path)
    assert (options.status_code, options.headers["allow"]) == (204, allow)
    head = await sandbox.client.head(path)
    assert (head.status_code, head.content) == (200, b"")


async def test_every_step_can_be_scripted(sandbox: SandboxClient) -> None:
    """The pending steps are returned as they were sent."""
    script = {
        "next": [None, "hang", "hang-unsent", "cut", "cut-unsent", "down", {"slow": 0.1}, {"down": 9},
                 {"say": 402, "message": "Insufficient balance"}, {"status": 502, "body": "x", "headers": {"A": "b"}}],
        "always": {"say": 599},
    }  # fmt: skip
    shown = (await sandbox.script("keda", script)).json()["script"]
    assert {key: shown[key] for key in script} == script
    again = (await sandbox.client.get("/dev/gateways/keda")).json()
    assert again["script"] == shown
