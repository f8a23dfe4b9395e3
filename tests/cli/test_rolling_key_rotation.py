"""Key rotation (add, switch, remove) with a rolling update of two replicas loses no attempt and no message."""

from __future__ import annotations

import asyncio
import base64
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.cli.service_config import ConfigWriter, api_client
from tests.message_waits import code_in
from tests.service_process import ServiceProcess

ENVIRON = {f"KEY_{name}": base64.b64encode(name.encode() * 16).decode() for name in ("IX", "K1", "K2")}
LISTED = {"before": ("1",), "added": ("1", "2"), "switched": ("1", "2"), "removed": ("2",)}
CURRENT = {"before": "1", "added": "1", "switched": "2", "removed": "2"}
POLICY = '[tenants.acme.policy]\nresend = "reuse"\nresend_cooldown_seconds = 1\n'
NO_LIMITS = "[limits]\nrecipient = []\nprefix = []\nclient_ip = []\n"


@dataclass
class Replica:
    """One process, and a client for it."""

    service: ServiceProcess
    client: httpx.AsyncClient

    async def post(self, path: str, key: str = "", **body: Any) -> httpx.Response:
        """Call an endpoint, with an idempotency key if given."""
        return await self.client.post(f"/v1/{path}", json=body, headers={"Idempotency-Key": key} if key else {})

    async def attempts_left(self, verification_id: str) -> int:
        """Return the attempts that a verification has left."""
        response = await self.client.get(f"/v1/verifications/{verification_id}")
        assert response.status_code == 200, response.text
        left: int = response.json()["attempts_left"]
        return left

    async def delivery(self, verification_id: str) -> tuple[str, str | None]:
        """Return status and error of the message."""
        [delivery] = (await self.client.get(f"/v1/verifications/{verification_id}")).json()["deliveries"]
        return delivery["status"], delivery["error"]


@dataclass
class Update:
    """The replicas, the gateway, and the state of the update."""

    serve: Callable[..., ServiceProcess]
    write_config: ConfigWriter
    gateway: EimsSimulator
    folder: Path
    replicas: list[Replica] = field(default_factory=list)
    timeout_seconds: float = 0.5
    numbers: int = 0
    requested: int = 0
    proved: int = 0
    wrong: int = 0

    def config(self, stage: str) -> Path:
        """Write the config of a stage to a file."""
        text = self.write_config(gateway=self.gateway.url).read_text()
        head, _, rest = text.partition("[keys]")
        _, _, rest = rest.partition("[hashing]")
        rest = rest.replace("timeout_seconds = 0.5\n", f"timeout_seconds = {self.timeout_seconds}\n")
        keys = "".join(f'k{n} = "env:KEY_K{n}"\n' for n in LISTED[stage])
        tokens = "".join(f't{n} = "file:{self.folder}/t{n}.key"\n' for n in LISTED[stage])
        path = self.folder / f"{stage}.toml"
        path.write_text(
            f'{head}[keys]\ncurrent = "k{CURRENT[stage]}"\nindex = "ix"\nix = "env:KEY_IX"\n{keys}'
            f'[tokens]\nissuer = "https://otp.example.com"\ncurrent = "t{CURRENT[stage]}"\n{tokens}'
            f"[hashing]{rest}{POLICY}{NO_LIMITS}"
        )
        return path

    async def start(self, stage: str) -> Replica:
        """Start a process with the config of a stage."""
        service = self.serve(self.config(stage), **ENVIRON)
        return Replica(service, api_client(await service.ready()))

    async def roll(self, place: int, stage: str) -> None:
        """Replace one replica; the new one is ready before the old one gets SIGTERM."""
        old, self.replicas[place] = self.replicas[place], await self.start(stage)
        await self.end(old)

    async def end(self, replica: Replica) -> None:
        """Send SIGTERM to a process, and wait for exit status 0."""
        await replica.client.aclose()
        replica.service.send(signal.SIGTERM)
        assert await replica.service.status() == 0

    async def request(self, at: Replica, number: str = "") -> tuple[str, str]:
        """Request a code for a new number; return the number and the verification's id."""
        self.numbers += 1
        key, number = f"r{self.numbers}", number or f"62812101{self.numbers:05}"
        response = await at.post("request-code", key, phone="+" + number, purpose="login")
        assert response.status_code == 202, response.text
        for other in self.replicas:  # a retry at another replica
            again = await other.post("request-code", key, phone="+" + number, purpose="login")
            assert (again.status_code, again.content) == (202, response.content)
        self.requested += 1
        return number, response.json()["verification_id"]

    async def code(self, number: str, texts: int = 1) -> str:
        """Wait for the message to a number; return its code."""
        async with asyncio.timeout(12):
            while len(found := [one.text for one in self.gateway.messages if one.to == number]) < texts:
                await asyncio.sleep(0.02)
        return code_in(found[-1])

    async def submit_wrong_code(self, at: Replica, verification_id: str, code: str, left: int) -> None:
        """Submit a wrong code with an idempotency key at every replica; it costs exactly one attempt."""
        self.wrong += 1
        key = f"w{self.wrong}"
        wrong = str((int(code[0]) + 1) % 10) + code[1:]
        for replica in (at, *self.replicas):
            response = await replica.post("verify-code", key, verification_id=verification_id, code=wrong)
            assert (response.status_code, response.json()["attempts_left"]) == (422, left), response.text
        for replica in self.replicas:
            assert await replica.attempts_left(verification_id) == left

    async def verify(self, at: Replica, verification_id: str, code: str) -> None:
        """Verify; every replica returns the same response, and its published keys verify the token."""
        self.proved += 1
        key = f"p{self.proved}"
        body = {"verification_id": verification_id, "code": code}
        response = await at.post("verify-code", key, **body)
        assert response.status_code == 200, response.text
        token = response.json()["token"]
        for replica in self.replicas:
            again = await replica.post("verify-code", key, **body)
            assert (again.status_code, again.content) == (200, response.content)
            keys = jwt.PyJWKSet.from_dict((await replica.client.get("/.well-known/jwks.json")).json())
            signed_by = keys[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(token, signed_by, ["EdDSA"], audience="acme", leeway=5)
            assert claims["jti"] == verification_id

    async def work(self) -> list[tuple[str, str]]:
        """Run the whole flow at each replica with retries at the other; leave one verification of each pending."""
        one, two = self.replicas
        return list(await asyncio.gather(self._work(one, two), self._work(two, one)))

    async def _work(self, at: Replica, other: Replica) -> tuple[str, str]:
        number, verification_id = await self.request(at)
        code = await self.code(number)
        await self.submit_wrong_code(other, verification_id, code, 4)
        await self.submit_wrong_code(at, verification_id, code, 3)
        await asyncio.sleep(1.05)  # the cooldown: processes have the real clock
        _, again = await self.request(other, number)
        assert await self.code(number, texts=2) == code
        await self.submit_wrong_code(at, again, code, 4)
        await self.verify(at, again, code)
        return await self.request(at)

    async def finish(self, pending: list[tuple[str, str]]) -> None:
        """Verify the pending verifications, each at the replica that did not create it."""
        for replica, (number, verification_id) in zip(reversed(self.replicas), pending, strict=True):
            await self.verify(replica, verification_id, await self.code(number))


@pytest.fixture
async def update(
    serve: Callable[..., ServiceProcess], write_config: ConfigWriter, gateway: EimsSimulator, tmp_path: Path
) -> AsyncIterator[Update]:
    """Return an update with two keys for each ring, and no replica yet."""
    for name in ("t1", "t2"):
        key = Ed25519PrivateKey.generate()
        (tmp_path / f"{name}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    made = Update(serve, write_config, gateway, tmp_path)
    yield made
    for replica in made.replicas:
        await replica.client.aclose()


async def test_add_then_switch_then_remove(update: Update) -> None:
    """No attempt and no message is lost or sent twice, in each of the seven states of two replicas.

    At the switch the gateway is down, and messages under both keys wait for it.
    """
    update.timeout_seconds = 10  # five late responses of a loaded machine would open the circuit
    update.replicas = list(await asyncio.gather(update.start("before"), update.start("before")))
    pending = await update.work()
    for stage in ("added", "switched", "removed"):
        for place in (0, 1):
            if (stage, place) == ("switched", 0):
                await update.gateway.close()
                pending += [await update.request(replica) for replica in update.replicas]
            if (
                stage == "removed"
            ):  # in production, no code of the old key is left ten minutes after the switch; here they are verified
                await update.finish(pending)
                pending = []
            await update.roll(place, stage)
            if (stage, place) == ("switched", 0):
                pending += [await update.request(replica) for replica in update.replicas]
                await update.gateway.listen()
            while pending:
                await update.finish(pending[-2:])
                del pending[-2:]
            pending = await update.work()
    await update.finish(pending)

    texts = Counter(message.to for message in update.gateway.messages)
    assert sum(texts.values()) == update.requested == len(update.gateway.messages)
    assert (update.requested, update.proved, update.wrong) == (46, 32, 42)


async def test_switch_before_add(update: Update) -> None:
    """In the wrong order, a replica without the key returns 503; no attempt or message is lost, and adding it helps."""
    update.replicas = list(await asyncio.gather(update.start("before"), update.start("switched")))
    behind, ahead = update.replicas
    await update.gateway.close()
    response = await ahead.post("request-code", "first", phone="+6281210100055", purpose="login")
    verification_id = response.json()["verification_id"]
    async with asyncio.timeout(5):  # not during the send: that would be an ambiguous outcome
        while await ahead.delivery(verification_id) != ("queued", "transient"):
            await asyncio.sleep(0.005)
    await ahead.service.kill()
    await ahead.client.aclose()
    for attempt in ("000000", "111111", "222222", "333333", "444444", "555555", "666666"):
        for key in ("", attempt):
            refused = await behind.post("verify-code", key, verification_id=verification_id, code=attempt)
            assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
            assert refused.headers["retry-after"] == "1"
    assert (await behind.client.get(f"/v1/verifications/{verification_id}")).status_code == 503
    assert (await behind.client.delete(f"/v1/verifications/{verification_id}")).status_code == 503
    refused = await behind.post("request-code", "first", phone="+6281210100055", purpose="login")
    assert refused.status_code == 503
    await update.gateway.listen()
    await asyncio.sleep(6)  # the lease of the killed replica has expired, and the other one has polled
    assert update.gateway.messages == []

    await update.roll(0, "added")

    added = update.replicas[0]
    update.replicas = [added]
    code = await update.code("6281210100055")
    again = await added.post("request-code", "first", phone="+6281210100055", purpose="login")
    assert again.content == response.content
    await update.submit_wrong_code(added, verification_id, code, 4)
    await update.verify(added, verification_id, code)
    assert len(update.gateway.messages) == 1
