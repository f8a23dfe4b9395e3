"""The outcome of each response of an EIMS gateway; every message is sent over the wire once."""

from __future__ import annotations

import gzip

import pytest

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from otp_service.sandbox.simulators.http_server import Behavior, Raw, Respond, SimulatorResponse
from tests.providers.eims_provider import DIGITS, eims, eims_gateway, outbound

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
    -28: "recipient_throttled",
    **dict.fromkeys(range(-32, -28), "config_error"),
    -99: "config_error",  # an undocumented rejection
}


def responding(body: str | bytes, status: int = 200, **headers: str) -> Respond:
    """Return the behavior of a gateway that responds with this body."""
    raw = body.encode() if isinstance(body, str) else body
    return Respond(SimulatorResponse(raw, status, {name.replace("_", "-"): value for name, value in headers.items()}))


def accepting(array: str, success: int, fail: int) -> Respond:
    """Return the behavior of a gateway that responds with status 0 and these rows."""
    return responding(f'{{"status":0,"array":{array},"success":{success},"fail":{fail}}}')


@pytest.mark.parametrize(("status", "outcome"), STATUSES.items())
async def test_every_status_has_its_outcome(gateway: EimsSimulator, status: int, outcome: str) -> None:
    """A status has the same outcome as a number and as a string."""
    gateway.script(refusal(status), refusal(str(status)))
    async with eims(gateway) as provider:
        result = [await provider.send(outbound()) for _ in range(2)]

    assert [one.outcome.value for one in result] == [outcome, outcome]


@pytest.mark.parametrize(
    "array",
    [
        f"[[{DIGITS},1620443]]",
        f'[["{DIGITS}",1620443]]',
        f'[["+{DIGITS}","1620443"]]',
        f'[[{DIGITS},1620443,"more"]]',
        f"[[628110000000,7],[{DIGITS},1620443]]",
        f"[[{DIGITS}.0,1620443.0]]",
    ],
    ids=["int", "string", "plus", "more members", "second row", "float"],
)
async def test_row_with_our_number_is_acceptance(gateway: EimsSimulator, array: str) -> None:
    """The row is found in every notation of the number; its second member is the gateway's id."""
    gateway.script(accepting(array, 1, 0))
    async with eims(gateway) as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.ACCEPTED, "1620443")


async def test_status_zero_in_another_type_is_acceptance(gateway: EimsSimulator) -> None:
    """`"0"` and `0.0` are 0."""
    rows = f'"array":[[{DIGITS},9]],"success":"1","fail":"0"}}'
    gateway.script(responding(f'{{"status":"0",{rows}'), responding(f'{{"status":0.0,{rows}'))
    async with eims(gateway) as provider:
        assert [await provider.send(outbound()) for _ in range(2)] == [SendResult(Outcome.ACCEPTED, "9")] * 2


async def test_simulator_with_numbers_as_strings() -> None:
    """The simulator can write numbers as integers and as strings, as gateways do."""
    async with eims_gateway(numbers_as_text=True, refused={"6281210100056"}) as gateway, eims(gateway) as provider:
        taken = await provider.send(outbound())
        left_out = await provider.send(outbound(to="+6281210100056"))

    assert (taken, left_out.outcome) == (SendResult(Outcome.ACCEPTED, "1620443"), Outcome.TRANSIENT)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (accepting("[]", 0, 1), "transient"),
        (accepting("[[6281100000000,7]]", 0, 1), "transient"),
        (responding('{"status":0,"success":"0","fail":"1"}'), "transient"),
        (accepting("[]", 0, 0), "ambiguous"),
        (accepting("[]", 1, 0), "ambiguous"),
        (accepting("[[6281100000000,7]]", 1, 0), "ambiguous"),
        (accepting("null", 0, 0), "ambiguous"),
        (accepting("5", 0, 0), "ambiguous"),
        (accepting(f"[[{DIGITS}]]", 0, 0), "ambiguous"),
        (responding('{"status":0}'), "ambiguous"),
    ],
)
async def test_missing_number_is_a_rejection_only_with_fail(
    gateway: EimsSimulator, answer: Behavior, outcome: str
) -> None:
    """Status 0 without our number is a rejection if `fail` counts one, else ambiguous."""
    gateway.script(answer)
    async with eims(gateway) as provider:
        assert (await provider.send(outbound())).outcome.value == outcome


@pytest.mark.parametrize(
    "answer",
    [
        responding(b""),
        responding("OK"),
        responding("<html><body>It works</body></html>"),
        responding(b"\xff\xfe\x00"),
        responding("[]"),
        responding("null"),
        responding('"0"'),
        responding('{"status":null}'),
        responding('{"status":"yes"}'),
        responding('{"status":1.5}'),
        responding('{"code":0,"id":7}'),
        responding("[" * 20_000),
        responding('{"status":' * 20_000),
        responding("{}", 204),
        responding(b"not gzip", content_encoding="gzip"),
        Raw(b"SSH-2.0-OpenSSH_9.9\r\n"),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"),
        Raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000),
    ],
)
async def test_undocumented_response_is_ambiguous(gateway: EimsSimulator, answer: Behavior) -> None:
    """A gateway that responds like this may have sent the message."""
    gateway.script(answer)
    async with eims(gateway) as provider:
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
async def test_http_status_without_gateway_status(gateway: EimsSimulator, status: int, outcome: str) -> None:
    """Without a status of the gateway the HTTP status decides; a framework's error page has a `status`, too."""
    page = f'{{"timestamp":1,"status":{status},"error":"Internal Server Error","path":"/sendsms"}}'
    gateway.script(responding("<html>", status), responding(page, status))
    async with eims(gateway) as provider:
        result = [await provider.send(outbound()) for _ in range(2)]

    assert [one.outcome.value for one in result] == [outcome, outcome]


async def test_503_with_retry_after_is_transient(gateway: EimsSimulator) -> None:
    """503 with `Retry-After` comes from a proxy that did not forward the request."""
    gateway.script(responding("<html>", 503, Retry_After="3"))
    async with eims(gateway) as provider:
        assert (await provider.send(outbound())).outcome is Outcome.TRANSIENT


async def test_gateway_status_overrides_http_status(gateway: EimsSimulator) -> None:
    """The gateway's own status is more specific than the HTTP status."""
    gateway.script(responding('{"status":-9}', 500))
    async with eims(gateway) as provider:
        assert (await provider.send(outbound())).outcome is Outcome.RECIPIENT_INVALID


async def test_body_size_is_limited(gateway: EimsSimulator) -> None:
    """A body of more than 64 KiB, compressed or not, is not read, and the outcome is ambiguous."""
    long = f'{{"status":0,"array":[[{DIGITS},9]],"x":"{"y" * 70_000}"}}'.encode()
    packed = gzip.compress(b'{"status":0,"x":"' + b"y" * 50_000_000)
    gateway.script(responding(long), responding(packed, content_encoding="gzip"))
    async with eims(gateway) as provider:
        outcomes = [(await provider.send(outbound())).outcome for _ in range(2)]

    assert outcomes == [Outcome.AMBIGUOUS, Outcome.AMBIGUOUS]


async def test_provider_message_id_is_truncated(gateway: EimsSimulator) -> None:
    """A very long id of the gateway does not use more memory in the store than an ordinary one."""
    gateway.script(responding(f'{{"status":0,"array":[["{DIGITS}","{"9" * 5000}"]]}}'))
    async with eims(gateway) as provider:
        result = await provider.send(outbound())

    assert result.outcome is Outcome.ACCEPTED
    assert len(result.provider_message_id) <= 64


async def test_simulator_rejects_invalid_messages(gateway: EimsSimulator) -> None:
    """As the gateway does, the simulator rejects other numbers than 62..., an empty text and a text of 1024 bytes."""
    async with eims(gateway) as provider:
        abnormal = await provider.send(outbound(to="+0812"))
        empty = await provider.send(outbound(text=""))
        long = await provider.send(outbound(text="é" * 512))
        fits = await provider.send(outbound(text="é" * 511 + "x"))
    async with eims(gateway, password="another") as provider:
        stranger = await provider.send(outbound())

    outcomes = [one.outcome.value for one in (abnormal, empty, long, fits, stranger)]
    assert outcomes == ["recipient_invalid", "content_rejected", "content_rejected", "accepted", "config_error"]
