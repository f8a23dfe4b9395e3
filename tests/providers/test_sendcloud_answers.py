"""What Aurora SendCloud's answers, and its silences, mean; and that one send is one request."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.providers.sendcloud.result_codes import STATUS_OUTCOMES
from otp_service.sandbox.simulators.http_server import Behaviour, Cut, Hang, Raw, Slow
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator, refusing
from tests.providers.sendcloud_kit import TO, aurora, outbound, said, sendcloud


@pytest.fixture
async def gateway() -> AsyncIterator[SendcloudSimulator]:
    """One that takes everything that it may."""
    async with aurora() as running:
        yield running


CODES = {
    "config_error": [40005, 50001, 6001, 401, 413, 421, 422, 451, 452, 461, 471, 472, 473, 474, 601],
    "funds": [40912, 499],
    "throttled": [40913, 50000],
    "recipient_invalid": [411, 412],
    "recipient_blocked": [496, 498],
    "content_rejected": [431, 432, 433, 441, 481, 482, 483],
    "transient": [501],
}


@pytest.mark.parametrize(("code", "outcome"), [(code, name) for name, codes in CODES.items() for code in codes])
async def test_every_code_has_its_outcome(gateway: SendcloudSimulator, code: int, outcome: str) -> None:
    """Under any HTTP status, and as a string too; one request for each send."""
    gateway.script(refusing(code), refusing(code, status=400), said(f'{{"statusCode":"{code}"}}'))
    async with sendcloud(gateway) as provider:
        outcomes = [(await provider.send(outbound())).outcome.value for _ in range(3)]

    assert outcomes == [outcome] * 3
    assert len(gateway.requests) == 3


def test_the_table_has_no_other_codes() -> None:
    """What is in the table is tested."""
    assert STATUS_OUTCOMES.keys() == {code for codes in CODES.values() for code in codes}


@pytest.mark.parametrize(("code", "outcome"), [(40099, "config_error"), (500, "ambiguous"), (59999, "ambiguous")])
async def test_a_code_that_nobody_has_written_down(gateway: SendcloudSimulator, code: int, outcome: str) -> None:
    """The server's own trouble may come after it has sent; any other refusal is a refusal."""
    gateway.script(refusing(code))
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
async def test_success_is_what_all_parts_agree_on(gateway: SendcloudSimulator, body: str, outcome: str) -> None:
    """`result`, `statusCode` and the count of one; what contradicts itself may have been sent."""
    gateway.script(said(body))
    async with sendcloud(gateway) as provider:
        delivered = await provider.send(outbound())

    assert delivered.outcome.value == outcome
    assert delivered.provider_message_id == ("1_2_a" if outcome == "accepted" else "")


async def test_success_under_an_http_error_is_no_success(gateway: SendcloudSimulator) -> None:
    """A proxy's 502 with the gateway's success in it contradicts itself."""
    gateway.script(said(f'{{"result":true,"statusCode":200,"info":{{"successCount":1,{ID}}}}}', 502))
    async with sendcloud(gateway) as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.AMBIGUOUS)


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        ("手机号格式错误", "recipient_invalid"),
        ("Phone format error", "recipient_invalid"),
        ("in blacklist", "recipient_blocked"),
        ("address in unsubscribe list(取消订阅)", "recipient_blocked"),
        ("余额不足", "funds"),
        ("something else", "transient"),
    ],
)
async def test_a_number_that_is_refused_alone(words: str, outcome: str) -> None:
    """312 and 311 say why in `items`, in words."""
    partial = {"successCount": 0, "failedCount": 1, "items": [{"phone": TO, "vars": {}, "message": words}]}
    async with aurora(refused={TO[1:]: words}) as gateway, sendcloud(gateway) as provider:
        none_sent = await provider.send(outbound())
        gateway.script(refusing(311, result=True, info=partial))
        partly = await provider.send(outbound("v2"))

    assert [one.outcome.value for one in (none_sent, partly)] == [outcome, outcome]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(401, "config_error"), (403, "config_error"), (404, "config_error"), (429, "throttled"), (302, "ambiguous"),
     (500, "ambiguous"), (502, "ambiguous"), (503, "ambiguous"), (504, "ambiguous")],
)  # fmt: skip
async def test_an_answer_that_is_not_the_gateways_own(gateway: SendcloudSimulator, status: int, outcome: str) -> None:
    """Without a statusCode HTTP decides, and a redirect is not followed."""
    gateway.script(said("<html>", status, Location=gateway.url + "/smsapi/send"), said('{"status":500}', status))
    async with sendcloud(gateway) as provider:
        outcomes = [(await provider.send(outbound())).outcome.value for _ in range(2)]

    assert outcomes == [outcome, outcome]
    assert len(gateway.requests) == 2


async def test_a_time_to_wait_is_handed_on(gateway: SendcloudSimulator) -> None:
    """Retry-After in seconds, with the gateway's code for too frequent, a bare 429 and a 503."""
    code = said('{"statusCode":50000}', 200, Retry_After="7")
    gateway.script(code, said("", 429, Retry_After="7"), said("", 503, Retry_After="7"))
    async with sendcloud(gateway) as provider:
        answers = [await provider.send(outbound()) for _ in range(3)]

    outcomes = (Outcome.THROTTLED, Outcome.THROTTLED, Outcome.TRANSIENT)
    assert answers == [SendResult(outcome, retry_after=7.0) for outcome in outcomes]


@pytest.mark.parametrize("silence", [Hang(), Cut(), Slow(1.0), Raw(b"HTTP/1.1 200 OK\r\n\r\n{"), said(b"\xff[")])
async def test_silence_and_garbage_are_ambiguous(gateway: SendcloudSimulator, silence: Behaviour) -> None:
    """It may have been sent; the adapter itself asks once."""
    gateway.always = silence
    async with sendcloud(gateway, seconds=0.25) as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.AMBIGUOUS)

    assert len(gateway.requests) == 1


async def test_nobody_listens(gateway: SendcloudSimulator) -> None:
    """A refused connection is transient."""
    await gateway.close()
    async with sendcloud(gateway) as provider:
        assert await provider.send(outbound()) == SendResult(Outcome.TRANSIENT)
