"""Build the application of one process from the settings."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from litestar.types import ASGIApp

from otp_service.api.app import ApiDependencies, make_app
from otp_service.api.auth import ApiKeys
from otp_service.api.hook_routes import CodeHooks
from otp_service.api.schemas import Jwk, Jwks
from otp_service.bootstrap.captcha_set import CaptchaSet, build_captcha_policy, build_captcha_set
from otp_service.bootstrap.guard_setup import build_guard, build_guard_admin
from otp_service.bootstrap.issuer_set import IssuerSet, build_issuer_set
from otp_service.bootstrap.process_resources import METRICS_VARIABLE, ProcessResources, build_resources
from otp_service.bootstrap.provider_set import ProviderSet, build_provider_set
from otp_service.bootstrap.settings_mapping import (
    build_api_keys,
    build_hooks,
    build_keyring,
    build_limits,
    build_opt_out_words,
    build_routes,
    build_tenant,
    providers_by_conversion,
)
from otp_service.bootstrap.webhook_setup import all_endpoints, build_webhook_worker, operator_targets
from otp_service.crypto.hashing import HashPool
from otp_service.crypto.keyring import Keyring
from otp_service.crypto.tokens import TokenSigner
from otp_service.crypto.verification_cipher import VerificationCipher
from otp_service.delivery.balances import BalanceMonitor
from otp_service.delivery.composer import Composer
from otp_service.delivery.conversion_feedback import ConversionFeedback
from otp_service.delivery.conversion_tracker import ConversionTracker
from otp_service.delivery.dispatcher import Dispatcher
from otp_service.delivery.inbound import InboundHandler
from otp_service.delivery.inbound_polling import InboundPoller
from otp_service.delivery.outbox_worker import OutboxWorker
from otp_service.delivery.receipts import ReceiptHandler, ReceiptTokens
from otp_service.delivery.retry_policy import RetryRules
from otp_service.domain.tenant import Tenant
from otp_service.observability import metrics_page
from otp_service.providers.inbox import Inbox
from otp_service.service import Dependencies, OtpService
from otp_service.service.guard_recorder import GuardRecorder
from otp_service.settings import Settings
from otp_service.store.attempts import RedisAttempts, RedisLockouts, RedisPresentedProofs
from otp_service.store.captcha_uses import RedisCaptchaUses
from otp_service.store.conversion_counts import RedisConversionCounts
from otp_service.store.idempotency_keys import RedisIdempotency
from otp_service.store.opt_outs import RedisInboundCursors, RedisOptOuts
from otp_service.store.outbox import RedisOutbox
from otp_service.store.recipient_data import RedisRecipientData
from otp_service.store.topology import Topology
from otp_service.store.verifications import RedisVerifications
from otp_service.webhooks.webhook_worker import WebhookWorker

__all__ = [
    "Middleware",
    "build_app",
]

Middleware = Callable[[ASGIApp], ASGIApp]


def build_app(
    settings: Settings,
    *,
    inner_middleware: Middleware | None = None,
    inbox: Inbox | None = None,
    now: Callable[[], float] = time.time,
    resources: ProcessResources | None = None,
) -> ASGIApp:
    """Build the application of one process; its lifespan starts and stops everything that runs in the background.

    Args:
        settings: The checked configuration.
        inner_middleware: Wraps the routes, inside the middleware of the API.
        inbox: Replaces every provider of type `inbox`.
        now: Returns the Unix time in seconds, by which API keys and access tokens expire.
        resources: What the process keeps for its later applications; by default the application has its own.
    """
    kept = build_resources(settings) if resources is None else resources
    shared = _build_shared(settings, kept, inbox, now)
    signer = _build_signer(settings)
    background = _build_background(settings, shared, signer, now, kept, owns_resources=resources is None)
    return make_app(
        ApiDependencies(
            service=background.service,
            api_keys=ApiKeys(build_api_keys(settings, shared.tenants), now),
            trusted_proxies=settings.server.trusted_proxies,
            jwks=Jwks([Jwk(**key) for key in signer.jwks()["keys"]]),
            check_store=kept.readiness.check,
            check_ready=kept.readiness.ready,
            receipts=background.receipt_handler,
            metrics=lambda: metrics_page(os.environ.get(METRICS_VARIABLE)),
            lifespan=background.lifespan,
            inner_middleware=inner_middleware,
            workers=settings.server.workers,
            access_tokens=background.issuer_set.access_tokens,
            hooks=CodeHooks(build_hooks(settings, shared.tenants)),
        )
    )


def _build_background(
    settings: Settings,
    shared: _Shared,
    signer: TokenSigner,
    now: Callable[[], float],
    resources: ProcessResources,
    *,
    owns_resources: bool,
) -> _Background:
    """Build the use cases and everything that runs beside them."""
    inbound = InboundHandler(RedisOptOuts(shared.topology), build_opt_out_words(settings), shared.keyring)
    outbox_worker, receipt_handler = _build_delivery(settings, shared, inbound)
    return _Background(
        shared=shared,
        own_resources=resources if owns_resources else None,
        names=resources.names.held(shared.provider_set.providers, [one.name for one in all_endpoints(settings)]),
        outbox_worker=outbox_worker,
        balance_monitor=shared.provider_set.balance_monitor,
        inbound_poller=InboundPoller(RedisInboundCursors(shared.topology), inbound, shared.provider_set.providers),
        service=OtpService(_build_dependencies(settings, shared, signer, outbox_worker)),
        receipt_handler=receipt_handler,
        webhook_worker=build_webhook_worker(settings, shared.topology, shared.cipher),
        issuer_set=build_issuer_set(settings, shared.tenants, now, resources.issuer_keys),
    )


@dataclass(frozen=True, slots=True)
class _Shared:
    """What both the use cases and the delivery are built from."""

    tenants: Mapping[str, Tenant]
    topology: Topology
    keyring: Keyring
    hash_pool: HashPool
    cipher: VerificationCipher
    provider_set: ProviderSet
    captcha_set: CaptchaSet
    guard: GuardRecorder


def _build_shared(
    settings: Settings, resources: ProcessResources, inbox: Inbox | None, now: Callable[[], float]
) -> _Shared:
    topology, keyring, hash_pool = resources.topology, build_keyring(settings), resources.hash_pool
    return _Shared(
        tenants=_build_tenants(settings),
        topology=topology,
        keyring=keyring,
        hash_pool=hash_pool,
        cipher=VerificationCipher(keyring, hash_pool),
        provider_set=build_provider_set(settings, topology, inbox),
        captcha_set=build_captcha_set(settings, keyring, topology, now),
        guard=build_guard(settings, topology, keyring),
    )


def _build_tenants(settings: Settings) -> dict[str, Tenant]:
    return {
        name: replace(
            build_tenant(name, tenant, settings.limits), captcha=build_captcha_policy(settings, tenant.policy.captcha)
        )
        for name, tenant in settings.tenants.items()
    }


def _build_dependencies(
    settings: Settings, shared: _Shared, signer: TokenSigner, outbox_worker: OutboxWorker
) -> Dependencies:
    """Give the use cases their adapters."""
    topology, keyring, provider_set = shared.topology, shared.keyring, shared.provider_set
    return Dependencies(
        verifications=RedisVerifications(
            topology,
            provider_set.policies,
            provider_set.caps,
            provider_set.country_caps,
            operator_targets(settings),
            key_ids=keyring.key_ids,
        ),
        attempts=RedisAttempts(topology, keyring.key_ids),
        lockouts=RedisLockouts(topology),
        recipient_data=RedisRecipientData(topology),
        proofs=RedisPresentedProofs(topology),
        opt_outs=RedisOptOuts(topology),
        idempotency=RedisIdempotency(topology),
        keyring=keyring,
        cipher=shared.cipher,
        pool=shared.hash_pool,
        signer=signer,
        message_queue=outbox_worker,
        limits=build_limits(settings.limits),
        captcha_verifiers=shared.captcha_set.verifiers,
        captcha_uses=RedisCaptchaUses(topology),
        app_attest=shared.captcha_set.app_attest,
        guard=shared.guard,
        guard_admin=build_guard_admin(settings, topology),
    )


def _build_signer(settings: Settings) -> TokenSigner:
    tokens = settings.tokens
    keys = {name: pem.reveal() for name, pem in tokens.ring.items()}
    return TokenSigner(keys, current=tokens.current, issuer=tokens.issuer)


def _build_delivery(
    settings: Settings, shared: _Shared, inbound: InboundHandler
) -> tuple[OutboxWorker, ReceiptHandler]:
    """Build the outbox worker, which sends messages, and the handler of delivery receipts."""
    provider_set, keyring = shared.provider_set, shared.keyring
    providers = provider_set.providers
    rules = RetryRules(
        int(settings.delivery.hold_seconds * 1000),
        settings.delivery.max_texts,
        frozenset(name for name, provider in providers.items() if provider.idempotent_send),
        int(settings.delivery.channel_hold_seconds * 1000),
    )
    outbox = RedisOutbox(shared.topology, rules.max_texts, keyring.key_ids)
    tokens = ReceiptTokens(keyring, settings.server.public_url)
    conversion = ConversionTracker(RedisConversionCounts(shared.topology), providers_by_conversion(settings))
    routes = build_routes(settings, providers, lambda: conversion.results)
    dispatcher = Dispatcher(
        outbox,
        provider_set.limiter,
        routes=routes,
        providers=providers,
        composer=Composer(shared.tenants, shared.cipher, tokens.url),
        rules=rules,
        concurrency={name: policy.max_concurrent for name, policy in provider_set.policies.items()},
        conversion=conversion,
    )
    receipts = ReceiptHandler(outbox, provider_set.limiter, providers, tokens, keyring, inbound=inbound)
    return OutboxWorker(outbox, dispatcher, routes, conversion, ConversionFeedback(providers)), receipts


@dataclass(frozen=True, slots=True)
class _Background:
    """Everything that starts and stops with the application."""

    shared: _Shared
    own_resources: ProcessResources | None
    names: AbstractContextManager[None]
    outbox_worker: OutboxWorker
    balance_monitor: BalanceMonitor
    inbound_poller: InboundPoller
    service: OtpService
    receipt_handler: ReceiptHandler
    webhook_worker: WebhookWorker
    issuer_set: IssuerSet

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Start the background work; at the end, stop it after the results of running sends are recorded."""
        async with contextlib.AsyncExitStack() as stack:
            if self.own_resources is not None:
                await stack.enter_async_context(self.own_resources.lifespan())
            stack.enter_context(self.names)
            self.issuer_set.start()
            self.receipt_handler.connect_providers()
            self.outbox_worker.start()
            self.balance_monitor.start()
            self.inbound_poller.start()
            self.webhook_worker.start()
            self.service.start()
            try:
                yield
            finally:
                await self.inbound_poller.stop()
                await self.balance_monitor.stop()
                await self.outbox_worker.stop()
                await self.receipt_handler.stop()
                await self.webhook_worker.stop()
                await self.service.stop()
                await self.issuer_set.stop()
                await self.shared.provider_set.close()
                await self.shared.captcha_set.close()
