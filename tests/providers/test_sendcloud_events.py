"""SendCloud webhooks that are not about one of our messages: what they report."""

from __future__ import annotations

import pytest

from otp_service.domain.message import TemplateReview
from tests.providers.test_sendcloud_webhooks import FORMS, Form, events, signed_webhook


@pytest.mark.parametrize(("result", "approved"), [(1, True), (-1, False), (0, None), ("x", None), (None, None)])
@pytest.mark.parametrize("form", FORMS)
def test_template_review(result: object, approved: bool | None, form: Form) -> None:
    """The review of a template, under either name, tells whether it is approved, and gives no receipt."""
    for event in ("templateVerify", "Template Verify"):
        assert events(signed_webhook(event, form=form, verfiyResult=result)) == [TemplateReview("29999", approved)]
