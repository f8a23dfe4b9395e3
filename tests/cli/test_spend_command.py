"""`spend`: what was sent and spent, by provider, country and tenant; as a table, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from redis import Redis

from otp_service.cli.spend_report import build_report, format_csv, format_table
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.store.keys import ProviderKeys
from otp_service.store.spend_history import DaySpend
from tests.cli.service_config import ConfigWriter
from tests.cli.test_config_commands import ran

KEDA = '[providers.keda]\ntype = "inbox"\n'
TODAY = date(2026, 3, 1)


@pytest.fixture
def path(write_config: ConfigWriter, store: EmbeddedServer) -> Path:
    """Write a config with two providers, and put three days of sums into the store."""
    today = int(time.time()) // 86_400
    sums = [
        ("jakarta", 0, "ID:USD:acme", 2, 30_000),
        ("jakarta", 1, "ID:USD:acme", 1, 15_000),
        ("jakarta", 31, "SG:USD:other", 1, 50_000),
        ("jakarta", 0, "ID:EUR:acme", 0, 0),
        ("keda", 1, "ID:IDR:acme", 3, 1_500_000_000),
        ("gone", 0, "ID:USD:acme", 9, 9),
    ]
    with Redis.from_url(store.url) as client:
        for provider, ago, group, messages, spend in sums:
            key = f"{ProviderKeys(provider).spend_history}{today - ago}"
            client.hset(key, mapping={f"m:{group}": messages, f"s:{group}": spend})
            client.expire(key, 1000)
    path = write_config()
    path.write_text(path.read_text() + KEDA)
    return path


def spend(path: Path, store: EmbeddedServer, *words: str) -> Result:
    """Run `spend` in this process."""
    return ran("spend", "--config", str(path), *words, REDIS_URL=store.url)


def cells(result: Result) -> list[list[str]]:
    """Return the cells of a table."""
    assert (result.exit_code, result.stderr) == (0, "")
    return [re.split(r" {2,}", line) for line in result.stdout.splitlines()]


def test_the_table(path: Path, store: EmbeddedServer) -> None:
    """One line for each group and currency with today and all days, and a total for each currency."""
    assert cells(spend(path, store)) == [
        ["PROVIDER", "COUNTRY", "TENANT", "TODAY", "SPEND", "32 DAYS", "SPEND"],
        ["gone (not configured)", "ID", "acme", "9", "0.000009 USD", "9", "0.000009 USD"],
        ["jakarta", "ID", "acme", "2", "0.03 USD", "3", "0.045 USD"],
        ["jakarta", "SG (not configured)", "other (not configured)", "0", "0 USD", "1", "0.05 USD"],
        ["keda", "ID", "acme", "0", "0 IDR", "3", "1500 IDR"],
        ["total", "11", "0.030009 USD", "13", "0.095009 USD"],
    ]
    assert cells(spend(path, store, "--by", "tenant", "--days", "2")) == [
        ["TENANT", "TODAY", "SPEND", "2 DAYS", "SPEND"],
        ["acme", "0", "0 IDR", "3", "1500 IDR"],
        ["acme", "11", "0.030009 USD", "12", "0.045009 USD"],
    ]
    assert cells(spend(path, store, "--by", "country", "--by", "provider", "--days", "1")) == [
        ["PROVIDER", "COUNTRY", "TODAY", "SPEND"],
        ["gone (not configured)", "ID", "9", "0.000009 USD"],
        ["jakarta", "ID", "2", "0.03 USD"],
        ["total", "11", "0.030009 USD"],
    ]


def test_json_and_csv(path: Path, store: EmbeddedServer) -> None:
    """JSON has the sums of each day, CSV a line for each day; money is decimal text."""
    today = datetime.now(UTC).date()
    shown = json.loads(spend(path, store, "--json", "--by", "country").stdout)
    assert (shown["from"], shown["to"]) == ((today - timedelta(days=31)).isoformat(), today.isoformat())
    assert shown["spend"][1] == {
        "country": "ID",
        "currency": "USD",
        "configured": True,
        "today": {"messages": 11, "spend": "0.030009"},
        "total": {"messages": 12, "spend": "0.045009"},
        "days": {
            (today - timedelta(days=1)).isoformat(): {"messages": 1, "spend": "0.015"},
            today.isoformat(): {"messages": 11, "spend": "0.030009"},
        },
    }
    assert [(row["country"], row["configured"]) for row in shown["spend"]] == [
        ("ID", True),
        ("ID", True),
        ("SG", False),
    ]
    rows = list(csv.DictReader(io.StringIO(spend(path, store, "--csv", "--days", "2").stdout)))
    assert [tuple(row.values())[1:] for row in rows] == [
        ("jakarta", "ID", "acme", "USD", "1", "0.015", "yes"),
        ("keda", "ID", "acme", "IDR", "3", "1500", "yes"),
        ("gone", "ID", "acme", "USD", "9", "0.000009", "no"),
        ("jakarta", "ID", "acme", "USD", "2", "0.03", "yes"),
    ]
    assert rows[0]["date"] == (today - timedelta(days=1)).isoformat()


@pytest.mark.parametrize("words", [("--days", "0"), ("--days", "33"), ("--by", "prefix"), ("--json", "--csv")])
def test_wrong_options_are_refused(path: Path, store: EmbeddedServer, words: tuple[str, ...]) -> None:
    """They end with status 2 before the store is read."""
    assert spend(path, store, *words).exit_code == 2


def test_a_store_that_is_away(path: Path) -> None:
    """The command ends with status 1 and one line."""
    result = ran("spend", "--config", str(path), REDIS_URL="redis://127.0.0.1:1/0")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)


def test_a_config_without_providers(path: Path, store: EmbeddedServer) -> None:
    """What was sent before is shown; without sums, that nothing was sent."""
    text = path.read_text()
    path.write_text(text[: text.index("[providers.jakarta]")])
    names = {line[0] for line in cells(spend(path, store, "--by", "provider"))[1:-1]}
    assert names == {f"{name} (not configured)" for name in ("gone", "jakarta", "keda")}
    with Redis.from_url(store.url) as client:
        client.flushdb()
    shown = spend(path, store, "--days", "1").stdout
    assert shown == f"nothing was sent from {datetime.now(UTC).date()} to {datetime.now(UTC).date()} (UTC)\n"


def test_an_empty_report() -> None:
    """Without messages, the table says so and the CSV has a header only."""
    report = build_report(TODAY, 32, ["provider"], [])
    assert format_table(report) == "nothing was sent from 2026-01-29 to 2026-03-01 (UTC)"
    assert format_csv(report) == "date,provider,currency,messages,spend,configured\r\n"


def test_messages_without_a_country() -> None:
    """E-mails have no country: the table shows a dash."""
    report = build_report(TODAY, 1, ["country"], [DaySpend(TODAY, "mail", "", "acme", "USD", 2, 0)])
    assert format_table(report).splitlines()[1].split() == ["-", "2", "0", "USD"]
