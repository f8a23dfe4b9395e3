"""Every type of provider that has an adapter is made from the config: one code through each, to its own simulator."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from otp_service.bootstrap.settings_mapping import build_providers
from otp_service.domain.message import DeliveryReport, OutboundMessage
from otp_service.domain.outcomes import DeliveryStatus
from otp_service.providers.base import PollingProvider, Provider
from otp_service.providers.inbox import Inbox
from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.sandbox.simulators.eims import EimsSimulator, EimsState
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from otp_service.sandbox.simulators.smshub import SmshubSimulator
from otp_service.settings import load
from tests.message_waits import code_in, wait_for_deliveries
from tests.running_service import E164, ServiceFactory
from tests.waits import wait_until

DIGITS = E164.removeprefix("+")
NATIONAL = "81210100055"


def only(provider: dict[str, Any]) -> dict[str, Any]:
    """Configure one gateway as the provider of every route."""
    return {"providers": {"first": {"timeout_seconds": 2, **provider}}, "routes": [{"providers": ["first"]}]}


async def sent(make_service: ServiceFactory, simulator: Any, provider: dict[str, Any]) -> Any:
    """Request a code, and give what the simulator took, once the delivery says so too."""
    service = await make_service(only({"base_url": simulator.url, **provider}))
    response = await service.request()
    assert response.status_code == 202, response.text
    await wait_until(lambda: len(simulator.messages) == 1)
    await wait_for_deliveries(service, response.json()["verification_id"], {"first": ("sent", None)})
    return simulator.messages[0]


@pytest.mark.parametrize("variant", ["v1", "v2"])
@pytest.mark.parametrize("method", ["get", "post"])
async def test_eims(make_service: ServiceFactory, variant: str, method: str) -> None:
    """Plain and signed, by query and by body, under the sender's name that the config has."""
    account = {"type": "eims", "account": "acme", "password": "pass word"}
    async with EimsSimulator("acme", "pass word") as gateway:
        keys = {"variant": variant, "method": method, "sender_id": "Acme"}
        message = await sent(make_service, gateway, account | keys)

    assert (message.to, message.sender) == (DIGITS, "Acme")
    assert code_in(message.text)
    assert gateway.requests[0].method == method.upper()
    assert gateway.requests[0].path == ("/sendsms" if variant == "v1" else "/sendsmsV2")


async def test_kedasms(make_service: ServiceFactory) -> None:
    """Sealed with the configured key, under the sender's name."""
    key = bytes(range(32))
    account = {"type": "kedasms", "api_key": "keda-key", "encryption_key": base64.b64encode(key).decode()}
    async with KedasmsSimulator("keda-key", key) as gateway:
        keys = {"status_base_url": gateway.url, "sender_id": "Acme"}
        message = await sent(make_service, gateway, account | keys)

    assert (message.to, message.sender) == (E164, "Acme")
    assert code_in(message.text)


@pytest.mark.parametrize("auth", ["parameters", "signature"])
async def test_sendcloud_by_template(make_service: ServiceFactory, auth: Any) -> None:
    """The code goes into the configured variable of the configured template, under our id."""
    account = {"type": "sendcloud", "sms_user": "acme_sms", "sms_key": "k%y", "auth": auth}
    async with SendcloudSimulator("acme_sms", "k%y", auth=auth, templates={77: frozenset({"otp"})}) as gateway:
        keys = {"template_id": 77, "variables": {"otp": "{code}"}, "sender_id": "Acme", "hook_key": "app key"}
        message = await sent(make_service, gateway, account | keys)

    assert (message.to.removeprefix("+"), message.sender) == (DIGITS, "Acme")
    assert code_in(message.values["otp"])
    assert len(message.request_id) == 23


async def test_sendcloud_by_text(make_service: ServiceFactory) -> None:
    """In the literal form of its document the text is ours."""
    account = {"type": "sendcloud", "sms_user": "acme_sms", "sms_key": "key", "mode": "text"}
    async with SendcloudSimulator("acme_sms", "key") as gateway:
        message = await sent(make_service, gateway, account)

    assert code_in(message.text)


async def test_smshub(make_service: ServiceFactory) -> None:
    """As the configured program."""
    account = {"type": "smshub", "program_sid": "sid", "program_key": "key", "program_id": "p-1"}
    async with SmshubSimulator("sid", "key", program_id="p-1") as gateway:
        message = await sent(make_service, gateway, account)

    assert (message.to, message.program_id) == (DIGITS, "p-1")
    assert code_in(message.text)


def made(provider: dict[str, Any], inbox: Inbox | None = None) -> Provider:
    """Make one provider out of a config, as the composition root does."""
    config = merged(dev_config("redis://127.0.0.1"), only(provider))
    return build_providers(load(config, {}, plain_secrets=True), inbox)["first"]


@pytest.mark.parametrize(("zero", "status"), [(True, DeliveryStatus.DELIVERED), (False, None)])
async def test_eims_reports(zero: bool, status: DeliveryStatus | None) -> None:
    """Whether `sent` is the last word that this gateway has is for the config to say."""
    async with EimsSimulator("acme", "word") as gateway:
        account = {"type": "eims", "base_url": gateway.url, "account": "acme", "password": "word"}
        provider = made(account | {"zero_is_delivered": zero})
        assert isinstance(provider, PollingProvider)
        await provider.send(OutboundMessage("v1", E164, "ID", NATIONAL, "kode 123456", "123456", 300))
        identity = gateway.messages[0].id
        gateway.states[identity] = EimsState(sent=0)
        assert await provider.fetch_report(str(identity)) == DeliveryReport(status)
        await provider.close()


@pytest.mark.parametrize(("seconds", "reports_delivery"), [(0, False), (0.5, True), (30, True)])
def test_eims_is_asked_for_reports_or_not(seconds: float, reports_delivery: bool) -> None:
    """With a period of 0 nobody asks, so nothing more is heard of a message."""
    account = {"type": "eims", "base_url": "http://127.0.0.1:9", "account": "acme", "password": "word"}
    assert made(account | {"report_poll_seconds": seconds}).reports_delivery is reports_delivery


def test_an_inbox_that_is_given_is_every_inbox() -> None:
    """So `dev` can show what was sent; without one the config's own is made."""
    inbox = Inbox("shown")
    assert made({"type": "inbox"}, inbox) is inbox
    assert made({"type": "inbox"}).name == "first"


def test_a_type_without_an_adapter_is_not_made() -> None:
    """It is checked, named at start, and left out."""
    twilio = {"type": "twilio", "account_sid": "AC1", "auth_token": "word", "from": "+15005550006"}
    config = merged(dev_config("redis://127.0.0.1"), {"providers": {"second": twilio}})
    assert list(build_providers(load(config, {}, plain_secrets=True))) == ["inbox"]
