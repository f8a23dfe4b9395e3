"""After a number is forgotten, the store contains nothing of it but what is listed here with its reason."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import Any

import pytest

from otp_service.crypto.keyring import Keyring
from otp_service.domain.guard_counts import known_member
from otp_service.domain.phone import parse
from otp_service.sandbox.dev_config import merged
from otp_service.service.forget import ForgetRecipient, ForgottenRecipient
from otp_service.store.outbox import RedisOutbox
from otp_service.store.recipient_data import RedisRecipientData
from otp_service.store.topology import connect
from tests.api.api_requests import RECIPIENTS, REQUEST_CODE, VERIFY_CODE
from tests.api.test_forget_recipient import keyed_hash
from tests.api.test_pumping_guard import wait_until_known
from tests.config_parts import api_key, shared_keys, tenant
from tests.opt_out_changes import KEYRING, opt_out_in_store
from tests.running_service import E164, NUMBER, RunningService, ServiceFactory
from tests.store_contents import dump_store
from tests.webhooks.webhook_configs import demo_webhooks
from tests.webhooks.webhook_receiver import WebhookReceiver

REFERENCE = "order-of-ani"
OF_NUMBER = {
    "r": "the counts of its limits: forgetting at a tenant is no way around them",
    "l": "its lock at the tenant: an attacker must not reset it",
    "q": "its opt-out, the person's own wish",
    "gd:k": "what the guard remembers of verified numbers, for all tenants",
}
"""The kinds of keys that name the number by a keyed hash after a tenant has forgotten it."""

OF_OTHERS = {
    "w": "windows of limits of an address or a block of 10,000 numbers",
    "i": "an idempotency key: keyed hashes of it and of its request; or a stored refusal, which names no number",
    "s": "a gateway's id of a message, as a keyed hash",
    "e": "events: their facts, without recipient and reference",
    "gd:b": "counts of a breaker", "gd:m": "counts of a minute", "gd:h": "counts of an hour", "gd:d": "counts of a day",
    "gd:q": "32 bits of the hash of each number of a block, for an hour",
    "ga": "32 bits of the hash of each number of a client address, for its window",
    "cv": "counts of conversion",
    "g": "a provider: circuits, calls, sums of money, and the price of a message by its id",
    "test": "the clock of the tests",
}  # fmt: skip
"""The kinds of keys that may exist after an operator has forgotten it; none of them says which number it was."""


@dataclass
class Sealed:
    """Everything that the service sealed: the kind and the ciphertext by what belongs to a forgotten number."""

    items: list[tuple[str, str, bytes]] = field(default_factory=list)

    def stored(self, dump: dict[bytes, bytes], *, but: Collection[str] = ()) -> set[str]:
        """Return the kinds of the items that a dump contains, but for those of other items."""
        values = b"\n".join(dump.values())
        return {
            kind
            for kind, item_id, sealed in self.items
            if item_id not in but
            and any(form in values for form in (sealed, base64.urlsafe_b64encode(sealed).rstrip(b"=")))
        }


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    """Run a receiver of webhooks."""
    async with WebhookReceiver() as running:
        yield running


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> Sealed:
    """Collect what is sealed, whatever seals it."""
    found, seal = Sealed(), Keyring.seal

    def collect(self: Keyring, kind: str, item_id: str, plain: bytes, key_id: str | None = None) -> bytes:
        result = seal(self, kind, item_id, plain, key_id)
        found.items.append((kind, item_id, result))
        return result

    monkeypatch.setattr(Keyring, "seal", collect)
    return found


def kind_of(name: bytes) -> str:
    """Return the kind of a key: the letters behind its partition, or its own prefix."""
    found = re.match(r"(?:otp:)?(?:\{p\d\d\}:|\{(gd):\w+\}:|\{(?=g:))?([a-z]+)", name.decode())
    assert found, name
    return f"gd:{found[2][0]}" if found[1] else found[2]


async def naming(service: RunningService) -> set[str]:
    """Return the kinds of keys whose name or value has the number's keyed hash, or its place in the guard."""
    shard, member = known_member(keyed_hash().decode())
    found = set()
    for name, value in (await dump_store(service.store)).items():
        assert E164.encode() not in name + value and E164[3:].encode() not in name + value
        is_known = kind_of(name) == "gd:k" and name.endswith(f"{shard}".encode()) and str(member).encode() in value
        if keyed_hash() in name + value or is_known:
            found.add(kind_of(name))
    return found


CONFIG: dict[str, Any] = {
    "guard": {"mode": "observe"},
    "tenants": {
        "demo": {"policy": {"resend_cooldown_seconds": 1, "resend": "reuse"}},
        "other": tenant(api_key("other", "request", "verify", "server")),
    },
    **shared_keys(),
}


async def fill(service: RunningService, url: str, sealed: Sealed) -> set[str]:
    """Store every kind of record of the number; return the ids of what was sealed for another tenant."""
    body, named = {"phone": NUMBER, "purpose": "login", "reference": REFERENCE}, "Idempotency-Key"
    other = await service.caller("other").post(REQUEST_CODE, json=body, headers={named: "other-1"})
    of_other = {item_id for _, item_id, _ in sealed.items}
    answer = await service.client.post(REQUEST_CODE, json=body, headers={named: "request-1"})
    verified = answer.json()["verification_id"]
    attempt = {"verification_id": verified, "code": await service.code_of(verified)}
    proof = await service.client.post(VERIFY_CODE, json=attempt, headers={named: "verify-1"})
    assert (other.status_code, answer.status_code, proof.json()["phone"]) == (202, 202, E164)
    await service.advance(2)
    for _ in range(2):  # the first is superseded, the second is pending
        await service.request_code(reference=REFERENCE)
        await service.advance(2)
    canceled, _ = await service.request_code(purpose="registration")
    await service.client.delete(f"/v1/verifications/{canceled}")
    exhausted, code = await service.request_code(purpose="password_reset")
    for _ in range(5):
        await service.verify(exhausted, service.wrong_code(code))
    await opt_out_in_store(service)
    topology = connect(url)
    await RedisOutbox(topology, 2, ()).remember_sent(["hash-of-the-gateways-id"], verified, 600)
    await topology.close()
    return of_other


async def forget_everywhere(url: str, *, opt_out: bool) -> ForgottenRecipient:
    """Forget the number as an operator of the service does."""
    topology = connect(url)
    use_case = ForgetRecipient(RedisRecipientData(topology), KEYRING)
    number = parse(NUMBER, "ID")
    found = await use_case.everywhere(("demo", "other"), number, opt_out=opt_out, actor="test")
    await topology.close()
    return found


async def test_nothing_of_the_number_is_left(
    make_service: ServiceFactory, receiver: WebhookReceiver, sealed: Sealed
) -> None:
    """Neither what is sealed nor its keyed hash, first at a tenant, then at all, then with the opt-out."""
    async with WebhookReceiver() as away:
        webhooks = demo_webhooks(main=receiver.config(), away=away.config(full_recipient=True))
        await away.close()
        service = await make_service(merged(CONFIG, webhooks))
        of_other = await fill(service, make_service.url, sealed)
        await receiver.wait_for("verification.verified", "message.sent")
        await wait_until_known(service)
        assert sealed.stored(await dump_store(service.store)) == {"answer", "message", "phone", "reference"}
        assert await naming(service) == {*OF_NUMBER, "d", "e", "v"}

        answer = await service.client.request("DELETE", RECIPIENTS, json={"phone": NUMBER})
        assert answer.json()["verifications_removed"] == 5
        assert {one["what"] for one in answer.json()["kept"]} == {"limits", "lock", "opt_out", "guard_numbers"}
        assert sealed.stored(await dump_store(service.store), but=of_other) == set()
        assert await naming(service) == {*OF_NUMBER, "d", "v"}, "the index and the record are those of the other tenant"

        assert (await forget_everywhere(make_service.url, opt_out=False)).verifications == 1
        assert sealed.stored(await dump_store(service.store)) == set()
        assert await naming(service) == {"q"}
        await forget_everywhere(make_service.url, opt_out=True)
        assert await naming(service) == set()
        assert {kind_of(name) for name in await dump_store(service.store)} <= set(OF_OTHERS)

        await away.listen()
        await service.advance(400)
        await away.wait_for("verification.requested", "verification.verified", "message.sent")
    assert {(event.data["phone"], event.data["reference"]) for event in away.events} == {(None, None)}
