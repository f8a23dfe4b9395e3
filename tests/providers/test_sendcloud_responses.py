"""Aurora SendCloud: the outcome of each response, and of none; a send is a single request."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.providers.sendcloud.result_codes import STATUS_OUTCOMES
from otp_service.sandbox.simulators.http_server import Behavior, Cut, Hang, Raw, Slow
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator, refusal
from tests.providers.sendcloud_provider import TO, outbound, responding, sendcloud, sendcloud_gateway


@pytest.fixture
async def gateway() -> AsyncIterator[SendcloudSimulator]:
    """A simulated gateway with default options."""
    async with sendcloud_gateway() as running:
        yield running


CODES = {
    "config_error": [40005, 50001, 6001, 401, 413, 421, 422, 451, 452, 461, 471, 472, 473, 474, 601],
    "funds": [40912, 499],
    "throttled": [40913, 50000],
    "recipient_invalid": [411, 412],
    "recipient_throttled": [496, 498],
    "recipient_blocked": [410, 420, 430],
    "content_rejected": [431, 432, 433, 440, 441, 450, 460, 481, 482, 483],
    "transient": [501],
}


@pytest.mark.parametrize(("code", "outcome"), [(code, name) for name, codes in CODES.items() for code in codes])
async def test_each_code_has_its_outcome(gateway: SendcloudSimulator, code: int, outcome: str) -> None:
    """A code has one outcome, whatever the HTTP status, and also if it is a string."""
    gateway.script(refusal(code), refusal(code, status=400), responding(f'{{"statusCode":"{code}"}}'))
    async with sendcloud(gateway) as provider:
        outcomes = [(await provider.send(outbound())).outcome.value for _ in range(3)]

    assert outcomes == [outcome] * 3
    assert len(gateway.requests) == 3


def test_result_code_table_has_no_untested_codes() -> None:
    """Every code in the table is covered by a test."""
    assert STATUS_OUTCOMES.keys() == {code for codes in CODES.values() for code in codes}


@pytest.mark.parametrize(("code", "outcome"), [(40099, "config_error"), (500, "ambiguous"), (59999, "ambiguous")])
async def test_unlisted_code(gateway: SendcloudSimulator, code: int, outcome: str) -> None:
    """An unlisted server error may follow the send and is ambiguous; any other code is a refusal."""
    gateway.script(refusal(code))
    async with sendcloud(gateway) as provider:
        assert (await provider.send(outbound())).outcome.value == outcome


ID = '"smsIds":["1_2_a$6281210100055"]'


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (f'{{"result":true,"statusCode":200,"info":{{"successCount":1,{ID}}}}}', "accepted"),
        (f'{{"result":true,"statusCode":"200","info":{{"successCount":"1",{ID}}}}}', "accepted"),
        (f'{{"statusCode":200,"message":"success","info":{{"successCount":1,{ID}}}}}', "accepted"),
        (f'{{"result":true,"statusCode":200,"info":{{{ID}}}}}', "accepted"),
        (f'{{"result":true,"statusCode":311,"info":{{"successCount":1,"failedCount":0,"items":[],{ID}}}}}', "accepted"),
        (f'{{"result":false,"statusCode":200,"info":{{"successCount":1,{ID}}}}}', "ambiguous"),
        (f'{{"result":"yes","statusCode":200,"info":{{"successCount":1,{ID}}}}}', "ambiguous"),
        (f'{{"result":true,"statusCode":200,"info":{{"successCount":2,{ID}}}}}', "ambiguous"),
        ('{"result":true,"statusCode":200,"info":{}}', "ambiguous"),
        ('{"result":true,"statusCode":200,"info":null}', "ambiguous"),
        ('{"result":true,"statusCode":200,"info":{"successCount":0,"failedCount":1}}', "transient"),
        ('{"result":false,"statusCode":312,"info":{}}', "transient"),
        ('{"result":false,"statusCode":312}', "transient"),
        (f'{{"result":false,"statusCode":312,"info":{{"successCount":1,{ID}}}}}', "ambiguous"),
    ],
)
async def test_success_needs_all_parts_to_agree(gateway: SendcloudSimulator, body: str, outcome: str) -> None:
    """`result`, `statusCode` and a count of one mean success; a contradiction is ambiguous."""
    gateway.script(responding(body))
    async with sendcloud(gateway) as provider:
        result = await provider.send(outbound())

    assert result.outcome.value == outcome
    assert result.provider_message_id == ("1_2_a" if outcome == "accepted" else "")


async def test_success_with_an_http_error_is_ambiguous(gateway: SendcloudSimulator) -> None:
    """A success in the body of a 502 is a contradiction."""
    gateway.script(responding(f'{{"result":true,"statusCode":200,"info":{{"successCount":1,{ID}}}}}', 502))
    async with sendcloud(gateway) as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.AMBIGUOUS)


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("手机号格式错误", "recipient_invalid"),
        ("Phone format error", "recipient_invalid"),
        ("in blacklist", "recipient_blocked"),
        ("address in unsubscribe list(取消订阅)", "recipient_blocked"),
        ("余额不足", "funds"),
        ("something else", "transient"),
    ],
)
async def test_refusal_of_one_number_has_its_outcome(reason: str, outcome: str) -> None:
    """`items` of a 312 and a 311 give the reason as text."""
    partial = {"successCount": 0, "failedCount": 1, "items": [{"phone": TO, "vars": {}, "message": reason}]}
    async with sendcloud_gateway(refused={TO[1:]: reason}) as gateway, sendcloud(gateway) as provider:
        none_sent = await provider.send(outbound())
        gateway.script(refusal(311, result=True, info=partial))
        partly = await provider.send(outbound("v2"))

    assert [one.outcome.value for one in (none_sent, partly)] == [outcome, outcome]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(401, "config_error"), (403, "config_error"), (404, "config_error"), (429, "throttled"), (302, "ambiguous"),
     (500, "ambiguous"), (502, "ambiguous"), (503, "ambiguous"), (504, "ambiguous")],
)  # fmt: skip
async def test_response_without_a_code(gateway: SendcloudSimulator, status: int, outcome: str) -> None:
    """Without a `statusCode` the HTTP status decides, and a redirect is not followed."""
    gateway.script(
        responding("<html>", status, Location=gateway.url + "/smsapi/send"), responding('{"status":500}', status)
    )
    async with sendcloud(gateway) as provider:
        outcomes = [(await provider.send(outbound())).outcome.value for _ in range(2)]

    assert outcomes == [outcome, outcome]
    assert len(gateway.requests) == 2


async def test_retry_after_is_returned(gateway: SendcloudSimulator) -> None:
    """`Retry-After` is returned for the gateway's code for too frequent sends, for a 429 and for a 503."""
    code = responding('{"statusCode":50000}', 200, Retry_After="7")
    gateway.script(code, responding("", 429, Retry_After="7"), responding("", 503, Retry_After="7"))
    async with sendcloud(gateway) as provider:
        results = [await provider.send(outbound()) for _ in range(3)]

    outcomes = (Outcome.THROTTLED, Outcome.THROTTLED, Outcome.TRANSIENT)
    assert results == [SendResult(outcome, retry_after=7.0) for outcome in outcomes]


@pytest.mark.parametrize("behavior", [Hang(), Cut(), Slow(1.0), Raw(b"HTTP/1.1 200 OK\r\n\r\n{"), responding(b"\xff[")])
async def test_missing_or_unreadable_response_is_ambiguous(gateway: SendcloudSimulator, behavior: Behavior) -> None:
    """The message may have been sent, so the adapter sends a single request."""
    gateway.always = behavior
    async with sendcloud(gateway, seconds=0.25) as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.AMBIGUOUS)

    assert len(gateway.requests) == 1


async def test_refused_connection_is_transient(gateway: SendcloudSimulator) -> None:
    """A refused connection is transient."""
    await gateway.close()
    async with sendcloud(gateway) as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.TRANSIENT)
