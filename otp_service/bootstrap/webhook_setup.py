"""The endpoints of webhooks from the settings, and the worker that delivers to them."""

from __future__ import annotations

from collections.abc import Sequence

from otp_service.crypto.verification_cipher import VerificationCipher
from otp_service.domain.events import EventTarget, EventType
from otp_service.domain.phone import SUPPORTED_COUNTRIES
from otp_service.domain.provider_policy import ANY_COUNTRY
from otp_service.settings import Settings, model
from otp_service.settings.webhook_model import OperatorWebhook, Webhook
from otp_service.store.guard_events import GUARD_EVENTS_SLOT
from otp_service.store.keys import ProviderKeys, country_usage_key, tenant_usage_key, usage_events_key
from otp_service.store.topology import Topology
from otp_service.store.webhook_queue import RedisWebhookQueue
from otp_service.webhooks.endpoint import Endpoint
from otp_service.webhooks.event_body import EventBodies
from otp_service.webhooks.webhook_worker import WebhookWorker

__all__ = [
    "all_endpoints",
    "build_webhook_queue",
    "build_webhook_worker",
    "operator_targets",
    "tenant_endpoints",
]


def tenant_endpoints(name: str, tenant: model.Tenant) -> list[Endpoint]:
    """Return the endpoints of a tenant."""
    return [
        _endpoint(f"{name}.{own}", webhook, full_recipient=webhook.full_recipient)
        for own, webhook in tenant.webhooks.items()
    ]


def _endpoint(name: str, webhook: Webhook | OperatorWebhook, *, full_recipient: bool = False) -> Endpoint:
    return Endpoint(
        name=name,
        url=webhook.url,
        keys=[secret.signing_key() for secret in webhook.secret],
        types=frozenset(map(EventType, webhook.events)),
        allow_private_targets=webhook.allow_private_targets,
        timeout_seconds=webhook.timeout_seconds,
        max_concurrent=webhook.max_concurrent,
        full_recipient=full_recipient,
        ca_file=webhook.ca_file,
    )


def _operator_endpoints(settings: Settings) -> list[Endpoint]:
    return [_endpoint(name, webhook) for name, webhook in settings.webhooks.items()]


def all_endpoints(settings: Settings) -> list[Endpoint]:
    """Return every endpoint: those of the tenants, then those of the operator."""
    of_tenants = (one for name, tenant in settings.tenants.items() for one in tenant_endpoints(name, tenant))
    return [*of_tenants, *_operator_endpoints(settings)]


def operator_targets(settings: Settings) -> tuple[EventTarget, ...]:
    """Return who gets the events that concern the whole service."""
    return tuple(one.target for one in _operator_endpoints(settings))


def build_webhook_queue(settings: Settings, topology: Topology) -> RedisWebhookQueue:
    """Build the queue of events. Without an endpoint of the operator, only partitions have events."""
    return RedisWebhookQueue(topology, _operator_slots(settings) if settings.webhooks else ())


def _operator_slots(settings: Settings) -> Sequence[str]:
    """Return where events of the operator are beside the partitions: with circuits, usages and the guard."""
    providers = (ProviderKeys(name).events for name in settings.providers)
    usages = [tenant_usage_key(name) for name, tenant in settings.tenants.items() if _is_capped(tenant.policy)]
    countries = SUPPORTED_COUNTRIES if ANY_COUNTRY in settings.countries else settings.countries
    usages += [country_usage_key(country) for country in countries]
    return [*providers, *map(usage_events_key, usages), GUARD_EVENTS_SLOT]


def _is_capped(policy: model.Policy) -> bool:
    return policy.daily_message_cap is not None or policy.daily_spend_cap is not None


def build_webhook_worker(settings: Settings, topology: Topology, cipher: VerificationCipher) -> WebhookWorker:
    """Build the worker; without an endpoint it does nothing."""
    queue = build_webhook_queue(settings, topology)
    return WebhookWorker(queue, all_endpoints(settings), EventBodies(cipher))
