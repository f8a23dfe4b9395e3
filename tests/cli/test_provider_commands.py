"""`providers`, with simulated gateways and a real store."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from otp_service.sandbox.config_writer import to_toml
from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from otp_service.sandbox.simulators.http_server import Respond, SimulatorResponse
from otp_service.sandbox.simulators.infobip import InfobipSimulator
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from tests.cli.command_runs import DIGITS, KEDA_AND_HTTP, NUMBER, Run, provider_row, send_test_words
from tests.cli.service_config import PASSWORD, ConfigWriter
from tests.cli.test_config_commands import ran
from tests.providers.http_gateways import INFOBIP_LIKE, http_table

AUTHENTICATION_ERROR, ABNORMAL_NUMBER, NO_FUNDS = -1, -9, -10


@pytest.mark.parametrize("words", [("send-test", "--to", NUMBER, "--provider", "jakarta"), ("providers",)])
def test_an_invalid_config_is_rejected(write_config: ConfigWriter, words: tuple[str, ...]) -> None:
    """The error is that of `check-config`; without a config, the error says how to give one."""
    path = write_config(server="workers = 0")
    bad, nameless = ran(*words, "--config", str(path)), ran(*words)

    assert (bad.exit_code, nameless.exit_code) == (2, 2)
    assert bad.stderr.startswith("server.workers: 0 is not allowed")
    assert "--config" in nameless.stderr


async def test_providers_prints_a_table(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """One line for each provider in the order of the config, with its use today and its balance."""
    gateway.balance = ("499740.000000", "10.500000")
    path = config('daily_spend_cap = "20"', 'currency = "IDR"', more=KEDA_AND_HTTP)
    await run(*send_test_words(path))
    shown = await run("providers", "--config", str(path))

    assert (shown.status, shown.err) == (0, "")
    assert [re.split(r" {2,}", line) for line in shown.out.splitlines()] == [
        ["PROVIDER", "TYPE", "CIRCUIT", "CALLS", "RATE", "WAITING", "MESSAGES", "SPEND", "BALANCE"],
        ["jakarta", "eims", "closed", "0/16", "-", "0", "1", "0.015/20 IDR", "499750.5"],
        ["keda", "kedasms", "closed", "0/16", "2.5/s", "0", "0/10", "0 USD", "-"],
        ["own", "http", "closed", "0/16", "-", "0", "0", "0 USD", "-"],
    ]
    assert PASSWORD not in shown.out


async def test_providers_prints_json(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """The JSON has the same data, with null for unknown values and money as decimal text."""
    gateway.script(refusal(NO_FUNDS))
    path = config('daily_spend_cap = "20"', more=KEDA_AND_HTTP)
    await run(*send_test_words(path))
    result = await run("providers", "--json", "--config", str(path))
    jakarta, keda, own = json.loads(result.out)["providers"]

    assert 50 <= jakarta["circuit"].pop("seconds_left") <= 60
    assert jakarta == {
        "name": "jakarta",
        "type": "eims",
        "circuit": {"state": "open", "why": "funds", "destinations": {}},
        "calls": 0,
        "max_concurrent": 16,
        "max_per_second": None,
        "waiting": 0,
        "today": {"messages": 0, "spend": "0", "currency": "USD", "message_cap": None, "spend_cap": "20"},
        "balance": {"amount": "499740", "currency": "", "error": None},
    }
    assert (keda["circuit"]["state"], keda["max_per_second"], keda["balance"]) == ("closed", 2.5, None)
    assert (own["type"], own["circuit"]["state"], own["balance"]) == ("http", "closed", None)


async def test_a_failed_balance_query_is_shown(run: Run, config: Callable[..., Path], gateway: EimsSimulator) -> None:
    """The outcome stands in place of the balance, and the other providers are shown."""
    path = config(more=KEDA_AND_HTTP)
    gateway.script(refusal(AUTHENTICATION_ERROR))
    refused = await run("providers", "--config", str(path))
    await gateway.close()
    away = await run("providers", "--config", str(path))

    assert (refused.status, away.status) == (0, 0)
    assert refused.out.splitlines()[1].endswith(" config_error")
    assert away.out.splitlines()[1].endswith(" transient")
    assert len(away.out.splitlines()) == 4


async def test_without_a_store_no_message_is_sent(
    run: Run, config: Callable[..., Path], gateway: EimsSimulator
) -> None:
    """One line and status 1, and no request to any gateway."""
    path = config()
    for words in (send_test_words(path), ("providers", "--config", str(path))):
        result = await run(*words, url="redis://127.0.0.1:9")

        assert result.status == 1
        assert result.err == "Error: The store does not answer.\n"
    assert gateway.requests == []


async def test_account_limits_are_set(run: Run, config: Callable[..., Path]) -> None:
    """The configured caps are written to the account; a provider that rejects them is named, with status 1."""
    async with KedasmsSimulator(PASSWORD, b"k" * 32) as keda:
        keda_too = f"""
[providers.keda]
type = "kedasms"
base_url = "{keda.url}"
status_base_url = "{keda.url}"
api_key = "env:GATEWAY_PASSWORD"
encryption_key = "env:KEY_K1"
daily_message_cap = 500
daily_spend_cap = "20.5"
alert_threshold = 0.7
price = {{ default = "0.05" }}
"""
        path = str(config(more=keda_too))
        done = await run("providers", "--config", path, "--set-limits")

        assert (done.status, done.err) == (0, "")
        assert keda.limits is not None
        assert (keda.limits.daily_sms_cap, keda.limits.daily_spend_cap, keda.limits.alert_threshold) == (500, 20.5, 0.7)
        assert keda.limits.block_on_limit

        keda.script(Respond(SimulatorResponse(b'{"code": "401", "message": "invalid apiKey"}', 401)))
        refused = await run("providers", "--config", path, "--set-limits")

        assert (refused.status, refused.err) == (1, "keda: the account limits could not be set (config_error)\n")
        assert "keda" in refused.out


async def test_an_http_provider(run: Run, config: Callable[..., Path]) -> None:
    """`send-test` sends through a gateway that only a table describes, and `providers` shows its balance."""
    async with InfobipSimulator(PASSWORD) as infobip:
        secrets = {"api_key": "env:GATEWAY_PASSWORD"}
        table = http_table(INFOBIP_LIKE, base_url=infobip.url, secrets=secrets, receipts=None)
        path = config(more=to_toml({"providers": {"infobip": table}}))
        sent = await run(*send_test_words(path, provider="infobip"))
        row = await provider_row(run, path, "infobip")

    assert (sent.status, sent.fields["outcome"]) == (0, "accepted"), sent
    [message] = infobip.messages
    assert message.to == DIGITS
    assert row["today"]["messages"] == 1
    assert row["balance"] == {"amount": "47.79", "currency": "EUR", "error": None}
    assert PASSWORD not in f"{sent} {row}"
