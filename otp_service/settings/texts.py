"""What the texts of a config cost: each template, rendered at its longest, that is billed as more than one message.

A template is sound with any length; but an apostrophe that a word processor has bent makes every text UCS-2, of 70
characters, and nobody sees it before the bill. So `check-config` and `serve` say it.
"""

from __future__ import annotations

from collections.abc import Iterator

from otp_service.domain.sms_segments import outside_gsm7, segments
from otp_service.domain.templates import BUILT_IN, Template, Templates, whole_minutes
from otp_service.settings.mistakes import dotted, quoted
from otp_service.settings.tree import Settings, Tenant

__all__ = ["costly_texts"]


def costly_texts(settings: Settings) -> Iterator[str]:
    """Say, a line each, which texts cost more than one segment with the longest code and life of their tenant.

    The built-in texts are named once for a tenant, where its brand makes them costly.
    """
    for name, tenant in settings.tenants.items():
        path = ("tenants", name)
        for locale, texts in tenant.templates.items():
            for purpose, template in texts.items():
                if cost := _cost(tenant, template):
                    yield f"{dotted((*path, 'templates', locale, purpose))}: {cost}"
        if costs := [cost for template in _all(BUILT_IN) if (cost := _cost(tenant, template))]:
            yield f"{dotted((*path, 'brand'))}: with it a built-in text {costs[0].removeprefix('the text ')}"


def _all(templates: Templates) -> Iterator[Template]:
    for texts in templates.values():
        yield from texts.values()


def _cost(tenant: Tenant, template: Template) -> str:
    """Say what a text costs; "" for one segment of GSM-7."""
    policy = tenant.policy
    text = template.render(tenant.brand, "8" * policy.code_length, whole_minutes(policy.ttl_seconds))
    count, strange = segments(text), outside_gsm7(text)
    if strange:
        return f"the text is UCS-2 because of {quoted(strange)}, and is billed as {count} message{'s' * (count > 1)}"
    return f"the text is billed as {count} messages" if count > 1 else ""
