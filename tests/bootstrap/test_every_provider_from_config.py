"""Every provider type with an adapter is built from its config, and sends one code to its simulator."""

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
from otp_service.sandbox.simulators.twilio import TwilioSimulator, refusal
from otp_service.sandbox.simulators.vonage import VonageSimulator
from otp_service.settings import load
from tests.message_waits import code_in, wait_for_deliveries
from tests.running_service import E164, ServiceFactory
from tests.waits import wait_until

DIGITS = E164.removeprefix("+")
NATIONAL = "81210100055"


def as_only_provider(provider: dict[str, Any]) -> dict[str, Any]:
    """Return a config in which this provider serves every route."""
    return {"providers": {"first": {"timeout_seconds": 2, **provider}}, "routes": [{"providers": ["first"]}]}


async def send_code(make_service: ServiceFactory, simulator: Any, provider: dict[str, Any]) -> Any:
    """Request a code; return the message that the simulator accepted, after the delivery is reported as sent."""
    service = await make_service(as_only_provider({"base_url": simulator.url, **provider}))
    response = await service.request()
    assert response.status_code == 202, response.text
    await wait_until(lambda: len(simulator.messages) == 1)
    await wait_for_deliveries(service, response.json()["verification_id"], {"first": ("sent", None)})
    return simulator.messages[0]


@pytest.mark.parametrize("variant", ["v1", "v2"])
@pytest.mark.parametrize("method", ["get", "post"])
async def test_eims(make_service: ServiceFactory, variant: str, method: str) -> None:
    """V1 and V2 work with GET and POST, with the configured sender id."""
    account = {"type": "eims", "account": "acme", "password": "pass word"}
    async with EimsSimulator("acme", "pass word") as gateway:
        keys = {"variant": variant, "method": method, "sender_id": "Acme"}
        message = await send_code(make_service, gateway, account | keys)

    assert (message.to, message.sender) == (DIGITS, "Acme")
    assert code_in(message.text)
    assert gateway.requests[0].method == method.upper()
    assert gateway.requests[0].path == ("/sendsms" if variant == "v1" else "/sendsmsV2")


async def test_kedasms(make_service: ServiceFactory) -> None:
    """The message is encrypted with the configured key, with the configured sender id."""
    key = bytes(range(32))
    account = {"type": "kedasms", "api_key": "keda-key", "encryption_key": base64.b64encode(key).decode()}
    async with KedasmsSimulator("keda-key", key) as gateway:
        keys = {"status_base_url": gateway.url, "sender_id": "Acme"}
        message = await send_code(make_service, gateway, account | keys)

    assert (message.to, message.sender) == (E164, "Acme")
    assert code_in(message.text)


@pytest.mark.parametrize("auth", ["parameters", "signature"])
async def test_sendcloud_with_a_template(make_service: ServiceFactory, auth: Any) -> None:
    """The code is in the configured variable of the configured template, with our message id."""
    account = {"type": "sendcloud", "sms_user": "acme_sms", "sms_key": "k%y", "auth": auth}
    async with SendcloudSimulator("acme_sms", "k%y", auth=auth, templates={77: frozenset({"otp"})}) as gateway:
        keys = {"template_id": 77, "variables": {"otp": "{code}"}, "sender_id": "Acme", "hook_key": "app key"}
        message = await send_code(make_service, gateway, account | keys)

    assert (message.to.removeprefix("+"), message.sender) == (DIGITS, "Acme")
    assert code_in(message.values["otp"])
    assert len(message.request_id) == 23


async def test_sendcloud_with_text(make_service: ServiceFactory) -> None:
    """In mode text, the whole text is ours."""
    account = {"type": "sendcloud", "sms_user": "acme_sms", "sms_key": "key", "mode": "text"}
    async with SendcloudSimulator("acme_sms", "key") as gateway:
        message = await send_code(make_service, gateway, account)

    assert code_in(message.text)


async def test_smshub(make_service: ServiceFactory) -> None:
    """The request has the configured program."""
    account = {"type": "smshub", "program_sid": "sid", "program_key": "key", "program_id": "p-1"}
    async with SmshubSimulator("sid", "key", program_id="p-1") as gateway:
        message = await send_code(make_service, gateway, account)

    assert (message.to, message.program_id) == (DIGITS, "p-1")
    assert code_in(message.text)


async def test_two_twilio_accounts(make_service: ServiceFactory) -> None:
    """An account with its auth token and a subaccount with an API key, each at its own host, send side by side."""
    parent, subaccount = "AC" + "a" * 32, "AC" + "b" * 32
    service_sid, api_key = "MG" + "c" * 32, ("SK" + "d" * 32, "key secret")
    async with TwilioSimulator(parent, "token a") as first, TwilioSimulator(subaccount, api_key=api_key) as second:
        tables = {
            "first": {"base_url": first.url, "account_sid": parent, "auth_token": "token a", "from": "Acme"},
            "second": {
                "base_url": second.url,
                "account_sid": subaccount,
                "api_key_sid": api_key[0],
                "api_key_secret": api_key[1],
                "messaging_service_sid": service_sid,
            },
        }
        providers = {name: {"type": "twilio", "timeout_seconds": 2, **table} for name, table in tables.items()}
        first.script(refusal(21408))
        service = await make_service({"providers": providers, "routes": [{"providers": ["first", "second"]}]})
        response = await service.request()
        await wait_until(lambda: len(second.messages) == 1)
        deliveries = {"first": ("failed", "destination_unsupported"), "second": ("sent", None)}
        await wait_for_deliveries(service, response.json()["verification_id"], deliveries)

    [message] = second.messages
    assert (message.to, message.sender, message.service_sid) == (E164, "", service_sid)
    assert code_in(message.text)
    assert first.messages == []


async def test_vonage(make_service: ServiceFactory) -> None:
    """The request is signed with the configured method, with the configured sender."""
    account = {"type": "vonage", "api_key": "abcd1234", "api_secret": "word", "from": "Acme", "auth": "signature"}
    keys = {"signature_secret": "sign", "signature_method": "sha512"}
    async with VonageSimulator("abcd1234", "word", signature_key="sign", method="sha512") as gateway:
        message = await send_code(make_service, gateway, account | keys)

    assert (message.to, message.sender) == (DIGITS, "Acme")
    assert code_in(message.text)


def build_provider(provider: dict[str, Any], inbox: Inbox | None = None) -> Provider:
    """Build one provider from its config, as the composition root does."""
    config = merged(dev_config("redis://127.0.0.1"), as_only_provider(provider))
    return build_providers(load(config, {}, plain_secrets=True), inbox)["first"]


@pytest.mark.parametrize(("zero", "status"), [(True, DeliveryStatus.DELIVERED), (False, None)])
async def test_eims_reports(zero: bool, status: DeliveryStatus | None) -> None:
    """`zero_is_delivered` decides whether the status 0 is reported as delivered."""
    async with EimsSimulator("acme", "word") as gateway:
        account = {"type": "eims", "base_url": gateway.url, "account": "acme", "password": "word"}
        provider = build_provider(account | {"zero_is_delivered": zero})
        assert isinstance(provider, PollingProvider)
        await provider.send(OutboundMessage("v1", E164, "ID", NATIONAL, "kode 123456", "123456", 300))
        identity = gateway.messages[0].id
        gateway.states[identity] = EimsState(sent=0)
        assert await provider.fetch_report(str(identity)) == DeliveryReport(status)
        await provider.close()


@pytest.mark.parametrize(("seconds", "reports_delivery"), [(0, False), (0.5, True), (30, True)])
def test_eims_reports_can_be_switched_off(seconds: float, reports_delivery: bool) -> None:
    """With `report_poll_seconds = 0` there is no polling, and the provider reports no delivery."""
    account = {"type": "eims", "base_url": "http://127.0.0.1:9", "account": "acme", "password": "word"}
    assert build_provider(account | {"report_poll_seconds": seconds}).reports_delivery is reports_delivery


def test_a_given_inbox_replaces_every_inbox() -> None:
    """`dev` passes the inbox that it shows; without one, each provider of type `inbox` gets its own."""
    inbox = Inbox("shown")
    assert build_provider({"type": "inbox"}, inbox) is inbox
    assert build_provider({"type": "inbox"}).name == "first"
