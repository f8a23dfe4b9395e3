"""E-mail through the whole service: a code over HTTP arrives at an SMTP server, and what failures lead to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from otp_service.domain.email_texts import render
from otp_service.sandbox.simulators.http_server import Down, Hang, ScriptStep
from otp_service.sandbox.simulators.smtp import SmtpSimulator, refusal
from tests.message_waits import POLL_ROUNDS_SECONDS, code_in, wait_for_deliveries
from tests.running_service import RunningService, ServiceFactory
from tests.store_contents import dump_store
from tests.waits import wait_until

ADDRESS = "Ana.Putri+otp@example.co.id"
HOLD_SECONDS = 15


def smtp_table(server: SmtpSimulator, **options: Any) -> dict[str, Any]:
    """Return the table of a provider that sends through a simulated server."""
    table = {"type": "smtp", "host": "127.0.0.1", "port": server.port, "tls": "none", "timeout_seconds": 0.5}
    return {**table, "username": "smtp-user", "password": "smtp password", "from": "no-reply@acme.example", **options}


@contextlib.asynccontextmanager
async def two_servers(
    make_service: ServiceFactory, *steps: ScriptStep, **options: Any
) -> AsyncIterator[tuple[RunningService, SmtpSimulator, SmtpSimulator]]:
    """Run a service with two SMTP servers; `steps` script the first one, `options` are keys of its table."""
    async with SmtpSimulator() as first, SmtpSimulator() as second:
        first.script(*steps)
        config = {
            "providers": {"first": smtp_table(first, **options), "second": smtp_table(second)},
            "routes": [{"channel": "email", "providers": ["first", "second"]}],
            "delivery": {"hold_seconds": HOLD_SECONDS},
        }
        yield await make_service(config), first, second


async def request_code(service: RunningService, **members: str) -> str:
    """Request a code by e-mail; return the verification id."""
    response = await service.request(email=ADDRESS, **members)
    assert response.status_code == 202, response.text
    verification_id: str = response.json()["verification_id"]
    return verification_id


@pytest.mark.parametrize(("locale", "language"), [("", "id"), ("en-GB", "en"), ("zh-TW", "zh-Hant")])
async def test_code_arrives_and_verifies(make_service: ServiceFactory, locale: str, language: str) -> None:
    """Subject, text and HTML as they are composed, to the address as it was written; `sent` is the final status."""
    async with two_servers(make_service) as (service, first, second):
        verification_id = await request_code(
            service, purpose="password_reset", **({"locale": locale} if locale else {})
        )
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        [mail] = first.messages
        code = code_in(mail.text)
        expected = render("Demo", code, 5, "password_reset", language)

        assert (mail.sender, mail.to) == ("no-reply@acme.example", ADDRESS)
        assert (mail.subject, mail.text, mail.html) == (expected.subject, expected.text, expected.html)
        assert mail.message_id == f"<{verification_id}@acme.example>"
        stored = b"\n".join(part for pair in (await dump_store(service.store)).items() for part in pair).lower()
        assert not any(part in stored for part in (b"ana.putri", b"example.co.id", code.encode()))
        assert (await service.verify(verification_id, code)).status_code == 200
        assert second.connections == 0


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (refusal(554, "5.7.1 Spam", "content"), "content_rejected"),
        (refusal(451, "4.7.1 Greylisted"), "transient"),
        (refusal(454, "Throttling failure", "mail"), "throttled"),
        (refusal(550, "5.4.4 No route"), "destination_unsupported"),
        (Down(30), "transient"),
    ],
)
async def test_definite_failure_is_followed_at_once(make_service: ServiceFactory, step: ScriptStep, error: str) -> None:
    """The next server sends the same code, once."""
    async with two_servers(make_service, step) as (service, first, second):
        verification_id = await request_code(service)
        await wait_until(lambda: len(second.messages) == 1)

        await wait_for_deliveries(service, verification_id, {"first": ("failed", error), "second": ("sent", None)})
        assert first.messages == []
        assert (await service.verify(verification_id, code_in(second.messages[0].text))).status_code == 200


async def test_wrong_password_opens_the_circuit(make_service: ServiceFactory) -> None:
    """The second code goes to the next server without a try at the first one."""
    async with two_servers(make_service, password="wrong") as (service, first, second):
        for count, number in ((1, 1), (2, 1)):
            await service.request(email=f"ana{count}@example.com")
            await wait_until(lambda expected=count: len(second.messages) == expected)  # type: ignore[misc]  # a bound default
            assert first.connections == number


async def test_unknown_address_is_final(make_service: ServiceFactory) -> None:
    """No other server is asked to deliver to an address that does not exist."""
    async with two_servers(make_service, refusal(550, "5.1.1 Unknown")) as (service, _, second):
        verification_id = await request_code(service)
        await wait_for_deliveries(service, verification_id, {"first": ("failed", "recipient_invalid")})
        await service.advance(60)
        await asyncio.sleep(POLL_ROUNDS_SECONDS)
        assert second.connections == 0


async def test_lost_reply_is_followed_after_the_hold(make_service: ServiceFactory) -> None:
    """The first server may have sent it: the second one sends the same code after the hold, and not before."""
    async with two_servers(make_service, Hang()) as (service, first, second):
        verification_id = await request_code(service)
        await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
        await service.advance(HOLD_SECONDS - 2)
        await asyncio.sleep(POLL_ROUNDS_SECONDS)
        assert (len(first.messages), second.connections) == (1, 0)
        await service.advance(2)
        await wait_until(lambda: len(second.messages) == 1)

        [code] = {code_in(mail.text) for mail in (*first.messages, *second.messages)}
        assert (await service.verify(verification_id, code)).status_code == 200
