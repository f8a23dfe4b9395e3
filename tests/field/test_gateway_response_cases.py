"""Field cases E01 to E13: encodings and formats of gateway responses, receipts, and templates for apps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.simulators.http_server import Raw, Request, Respond, Simulator, SimulatorResponse
from tests.delivery.gateway_pairs import GatewayPair, gateway_pair
from tests.delivery.gateway_types import HTTP_GATEWAY_TYPES
from tests.message_waits import code_in, wait_for_deliveries, wait_for_message
from tests.running_service import RunningService, ServiceFactory

Rewrite = Callable[[bytes], bytes]
ENCODINGS: Final[dict[str, Rewrite]] = {
    "E01-bom": lambda body: b"\xef\xbb\xbf" + body,
    "E02-nul": lambda body: body + b"\0",
    "E02-many-nuls": lambda body: body + b"\0" * 512,
    "space": lambda body: b"\r\n \t" + body + b"\r\n\0 \n",
    "bom-and-space": lambda body: b"\xef\xbb\xbf\r\n" + body + b" \0",
    "utf-16": lambda body: body.decode().encode("utf-16"),
    "utf-16-without-mark": lambda body: body.decode().encode("utf-16-le"),
}
PATIENT: Final = {"timeout_seconds": 30}
"""Options of the first gateway where it answers at once: on a loaded machine, too, no response is late."""

LABELS: Final = ("text/html; charset=iso-8859-1", "application/json; charset=utf-16", "text/plain", "")


def rewrite_responses(simulator: Simulator, change: Rewrite, label: str | None = None) -> None:
    """Make a simulator change the bytes of its responses, also of logins, or their content type."""
    plain = simulator.answer

    def answer(request: Request) -> SimulatorResponse:
        reply = plain(request)
        headers = dict(reply.headers) if label is None else {**reply.headers, "Content-Type": label}
        return SimulatorResponse(change(reply.body), reply.status, headers)

    simulator.answer = answer  # type: ignore[method-assign]  # one instance answers otherwise


async def assert_one_message(service: RunningService, both: GatewayPair) -> None:
    """Assert that one request makes one message, accepted by the first gateway."""
    verification_id = (await service.request(channel=both.kind.channel)).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    assert (both.providers_called, both.message_count) == (("first",), 1)


@pytest.mark.parametrize("gateway", HTTP_GATEWAY_TYPES)
@pytest.mark.parametrize("change", ENCODINGS.values(), ids=ENCODINGS)
async def test_success_is_recognized_in_any_encoding(
    make_service: ServiceFactory, gateway: str, change: Rewrite
) -> None:
    """A byte order mark, NULs, spaces or another encoding do not turn a success into a second message."""
    async with gateway_pair(gateway) as both:
        rewrite_responses(both.first, change)
        await assert_one_message(await make_service(both.config(options=PATIENT, hold_seconds=0.2)), both)


@pytest.mark.parametrize("gateway", HTTP_GATEWAY_TYPES)
@pytest.mark.parametrize("label", LABELS)
async def test_the_content_type_is_ignored(make_service: ServiceFactory, gateway: str, label: str) -> None:
    """E04: JSON with another media type or charset is parsed."""
    async with gateway_pair(gateway) as both:
        rewrite_responses(both.first, lambda body: body, label)
        await assert_one_message(await make_service(both.config(options=PATIENT, hold_seconds=0.2)), both)


@pytest.mark.parametrize("gateway", HTTP_GATEWAY_TYPES)
@pytest.mark.parametrize("case", ["E01-bom", "E02-nul", "utf-16"])
async def test_unusual_successes_open_no_circuit(make_service: ServiceFactory, gateway: str, case: str) -> None:
    """E01, E02: after 8 such responses no circuit is open (5 could open one); the second gateway got no message."""
    async with gateway_pair(gateway) as both:
        rewrite_responses(both.first, ENCODINGS[case])
        service = await make_service(both.config(options=PATIENT, hold_seconds=0.2))
        for n in range(8):
            response = await service.request(f"+62812{n:07d}", channel=both.kind.channel)
            verification_id = response.json()["verification_id"]
            await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        assert (len(both.first.messages), len(both.second.messages)) == (8, 0)


async def test_a_latin_1_response_is_parsed(make_service: ServiceFactory) -> None:
    """A Latin-1 body with an accent, labelled as UTF-8, is parsed."""
    body = '{"status":0,"array":[[6281210100055,1620443]],"success":1,"fail":0,"remark":"envoyé"}'.encode("latin-1")
    async with gateway_pair("eims") as both:
        both.first.script(Respond(SimulatorResponse(body, 200, {"Content-Type": "application/json;charset=utf-8"})))
        service = await make_service(both.config(options=PATIENT, hold_seconds=0.2))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        assert both.providers_called == ("first",)


WHOLE: Final = b'{"status":0,"array":[[6281210100055,1620443]],"success":1,"fail":0}'


@pytest.mark.parametrize(
    ("body", "first"),
    [
        (WHOLE, ("sent", None)),
        (b"\xef\xbb\xbf" + WHOLE + b"\0", ("sent", None)),
        (b'{"status":-10}', ("failed", "funds")),
        (WHOLE[:-1], ("unknown", "ambiguous")),
        (b"0", ("unknown", "ambiguous")),
        (b"", ("unknown", "ambiguous")),
    ],
)
async def test_a_wrong_content_length(make_service: ServiceFactory, body: bytes, first: tuple[str, str | None]) -> None:
    """A complete body counts in spite of a wrong `Content-Length`; a partial one is ambiguous."""
    async with gateway_pair("eims") as both:
        both.first.script(Raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(body) + 3) + body))
        service = await make_service(both.config(hold_seconds=0.2))
        verification_id = (await service.request()).json()["verification_id"]
        second = {} if first[0] == "sent" else {"second": ("sent", None)}
        await wait_for_deliveries(service, verification_id, {"first": first, **second})


NUMBER_FORMATS: Final = (
    '"081210100055"',
    '"0062 812 1010 0055"',
    '"+62 812-1010-0055"',
    '"+6281210100055"',
    "81210100055",
    "6281210100055",
    '"62-812-1010-0055"',
    '"62812****0055"',
    '"*****10100055"',
    '"6208 1210100055"',
    "6281210100055.0",
    "null",
)


@pytest.mark.parametrize("number", NUMBER_FORMATS)
async def test_the_echoed_number_can_have_another_format(make_service: ServiceFactory, number: str) -> None:
    """E02: one number in the request and one row in the response make one success."""
    body = f'{{"status":0,"array":[[{number},1620443]],"success":1,"fail":0}}'.encode()
    async with gateway_pair("eims") as both:
        both.first.script(Respond(SimulatorResponse(body)))
        service = await make_service(both.config(options=PATIENT, hold_seconds=0.2))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        assert both.providers_called == ("first",)


@pytest.mark.parametrize(
    "body",
    [
        '{"status":0,"array":[["6281299999999",7]],"success":1,"fail":0}',
        '{"status":0,"array":[["62812****0055",7]],"success":0,"fail":0}',
        '{"status":0,"array":[["62812****0055",7],["62813****0055",8]],"success":2,"fail":0}',
    ],
)
async def test_a_response_about_another_message_is_ambiguous(make_service: ServiceFactory, body: str) -> None:
    """E02: another number, no success count or two rows are ambiguous: after the hold, the next gateway sends."""
    async with gateway_pair("eims") as both:
        both.first.script(Respond(SimulatorResponse(body.encode())))
        service = await make_service(both.config(hold_seconds=0.2))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(
            service, verification_id, {"first": ("unknown", "ambiguous"), "second": ("sent", None)}
        )


@pytest.mark.parametrize(
    ("answer", "first"),
    [
        (SimulatorResponse(b"<html>Bad Gateway</html>", 502, {"Content-Type": "text/html"}), ("unknown", "ambiguous")),
        (SimulatorResponse(b"<html>Busy</html>", 503, {"Retry-After": "30"}), ("failed", "transient")),
        (SimulatorResponse(b"It works", 200), ("unknown", "ambiguous")),
        (SimulatorResponse(b'\xef\xbb\xbf{"status":"-10"}\0', 200, {"Content-Type": "text/html"}), ("failed", "funds")),
    ],
)
async def test_a_rejection_is_recognized_in_any_encoding(
    make_service: ServiceFactory, answer: SimulatorResponse, first: tuple[str, str]
) -> None:
    """E04, E05: after an HTML page or an encoded rejection, the second gateway gets the same code."""
    async with gateway_pair("eims") as both:
        both.first.script(Respond(answer))
        service = await make_service(both.config(hold_seconds=0.2))
        verification_id = (await service.request()).json()["verification_id"]
        found = code_in((await wait_for_message(both.second)).text)
        assert found == both.code_of(both.sends("first")[0])
        await wait_for_deliveries(service, verification_id, {"first": first, "second": ("sent", None)})


@pytest.mark.parametrize(
    ("statuses", "end"),
    [(("DELIVERED", "DELIVERED", "DELIVERED", "SENT"), "delivered"), (("DELIVERED", "UNDELIVERED"), "delivered")],
)
async def test_a_final_status_stays(make_service: ServiceFactory, statuses: tuple[str, ...], end: str) -> None:
    """E06: repeated, late or contradicting receipts do not change a final status."""
    async with gateway_pair("kedasms") as both:
        service = await make_service(both.config())
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        keda: Any = both.first
        [message] = keda.messages
        path = message.callback_url.removeprefix("https://otp.example.com")
        for status in statuses:
            response = await service.caller(None).post(path, content=keda.callback(message, status))
            assert response.status_code == 200
        await wait_for_deliveries(service, verification_id, {"first": (end, None)})


@pytest.mark.parametrize("change", [ENCODINGS["E01-bom"], ENCODINGS["E02-nul"], ENCODINGS["utf-16"]])
async def test_a_receipt_is_recognized_in_any_encoding(make_service: ServiceFactory, change: Rewrite) -> None:
    """The same bytes around the JSON of a callback are ignored."""
    async with gateway_pair("kedasms") as both:
        service = await make_service(both.config())
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        keda: Any = both.first
        path = keda.messages[0].callback_url.removeprefix("https://otp.example.com")
        await service.caller(None).post(path, content=change(keda.callback(keda.messages[0], "DELIVERED")))
        await wait_for_deliveries(service, verification_id, {"first": ("delivered", None)})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/receipts/first/wrong.token", 401),
        ("POST", "/v1/receipts/nobody/wrong.token", 401),
        ("POST", "/v1/receipts/first", 401),
        ("GET", "/v1/receipts/first/wrong.token", 401),
        ("HEAD", "/v1/receipts/first/wrong.token", 405),
        ("DELETE", "/v1/receipts/first/wrong.token", 405),
    ],
)
async def test_an_invalid_receipt_has_no_effect(
    make_service: ServiceFactory, method: str, path: str, status: int
) -> None:
    """E09: an invalid receipt changes no delivery, and HEAD and DELETE are not receipts."""
    async with gateway_pair("kedasms") as both:
        service = await make_service(both.config())
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        response = await service.caller(None).request(method, path)
        assert response.status_code == status
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})


LINES: Final = {
    "E10": "{brand}: {code}\n\n@example.com #{code}",
    "E11": "<#> {brand}: {code}\nFA+9qCX9VSu",
}


@pytest.mark.parametrize("template", LINES.values(), ids=LINES)
@pytest.mark.parametrize(
    ("gateway", "options"),
    [("eims", {"method": "get"}), ("eims", {"method": "post"}), ("kedasms", {}), ("smshub", {})],
)
async def test_app_hashes_arrive_unchanged(
    make_service: ServiceFactory, gateway: str, options: dict[str, Any], template: str
) -> None:
    """E10, E11: newlines, `<#>` and an app hash with `+` arrive unchanged through each gateway that sends text."""
    async with gateway_pair(gateway) as both:
        own = {"tenants": {"demo": {"templates": {"id": {"default": template}}}}}
        service = await make_service(merged(both.config(options=options), own))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        text = both.kind.text_of(both.sends("first")[0].request)
        code = code_in(text)
        assert text == template.replace("{brand}", "Demo").replace("{code}", code)


async def test_two_apps_use_two_purposes(make_service: ServiceFactory) -> None:
    """E12: a template belongs to a locale and a purpose, so each app's hash has its own purpose."""
    texts = {"default": "{code} one", "login_debug": "{code} two"}
    config = {"tenants": {"demo": {"purposes": ["login", "login_debug"], "templates": {"id": texts}}}}
    service = await make_service(config)
    for purpose, end in (("login", "one"), ("login_debug", "two")):
        verification_id, _ = await service.request_code(purpose=purpose)
        assert (await service.message_of(verification_id)).text.endswith(end)
