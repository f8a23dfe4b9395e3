"""The composition root: the only place where adapters meet ports.

`compose` makes one process's application out of settings; `from_environment` is what a worker process calls.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from litestar.types import ASGIApp

from otp_service.api.app import ApiDependencies, make_app
from otp_service.api.auth import ApiKeys
from otp_service.api.schemas import Jwk, Jwks
from otp_service.bootstrap.provider_set import ProviderSet, build_provider_set
from otp_service.bootstrap.settings_mapping import api_keys, budgets, keyring_of, routes_of, tenant_of
from otp_service.crypto.hashing import Cost, HashPool
from otp_service.crypto.keyring import Keyring
from otp_service.crypto.tokens import TokenSigner
from otp_service.crypto.verification_cipher import VerificationCipher
from otp_service.delivery import balances
from otp_service.delivery.composer import Composer
from otp_service.delivery.dispatcher import Dispatcher
from otp_service.delivery.outbox_worker import OutboxWorker
from otp_service.delivery.receipts import ReceiptHandler, ReceiptTokens
from otp_service.delivery.retry_policy import RetryRules
from otp_service.domain.tenant import Tenant
from otp_service.observability import configure_logging, metrics_page
from otp_service.providers.inbox import Inbox
from otp_service.service import Dependencies, OtpService
from otp_service.settings import Settings, load_file
from otp_service.store.attempts import RedisAttempts, RedisLockouts
from otp_service.store.connection import Access
from otp_service.store.idempotency_keys import RedisIdempotency
from otp_service.store.outbox import RedisOutbox
from otp_service.store.provider_status import RedisCircuits
from otp_service.store.readiness import StoreReadiness
from otp_service.store.topology import Topology, connect
from otp_service.store.verifications import RedisVerifications

__all__ = ["Middleware", "build_app", "build_app_from_environment", "build_topology"]

Middleware = Callable[[ASGIApp], ASGIApp]

CONFIG_VARIABLE: Final = "OTP_CONFIG"
METRICS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"


def build_app_from_environment() -> ASGIApp:
    """Make a worker's application from the file that `OTP_CONFIG` names, which `serve` has checked before."""
    configure_logging()
    return build_app(load_file(os.environ[CONFIG_VARIABLE], os.environ))


def build_topology(settings: Settings) -> Topology:
    """Make the way to the configured store; nothing is connected yet."""
    redis = settings.redis
    access = Access(redis.allow_eviction, redis.ca_file, redis.sentinel_username, redis.sentinel_password)
    return connect(redis.url.reveal(), access)


def build_app(settings: Settings, *, inner_middleware: Middleware | None = None, inbox: Inbox | None = None) -> ASGIApp:
    """Put the application together; `around` may stand between the edge and the routes, `inbox` be every inbox."""
    tenants = {name: tenant_of(name, tenant, settings.limits) for name, tenant in settings.tenants.items()}
    topology = build_topology(settings)
    keyring = keyring_of(settings)
    pool = _hash_pool(settings)
    cipher = VerificationCipher(keyring, pool)
    gateways = build_provider_set(settings, topology, inbox)
    outbox_worker, receipt_handler = _delivery(
        settings, gateways, topology, tenants=tenants, cipher=cipher, keyring=keyring
    )
    signer = TokenSigner(
        {name: pem.reveal() for name, pem in settings.tokens.ring.items()},
        current=settings.tokens.current,
        issuer=settings.tokens.issuer,
    )
    readiness = StoreReadiness(topology, allow_eviction=settings.redis.allow_eviction)
    watch = balances.BalanceMonitor(RedisCircuits(topology), gateways.providers, balances.POLL_INTERVAL_SECONDS)
    service = OtpService(
        Dependencies(
            verifications=RedisVerifications(
                topology, gateways.policies, gateways.counted_tenants, key_ids=keyring.ids
            ),
            attempts=RedisAttempts(topology, keyring.ids),
            lockouts=RedisLockouts(topology),
            idempotency=RedisIdempotency(topology),
            keyring=keyring,
            cipher=cipher,
            pool=pool,
            signer=signer,
            message_queue=outbox_worker,
            limits=budgets(settings.limits),
        )
    )
    running = _Running(topology, readiness, outbox_worker, watch, pool, gateways, service)
    return make_app(
        ApiDependencies(
            service=service,
            api_keys=ApiKeys(api_keys(settings, tenants)),
            trusted_proxies=settings.server.trusted_proxies,
            jwks=Jwks([Jwk(**key) for key in signer.jwks()["keys"]]),
            check_store=readiness.check,
            check_ready=readiness.ready,
            receipts=receipt_handler,
            metrics=lambda: metrics_page(os.environ.get(METRICS_VARIABLE)),
            lifespan=running.lifespan,
            inner_middleware=inner_middleware,
            workers=settings.server.workers,
        )
    )


def _hash_pool(settings: Settings) -> HashPool:
    """Make the hash pool of one of the workers, which share the cores."""
    hashing = settings.hashing
    return HashPool(
        Cost(hashing.time_cost, hashing.memory_kib, hashing.parallelism),
        threads=hashing.threads or max(1, (os.cpu_count() or 1) // settings.server.workers),
        places=hashing.max_waiting,
    )


def _delivery(
    settings: Settings,
    gateways: ProviderSet,
    topology: Topology,
    *,
    tenants: Mapping[str, Tenant],
    cipher: VerificationCipher,
    keyring: Keyring,
) -> tuple[OutboxWorker, ReceiptHandler]:
    """Put together the way out, and the way back of what gateways tell."""
    providers = gateways.providers
    rules = RetryRules(
        int(settings.delivery.hold_seconds * 1000),
        settings.delivery.max_texts,
        frozenset(name for name, provider in providers.items() if provider.idempotent_send),
    )
    outbox = RedisOutbox(topology, rules.max_texts, keyring.ids)
    tokens = ReceiptTokens(keyring, settings.server.public_url)
    routes = routes_of(settings, providers)
    dispatcher = Dispatcher(
        outbox,
        gateways.limiter,
        routes=routes,
        providers=providers,
        composer=Composer(tenants, cipher, tokens.url),
        rules=rules,
        concurrency={name: policy.max_concurrent for name, policy in gateways.policies.items()},
    )
    return OutboxWorker(outbox, dispatcher, routes), ReceiptHandler(outbox, providers, tokens, keyring)


@dataclass(frozen=True, slots=True)
class _Running:
    """What has to be started and stopped with the process."""

    topology: Topology
    readiness: StoreReadiness
    outbox_worker: OutboxWorker
    watch: balances.BalanceMonitor
    pool: HashPool
    gateways: ProviderSet
    service: OtpService

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Run while the application serves; on the way out, deliveries under way are written down first."""
        await self.readiness.start()
        self.outbox_worker.start()
        self.watch.start()
        try:
            yield
        finally:
            await self.watch.stop()
            await self.outbox_worker.stop()
            await self.service.stop()
            await self.readiness.stop()
            await self.gateways.close()
            await self.topology.close()
            self.pool.close()
