"""Field cases E01 to E13: how gateways dress their answers, and what templates hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.simulators.http_server import Raw, Request, Respond, Simulator, SimulatorResponse
from tests.delivery.gateway_pairs import GATEWAY_TYPES, GatewayPair, gateway_pair
from tests.message_waits import code_in, wait_for_deliveries, wait_for_message
from tests.running_service import RunningService, ServiceFactory

Dress = Callable[[bytes], bytes]
DRESSES: Final[dict[str, Dress]] = {
    "E01-bom": lambda body: b"\xef\xbb\xbf" + body,
    "E02-nul": lambda body: body + b"\0",
    "E02-many-nuls": lambda body: body + b"\0" * 512,
    "space": lambda body: b"\r\n \t" + body + b"\r\n\0 \n",
    "bom-and-space": lambda body: b"\xef\xbb\xbf\r\n" + body + b" \0",
    "utf-16": lambda body: body.decode().encode("utf-16"),
    "utf-16-without-mark": lambda body: body.decode().encode("utf-16-le"),
}
LABELS: Final = ("text/html; charset=iso-8859-1", "application/json; charset=utf-16", "text/plain", "")


def dress(simulator: Simulator, change: Dress, label: str | None = None) -> None:
    """Have a simulator write the same answers in another dress, its logins too."""
    plain = simulator.answer

    def answer(request: Request) -> SimulatorResponse:
        reply = plain(request)
        headers = dict(reply.headers) if label is None else {**reply.headers, "Content-Type": label}
        return SimulatorResponse(change(reply.body), reply.status, headers)

    simulator.answer = answer  # type: ignore[method-assign]


async def accepted(service: RunningService, both: GatewayPair) -> None:
    """Hold that one request makes one text, at the first gateway, which has taken it."""
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    assert (both.providers_called, both.message_count) == (("first",), 1)


@pytest.mark.parametrize("gateway", GATEWAY_TYPES)
@pytest.mark.parametrize("change", DRESSES.values(), ids=DRESSES)
async def test_a_success_is_one_in_any_dress(make_service: ServiceFactory, gateway: str, change: Dress) -> None:
    """A byte order mark, NULs, spaces and another encoding around an acceptance leave it one: no second text."""
    async with gateway_pair(gateway) as both:
        dress(both.first, change)
        await accepted(await make_service(both.config(hold_seconds=0.2)), both)


@pytest.mark.parametrize("gateway", GATEWAY_TYPES)
@pytest.mark.parametrize("label", LABELS)
async def test_the_label_of_a_body_is_not_believed(make_service: ServiceFactory, gateway: str, label: str) -> None:
    """E04: JSON under another type or charset is read."""
    async with gateway_pair(gateway) as both:
        dress(both.first, lambda body: body, label)
        await accepted(await make_service(both.config(hold_seconds=0.2)), both)


@pytest.mark.parametrize("gateway", GATEWAY_TYPES)
@pytest.mark.parametrize("case", ["E01-bom", "E02-nul", "utf-16"])
async def test_a_gateway_that_takes_every_text_is_not_taken_out(
    make_service: ServiceFactory, gateway: str, case: str
) -> None:
    """E01, E02: after 20 such answers no circuit is open, and the second gateway has nothing."""
    async with gateway_pair(gateway) as both:
        dress(both.first, DRESSES[case])
        service = await make_service(both.config(hold_seconds=0.2))
        for n in range(20):
            verification_id = (await service.request(f"+62812{n:07d}")).json()["verification_id"]
            await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        assert (len(both.first.messages), len(both.second.messages)) == (20, 0)


async def test_a_latin_1_answer_is_read(make_service: ServiceFactory) -> None:
    """Its label says UTF-8; one word of it has an accent."""
    body = '{"status":0,"array":[[6281210100055,1620443]],"success":1,"fail":0,"remark":"envoyé"}'.encode("latin-1")
    async with gateway_pair("eims") as both:
        both.first.script(Respond(SimulatorResponse(body, 200, {"Content-Type": "application/json;charset=utf-8"})))
        service = await make_service(both.config(hold_seconds=0.2))
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
async def test_a_body_that_is_shorter_than_was_said(
    make_service: ServiceFactory, body: bytes, first: tuple[str, str | None]
) -> None:
    """A whole answer counts although its `Content-Length` is wrong; half a one may have been sent."""
    async with gateway_pair("eims") as both:
        both.first.script(Raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(body) + 3) + body))
        service = await make_service(both.config(hold_seconds=0.2))
        verification_id = (await service.request()).json()["verification_id"]
        second = {} if first[0] == "sent" else {"second": ("sent", None)}
        await wait_for_deliveries(service, verification_id, {"first": first, **second})


SPELLINGS: Final = (
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


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_the_number_may_come_back_in_another_spelling(make_service: ServiceFactory, spelling: str) -> None:
    """E02: one number was asked for, one row is there, and one success is counted."""
    body = f'{{"status":0,"array":[[{spelling},1620443]],"success":1,"fail":0}}'.encode()
    async with gateway_pair("eims") as both:
        both.first.script(Respond(SimulatorResponse(body)))
        service = await make_service(both.config(hold_seconds=0.2))
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
async def test_what_is_not_ours_is_not_an_acceptance(make_service: ServiceFactory, body: str) -> None:
    """E02: another number, no success, or two rows: nobody knows, and after the hold another gateway is asked."""
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
async def test_a_refusal_is_one_in_any_dress(
    make_service: ServiceFactory, answer: SimulatorResponse, first: tuple[str, str]
) -> None:
    """E04, E05: pages and dressed refusals; the second gateway gets the same code."""
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
async def test_the_last_word_stays(make_service: ServiceFactory, statuses: tuple[str, ...], end: str) -> None:
    """E06: receipts that come again, late or against each other undo nothing."""
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


@pytest.mark.parametrize("change", [DRESSES["E01-bom"], DRESSES["E02-nul"], DRESSES["utf-16"]])
async def test_a_receipt_is_one_in_any_dress(make_service: ServiceFactory, change: Dress) -> None:
    """The same bytes around a callback's JSON are passed over."""
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
async def test_a_receipt_that_proves_nothing(make_service: ServiceFactory, method: str, path: str, status: int) -> None:
    """E09: it changes nothing, and HEAD and DELETE are no receipts."""
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
async def test_lines_for_apps_arrive_unchanged(
    make_service: ServiceFactory, gateway: str, options: dict[str, Any], template: str
) -> None:
    """E10, E11: newlines, `<#>` and an app's hash with a `+` come through each gateway that takes a text."""
    async with gateway_pair(gateway) as both:
        own = {"tenants": {"demo": {"templates": {"id": {"default": template}}}}}
        service = await make_service(merged(both.config(options=options), own))
        verification_id = (await service.request()).json()["verification_id"]
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        text = both.kind.text_of(both.sends("first")[0].request)
        code = code_in(text)
        assert text == template.replace("{brand}", "Demo").replace("{code}", code)


async def test_two_apps_of_a_tenant_have_a_purpose_each(make_service: ServiceFactory) -> None:
    """E12: one template for each locale and purpose, so another app's hash is another purpose's."""
    texts = {"default": "{code} one", "login_debug": "{code} two"}
    config = {"tenants": {"demo": {"purposes": ["login", "login_debug"], "templates": {"id": texts}}}}
    service = await make_service(config)
    for purpose, end in (("login", "one"), ("login_debug", "two")):
        verification_id, _ = await service.request_code(purpose=purpose)
        assert (await service.message_of(verification_id)).text.endswith(end)
