"""Inbound messages in the sandbox: each gateway passes them on in its own way."""

from __future__ import annotations

import asyncio
import base64

from tests.sandbox.sandbox_client import SandboxClient, sandbox_http_client


async def test_stop_and_start_by_webhook(sandbox: SandboxClient) -> None:
    """STOP to SendCloud's number opts the sender out at the service, START ends that; neither is part of the script."""
    phone = "+6281310100701"
    for text, opted_out in (("STOP", True), ("START", False)):
        changed = await sandbox.script("aurora", {"inbound": {"from": phone, "text": text}})
        assert "inbound" not in changed.json()["script"]
        async with asyncio.timeout(5):
            while True:
                checked = await sandbox.client.post("/v1/admin/recipients/check", json={"phone": phone})
                if checked.json()["opted_out"] is opted_out:
                    break
                await asyncio.sleep(0.02)


async def test_inbox_of_a_polled_gateway(sandbox: SandboxClient) -> None:
    """A message to EIMS is in its inbox, from where the service reads it."""
    shown = (await sandbox.script("jakarta", {"inbound": {"from": "+6281110100702"}})).json()
    query = {"account": "sandbox", "password": "jakarta-password"}
    async with sandbox_http_client() as client:
        inbox = (await client.get(shown["address"] + "/getsms", params=query)).json()
    assert [(row[1], base64.b64decode(row[3])) for row in inbox["array"]] == [(6281110100702, b"STOP")]


async def test_stop_at_the_hub(sandbox: SandboxClient) -> None:
    """SMS Hub tells nobody of a STOP, and sends nothing to the number until START."""
    phone = "+6281410100703"
    await sandbox.script("hub", {"inbound": {"from": phone}})
    await sandbox.delivered(await sandbox.request(phone), ("hub", "failed", "recipient_blocked"))
    await sandbox.script("hub", {"inbound": {"from": phone, "text": "START"}})
    checked = await sandbox.client.post("/v1/admin/recipients/check", json={"phone": phone})
    assert checked.json()["opted_out"] is False
