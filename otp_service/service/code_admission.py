"""What a request for a code must acquire: the limits that count it, and the providers that may send its message."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from otp_service.domain.caller_text import render_text
from otp_service.domain.channel_route import RoutedProvider
from otp_service.domain.email_address import EmailAddress
from otp_service.domain.guard import GuardRequest
from otp_service.domain.limits import Limits, Window
from otp_service.domain.message import Channel
from otp_service.domain.phone import PhoneNumber
from otp_service.domain.quotas import QuotaPolicy, policies_of
from otp_service.domain.recipient import Recipient, hashed_as
from otp_service.domain.results import Admission, Admitted, IdempotencyClaim, RateLimit
from otp_service.service.dependencies import CodeRequest, Dependencies

__all__ = ["UNKNOWN_ADDRESS", "advertised_policies", "build_admission", "parse_recipient", "without_address_limits"]

UNKNOWN_ADDRESS: Final = "unknown"
"""What the limits of publishable API keys count for a caller on a Unix socket."""

ADDRESS_LIMITS: Final = frozenset({"client_ip", "publishable_client_ip"})
"""The limits that count the address of a person or an app."""

RESERVATION_TOKEN_CHARS: Final = 8
"""48 random bits distinguish a reservation from the few others of its recipient."""


def parse_recipient(request: CodeRequest) -> Recipient:
    """Parse the recipient, and check that it may receive a code; raises `Refused`."""
    if request.email:
        return request.tenant.parse_email(request.email)
    number = request.tenant.parse_phone(request.phone, request.country)
    request.tenant.check_number(number, request.channel)
    return number


def build_admission(
    dependencies: Dependencies,
    request: CodeRequest,
    recipient: Recipient,
    partition: int,
    verification_id: str,
    *,
    claim: IdempotencyClaim | None,
) -> Admission:
    """Return what must be acquired for a request; `partition` is that of the recipient and of the new id."""
    keyed_hash, limits = dependencies.keyring.keyed_hash, dependencies.limits
    counted = (
        ("client_ip", request.client_ip, limits.client_ip),
        *_limits_of_key(request, limits),
        *_limits_of_recipient(recipient, limits),
        ("tenant", request.tenant.name, limits.tenant),
        ("global", "all", limits.global_),
    )
    return Admission(
        partition=partition,
        recipient=keyed_hash(*hashed_as("recipient", recipient.to)),
        tenant=request.tenant.name,
        purpose=request.purpose,
        policy=request.tenant.send_policy,
        rate_limits=tuple(
            RateLimit(limit, keyed_hash(limit, value), windows, _is_own(limit, request))
            for limit, value, windows in counted
            if value and windows
        ),
        route=_route(dependencies, request, recipient, verification_id),
        country=recipient.country,
        idempotency=claim,
        token=verification_id[1 : 1 + RESERVATION_TOKEN_CHARS],
        guard=_guard_request(dependencies, request, recipient),
    )


def without_address_limits(admitted: Admitted) -> Admitted:
    """Return what to release of a request whose captcha token was not accepted: all but the limits of its address.

    If these were released, too, one address could send bad tokens without a limit. Each one reserves the recipient, who
    gets no code meanwhile, and costs a call to the vendor.
    """
    kept = tuple(one for one in admitted.acquired if one[0].limit not in ADDRESS_LIMITS)
    return replace(admitted, acquired=kept)


def _guard_request(dependencies: Dependencies, request: CodeRequest, recipient: Recipient) -> GuardRequest | None:
    """Return what the guard checks; None for an e-mail. Of a relayed code it checks what needs no verification."""
    if isinstance(recipient, EmailAddress):
        return None
    tenant, to, relayed = request.tenant.name, recipient.to, bool(request.relayed_code)
    address = "" if relayed else request.client_ip or ""
    return dependencies.guard.request_for(tenant, recipient.country, to, address, decoy=request.decoy, relayed=relayed)


def advertised_policies(admission: Admission) -> tuple[QuotaPolicy, ...]:
    """Return the quota policies of a request for a code that its caller may know."""
    policy = admission.policy
    return (
        QuotaPolicy("cooldown", 1, policy.cooldown_seconds),
        QuotaPolicy("max_sends", policy.max_sends, 0),
        *policies_of("recipient", policy.recipient),
        *[found for one in admission.rate_limits for found in policies_of(one.limit, one.windows, is_own=one.is_own)],
    )


def _is_own(limit: str, request: CodeRequest) -> bool:
    """Return whether the caller is the only user of a limit: a server of its tenant's, an app of its address's."""
    if limit in ADDRESS_LIMITS:
        return not request.is_server
    return limit == "tenant" and request.is_server


def _limits_of_key(request: CodeRequest, limits: Limits) -> tuple[tuple[str, str, tuple[Window, ...]], ...]:
    """Return the limits of a publishable API key. Callers whose address is not known share one count."""
    if not request.publishable:
        return ()
    return (
        ("publishable_client_ip", request.client_ip or UNKNOWN_ADDRESS, limits.publishable_client_ip),
        ("publishable_key", f"{request.tenant.name}/{request.key_id}", limits.publishable_key),
    )


def _limits_of_recipient(recipient: Recipient, limits: Limits) -> tuple[tuple[str, str, tuple[Window, ...]], ...]:
    """Return the limits that count groups of recipients: the name, what is counted, and the windows."""
    match recipient:
        case EmailAddress():
            return (("email_domain", recipient.domain, limits.email_domain),)
        case PhoneNumber():
            return ("prefix", recipient.block, limits.prefix), ("country", recipient.country, limits.country)


def _route(
    dependencies: Dependencies, request: CodeRequest, recipient: Recipient, verification_id: str
) -> tuple[RoutedProvider, ...]:
    """Return the providers of all channels that the message may use, in their order."""
    channels, country = request.tenant.channels_of(request.channel), recipient.country
    routed: list[RoutedProvider] = []
    for route in dependencies.message_queue.routes(country, recipient.to, verification_id, channels):
        segments = _segments(request, country, route.channel)
        routed += [RoutedProvider(provider, route.channel, segments) for provider in route.providers]
    return tuple(routed)


def _segments(request: CodeRequest, country: str, channel: Channel) -> int:
    """Return how many units of a provider's price the message costs on a channel."""
    tenant = request.tenant
    if request.text and channel is Channel.SMS:
        return channel.segments(render_text(request.text, request.relayed_code or "0" * tenant.code_length))
    return tenant.message_segments(request.text_context(country, channel))
