"""SendCloud webhooks that are not about one of our messages, and the keys of webhooks."""

from __future__ import annotations

import pytest

from otp_service.domain.message import ReceiptForged, TemplateReview
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.sendcloud.adapter import Sendcloud
from otp_service.providers.sendcloud.config import SendcloudConfig
from otp_service.sandbox.simulators.sendcloud_webhooks import WebhookBuilder
from tests.providers.sendcloud_provider import NOW
from tests.providers.test_sendcloud_webhooks import APP_KEY, FORMS, SMS_ID, Form, call, events, signed_webhook


@pytest.mark.parametrize(("result", "approved"), [(1, True), (-1, False), (0, None), ("x", None), (None, None)])
@pytest.mark.parametrize("form", FORMS)
def test_template_review(result: object, approved: bool | None, form: Form) -> None:
    """The review of a template, under either name, tells whether it is approved, and gives no receipt."""
    for event in ("templateVerify", "Template Verify"):
        assert events(signed_webhook(event, form=form, verfiyResult=result)) == [TemplateReview("29999", approved)]


async def test_every_webhook_is_refused_without_a_key() -> None:
    """Without a webhook key every call is refused, also the test of the URL."""
    config = SendcloudConfig(base_url="http://x", sms_user="u", sms_key=Secret("k"), template_id=1)
    provider = Sendcloud("aurora", config, GatewayClient(1.0))
    for hook in (None, signed_webhook(), signed_webhook(forged=True)):
        with pytest.raises(ReceiptForged) as refused:
            provider.parse_receipts(call(hook))
        assert str(refused.value) == ""
    await provider.close()


async def test_adapter_uses_the_webhook_key() -> None:
    """Webhooks are verified with the APP KEY, not with the key for sends."""
    config = SendcloudConfig(
        base_url="http://x", sms_user="u", sms_key=Secret("k"), template_id=1, hook_key=Secret(APP_KEY)
    )
    provider = Sendcloud("aurora", config, GatewayClient(1.0))
    assert len(provider.parse_receipts(call(signed_webhook()))) == 1
    with pytest.raises(ReceiptForged):
        provider.parse_receipts(call(WebhookBuilder("k").build("Delivered", at=NOW, sms_id=SMS_ID)))
    await provider.close()
