"""Inbound messages opt numbers out and in: an EIMS inbox that replicas poll, and the webhooks of SendCloud."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from otp_service.delivery import inbound_polling
from otp_service.delivery.inbound import InboundHandler
from otp_service.delivery.inbound_polling import InboundPoller
from otp_service.domain.message import InboundMessage
from otp_service.domain.opt_out import OptOutWords
from otp_service.domain.secret import Secret
from otp_service.observability import METRICS
from otp_service.providers.eims.adapter import Eims
from otp_service.providers.eims.config import EimsConfig
from otp_service.providers.http_client import GatewayClient
from otp_service.sandbox.simulators.eims import MAX_INBOX_MESSAGES, EimsInboxMessage, EimsSimulator
from otp_service.sandbox.simulators.http_server import Hang
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from otp_service.store.keys import ALL_PARTITIONS, PARTITIONS
from otp_service.store.opt_outs import RedisInboundCursors, RedisOptOuts
from otp_service.store.topology import connect
from tests.config_parts import shared_keys
from tests.delivery.gateway_config import ACCOUNT, PASSWORD
from tests.delivery.test_sendcloud_receipts import HOOK_KEY, sendcloud_then_eims
from tests.log_capture import captured_logs
from tests.opt_out_changes import KEYRING
from tests.problem_assertions import assert_problem
from tests.running_service import ServiceFactory

HOOK, OPT_OUTS = "/v1/receipts/aurora", "/v1/admin/opt-outs"
DIGITS = "6281210100055"


def inbound(number: int, text: str = "STOP", sender: str = DIGITS, age: float = 60) -> EimsInboxMessage:
    """Return a message in the gateway's inbox."""
    return EimsInboxMessage(number, sender, text, datetime.fromtimestamp(time.time() - age, UTC))


def poller(gateway: EimsSimulator, url: str, timeout: float = 2.0) -> tuple[InboundPoller, RedisOptOuts]:
    """Return the poller of one replica, and the opt-outs in its store."""
    config = EimsConfig(
        base_url=gateway.url, account=ACCOUNT, password=Secret(PASSWORD), inbox_poll_seconds=5.0, variant="v1"
    )
    topology = connect(url)
    opt_outs = RedisOptOuts(topology)
    handler = InboundHandler(opt_outs, OptOutWords(), KEYRING)
    providers = {"first": Eims("first", config, GatewayClient(timeout))}
    return InboundPoller(RedisInboundCursors(topology), handler, providers), opt_outs


def handled_count() -> float:
    """Return how many inbound messages were handled in this process."""
    metric = METRICS.inbound_messages
    return float(sum(metric.labels("first", action)._value.get() for action in ("opt_out", "opt_in", "other")))


async def test_two_replicas_handle_each_message_once(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """130 messages in three pages: 130 are handled in all, in one reading, however many replicas poll."""
    await make_service()
    gateway.inbox = [inbound(n, sender=f"62812101{n:05}", age=300 - n) for n in range(130)]
    replicas = [poller(gateway, make_service.url)[0] for _ in range(4)]
    before = handled_count()

    polled = await asyncio.gather(*(replica.poll_once("first") for replica in replicas))

    assert Counter(polled) == {None: 3, 130: 1}
    assert handled_count() - before == 130
    assert len(gateway.requests) == 3
    assert await poller(gateway, make_service.url)[1].count() == 130


async def test_message_is_handled_once_without_the_lease(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """Two replicas read at the same time, because a lease was lost: the sum of what they handled is exact."""
    await make_service()
    gateway.inbox = [inbound(n, text=text, sender=f"62812101{n:05}") for n, text in enumerate(["STOP", "hello"] * 20)]
    replicas = [poller(gateway, make_service.url)[0] for _ in range(2)]
    before = handled_count()

    async def read(replica: InboundPoller) -> int:
        handled, _ = await replica._read("first", replica._providers["first"], None)
        return handled

    polled = await asyncio.gather(*map(read, replicas))

    assert sum(polled) == 40
    assert handled_count() - before == 40
    assert await poller(gateway, make_service.url)[1].count() == 20


async def test_backlog_continues_in_the_next_reading(
    make_service: ServiceFactory, gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reading takes a bounded number of pages; the next one continues after them, a third one finds nothing new."""
    monkeypatch.setattr(inbound_polling, "MAX_PAGES", 2)
    service = await make_service()
    total = 2 * MAX_INBOX_MESSAGES + 30
    gateway.inbox = [inbound(n, text="hello", age=10_000 - 10 * n) for n in range(total)]
    replica, _ = poller(gateway, make_service.url)

    counts = []
    for _ in range(3):
        counts.append(await replica.poll_once("first"))
        await service.store.delete("otp:{g:first}:il")  # the interval is over

    assert sum(filter(None, counts)) == total
    assert counts[2] == 0
    assert counts[0] is not None and counts[0] <= 2 * MAX_INBOX_MESSAGES
    assert await replica.poll_once("first") == 0
    assert await replica.poll_once("first") is None  # within the interval


async def test_failed_reading_is_repeated_after_the_interval(
    make_service: ServiceFactory, gateway: EimsSimulator
) -> None:
    """A reading that got no answer moves no cursor, and the message is handled by the next one."""
    service = await make_service()
    gateway.inbox = [inbound(1)]
    gateway.script(Hang())
    replica, opt_outs = poller(gateway, make_service.url, timeout=0.2)

    assert await replica.poll_once("first") == 0
    assert await opt_outs.count() == 0
    await service.store.delete("otp:{g:first}:il")
    assert (await replica.poll_once("first"), await opt_outs.count()) == (1, 1)


async def test_stop_refuses_request_code_until_start(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """The whole path: STOP in the inbox, 403 for every purpose and decoys, START, 202; no log has the number."""
    table = {"type": "eims", "base_url": gateway.url, "account": ACCOUNT, "password": PASSWORD, "inbox_poll_seconds": 5}
    gateway.inbox = [inbound(1, "Berhenti"), inbound(2, "hello", sender="10010")]
    with captured_logs() as stream:
        service = await make_service(shared_keys() | {"providers": {"first": table}})
        async with asyncio.timeout(5):
            while (await service.client.get(OPT_OUTS)).json() != {"count": 1}:
                await asyncio.sleep(0.01)
        assert_problem(await service.request(), 403, "recipient_opted_out")
        assert_problem(await service.request(purpose="registration", decoy=True), 403, "recipient_opted_out")
        assert (await service.request("0812-1010-0056")).status_code == 202

        gateway.inbox.append(inbound(3, "MULAI", age=1))
        await service.store.delete("otp:{g:first}:il")
        assert await poller(gateway, make_service.url)[0].poll_once("first") == 1
        assert (await service.request()).status_code == 202
        logged = stream.getvalue()
    assert DIGITS[2:] not in logged
    assert [line for line in logged.splitlines() if '"audit"' in line and "sender at first" in line] != []


def reply(aurora: SendcloudSimulator, **changes: Any) -> tuple[bytes, dict[str, str]]:
    """Return the body and headers of a webhook about a reply with STOP."""
    name = changes.pop("name", "reply")
    facts: dict[str, Any] = {"at": time.time(), "sms_id": f"1_2_3${DIGITS}"}
    written = aurora.webhooks.build("reply", **facts | changes)
    return written.body.replace(b"reply", name.encode(), 1), {"Content-Type": written.content_type}


@pytest.mark.parametrize("form", ["json", "form"])
@pytest.mark.parametrize(
    ("event", "status"),
    [(("reply", "STOP"), 403), (("Reply", "unreg otp"), 403), (("reply", "thanks"), 202), (("unsubscribe", ""), 403)],
)
async def test_sendcloud_events_opt_out(
    make_service: ServiceFactory, second: EimsSimulator, form: str, event: tuple[str, str], status: int
) -> None:
    """A reply with a stop word and an unsubscription opt the number out, in both formats; another reply does not."""
    async with SendcloudSimulator(app_key=HOOK_KEY) as aurora:
        service = await make_service(sendcloud_then_eims(aurora, second))
        body, headers = reply(aurora, form=form, name=event[0], replyContent=event[1])

        answers = [await service.caller(None).post(HOOK, content=body, headers=headers) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [200, 200]
        assert (await service.request()).status_code == status


async def test_forged_and_replayed_replies_opt_nobody_out(make_service: ServiceFactory, second: EimsSimulator) -> None:
    """A wrong signature gets 401; a captured one with another number gets 200 and has no effect."""
    async with SendcloudSimulator(app_key=HOOK_KEY) as aurora:
        service = await make_service(sendcloud_then_eims(aurora, second))
        client = service.caller(None)
        body, headers = reply(aurora)
        forged, _ = reply(aurora, forged=True)

        assert (await client.post(HOOK, content=forged, headers=headers)).status_code == 401
        assert (await client.post(HOOK, content=body, headers=headers)).status_code == 200
        moved = body.replace(DIGITS.encode(), b"6281210100056")
        started = body.replace(b"STOP", b"START")
        for changed in (moved, started):
            assert changed != body
            assert (await client.post(HOOK, content=changed, headers=headers)).status_code == 200

        assert (await service.client.get(OPT_OUTS)).json() == {"count": 1}
        assert (await service.request("0812-1010-0056")).status_code == 202
        assert_problem(await service.request(), 403, "recipient_opted_out")


async def test_messages_without_an_id_leave_no_marks(make_service: ServiceFactory) -> None:
    """Anybody can text the number: of 50 texts without an id, only the opt-out of one is stored."""
    topology = connect(make_service.url)
    handler = InboundHandler(RedisOptOuts(topology), OptOutWords(), KEYRING)
    for text in ["Hello"] * 49 + ["STOP"]:
        assert await handler.handle("smsc", InboundMessage("", f"+{DIGITS}", text, time.time()))
    await topology.close()
    assert [key async for key in make_service.store.scan_iter("otp:*")] == [
        ALL_PARTITIONS[KEYRING.partition_for("partition", f"+{DIGITS}", PARTITIONS)].opted_out.encode()
    ]
