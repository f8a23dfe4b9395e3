"""What an EIMS gateway's answers, and its silences, mean; and that each message is sent over the wire once."""

from __future__ import annotations

import gzip

import pytest

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from otp_service.sandbox.simulators.http_server import Behaviour, Raw, Respond, SimulatorResponse
from tests.delivery.eims_adapter import DIGITS, eims_provider, outbound
from tests.delivery.gateway_config import GatewayFactory

STATUSES = {
    -1: "config_error",
    -2: "config_error",
    -3: "content_rejected",
    -4: "content_rejected",
    -5: "content_rejected",
    -6: "content_rejected",
    -7: "content_rejected",
    -8: "recipient_invalid",
    -9: "recipient_invalid",
    -10: "funds",
    -11: "config_error",
    -12: "transient",
    -13: "config_error",
    -14: "config_error",
    -15: "throttled",
    -16: "config_error",
    -17: "content_rejected",
    -18: "transient",
    -19: "destination_unsupported",
    **dict.fromkeys(range(-25, -19), "config_error"),
    -26: "transient",
    -27: "throttled",
    -28: "recipient_blocked",
    **dict.fromkeys(range(-32, -28), "config_error"),
    -99: "config_error",  # a refusal that nobody has written down
}


def said(body: str | bytes, status: int = 200, **headers: str) -> Respond:
    """Make the behaviour of a gateway that answers just this."""
    raw = body.encode() if isinstance(body, str) else body
    return Respond(SimulatorResponse(raw, status, {name.replace("_", "-"): value for name, value in headers.items()}))


def rows(array: str, success: int, fail: int) -> Respond:
    """Make an answer with status 0."""
    return said(f'{{"status":0,"array":{array},"success":{success},"fail":{fail}}}')


@pytest.mark.parametrize(("status", "outcome"), STATUSES.items())
async def test_every_status_has_its_outcome(gateway: EimsSimulator, status: int, outcome: str) -> None:
    """A status means the same as a number and as a string."""
    gateway.script(refusal(status), refusal(str(status)))
    async with eims_provider(gateway) as provider:
        delivered = [await provider.send(outbound()) for _ in range(2)]

    assert [one.outcome.value for one in delivered] == [outcome, outcome]


@pytest.mark.parametrize(
    "array",
    [
        f"[[{DIGITS},1620443]]",
        f'[["{DIGITS}",1620443]]',
        f'[["+{DIGITS}","1620443"]]',
        f'[[{DIGITS},1620443,"more"]]',
        f"[[628110000000,7],[{DIGITS},1620443]]",
    ],
    ids=["int", "string", "plus", "more members", "second row"],
)
async def test_our_number_is_found_however_it_is_written(gateway: EimsSimulator, array: str) -> None:
    """A row with our number is acceptance, and its second member the gateway's id."""
    gateway.script(rows(array, 1, 0))
    async with eims_provider(gateway) as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.ACCEPTED, "1620443")


async def test_the_status_of_acceptance_may_be_a_string(gateway: EimsSimulator) -> None:
    """`"0"` is 0."""
    gateway.script(said(f'{{"status":"0","array":[[{DIGITS},9]],"success":"1","fail":"0"}}'))
    async with eims_provider(gateway) as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.ACCEPTED, "9")


async def test_the_simulator_can_write_numbers_as_text(make_gateway: GatewayFactory) -> None:
    """Both ways of the field are there to be tried."""
    gateway = await make_gateway(numbers_as_text=True, refused={"6281210100056"})
    async with eims_provider(gateway) as provider:
        taken = await provider.send(outbound())
        left_out = await provider.send(outbound(to="+6281210100056"))

    assert (taken, left_out.outcome) == (SendResult(Outcome.ACCEPTED, "1620443"), Outcome.TRANSIENT)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (rows("[]", 0, 1), "transient"),
        (rows("[[6281100000000,7]]", 0, 1), "transient"),
        (said('{"status":0,"success":"0","fail":"1"}'), "transient"),
        (rows("[]", 0, 0), "ambiguous"),
        (rows("[]", 1, 0), "ambiguous"),
        (rows("[[6281100000000,7]]", 1, 0), "ambiguous"),
        (rows("null", 0, 0), "ambiguous"),
        (rows("5", 0, 0), "ambiguous"),
        (rows(f"[[{DIGITS}]]", 0, 0), "ambiguous"),
        (said('{"status":0}'), "ambiguous"),
    ],
)
async def test_a_missing_number_is_a_refusal_only_if_the_gateway_says_so(
    gateway: EimsSimulator, answer: Behaviour, outcome: str
) -> None:
    """Status 0 without our number: refused when `fail` says it, and otherwise nobody knows."""
    gateway.script(answer)
    async with eims_provider(gateway) as provider:
        assert (await provider.send(outbound())).outcome.value == outcome


@pytest.mark.parametrize(
    "answer",
    [
        said(b""),
        said("OK"),
        said("<html><body>It works</body></html>"),
        said(b"\xff\xfe\x00"),
        said("[]"),
        said("null"),
        said('"0"'),
        said('{"status":null}'),
        said('{"status":"yes"}'),
        said('{"status":1.5}'),
        said('{"code":0,"id":7}'),
        said("[" * 20_000),
        said('{"status":' * 20_000),
        said("{}", 204),
        said(b"not gzip", content_encoding="gzip"),
        Raw(b"SSH-2.0-OpenSSH_9.9\r\n"),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"),
        Raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000),
    ],
)
async def test_garbage_is_ambiguous(gateway: EimsSimulator, answer: Behaviour) -> None:
    """What answers like this may have sent."""
    gateway.script(answer)
    async with eims_provider(gateway) as provider:
        assert (await provider.send(outbound())).outcome is Outcome.AMBIGUOUS


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (401, "config_error"),
        (403, "config_error"),
        (404, "config_error"),
        (429, "throttled"),
        (400, "ambiguous"),
        (500, "ambiguous"),
        (502, "ambiguous"),
        (503, "ambiguous"),
        (504, "ambiguous"),
    ],
)
async def test_an_http_error_that_is_not_the_gateways_own(gateway: EimsSimulator, status: int, outcome: str) -> None:
    """Without a status of the gateway's own, HTTP decides; a web framework's error page has a `status` too."""
    page = f'{{"timestamp":1,"status":{status},"error":"Internal Server Error","path":"/sendsms"}}'
    gateway.script(said("<html>", status), said(page, status))
    async with eims_provider(gateway) as provider:
        delivered = [await provider.send(outbound()) for _ in range(2)]

    assert [one.outcome.value for one in delivered] == [outcome, outcome]


async def test_unavailable_with_a_time_to_come_back_was_not_taken(gateway: EimsSimulator) -> None:
    """503 with Retry-After comes from something that did not pass the request on."""
    gateway.script(said("<html>", 503, Retry_After="3"))
    async with eims_provider(gateway) as provider:
        assert (await provider.send(outbound())).outcome is Outcome.TRANSIENT


async def test_a_gateways_own_refusal_counts_under_any_http_status(gateway: EimsSimulator) -> None:
    """Its status says more than the one of HTTP."""
    gateway.script(said('{"status":-9}', 500))
    async with eims_provider(gateway) as provider:
        assert (await provider.send(outbound())).outcome is Outcome.RECIPIENT_INVALID


async def test_a_body_is_read_up_to_a_limit(gateway: EimsSimulator) -> None:
    """More than 64 KiB is not read, packed or not: such an answer is no answer."""
    long = f'{{"status":0,"array":[[{DIGITS},9]],"x":"{"y" * 70_000}"}}'.encode()
    packed = gzip.compress(b'{"status":0,"x":"' + b"y" * 50_000_000)
    gateway.script(said(long), said(packed, content_encoding="gzip"))
    async with eims_provider(gateway) as provider:
        outcomes = [(await provider.send(outbound())).outcome for _ in range(2)]

    assert outcomes == [Outcome.AMBIGUOUS, Outcome.AMBIGUOUS]


async def test_a_gateways_id_is_kept_short(gateway: EimsSimulator) -> None:
    """What a gateway calls a message takes no more room in the store than an id does."""
    gateway.script(said(f'{{"status":0,"array":[["{DIGITS}","{"9" * 5000}"]]}}'))
    async with eims_provider(gateway) as provider:
        delivered = await provider.send(outbound())

    assert delivered.outcome is Outcome.ACCEPTED
    assert len(delivered.provider_message_id) <= 64


async def test_messages_wrong_in_themselves_are_refused_by_the_gateway(gateway: EimsSimulator) -> None:
    """Numbers that are not 62..., an empty text, a text of 1024 bytes: the simulator says so as the gateway does."""
    async with eims_provider(gateway) as provider:
        abnormal = await provider.send(outbound(to="+0812"))
        empty = await provider.send(outbound(text=""))
        long = await provider.send(outbound(text="é" * 512))
        fits = await provider.send(outbound(text="é" * 511 + "x"))
    async with eims_provider(gateway, password="another") as provider:
        stranger = await provider.send(outbound())

    outcomes = [one.outcome.value for one in (abnormal, empty, long, fits, stranger)]
    assert outcomes == ["recipient_invalid", "content_rejected", "content_rejected", "accepted", "config_error"]
