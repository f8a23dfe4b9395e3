"""A package that adds a provider type: installed with pip, checked by `check-config`, and used by `serve`."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from otp_service.domain.message import OutboundMessage, ReceiptForged, ReceiptRequest, SendResult
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.base import ReceiptProvider
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.registry import ProviderPlugin
from tests.cli.service_config import CommandStarter, ConfigWriter, api_client
from tests.cli.test_config_commands import ENVIRON, ran
from tests.plugin_example.acmesms_simulator import AcmesmsSimulator, refusal
from tests.running_service import E164, NUMBER
from tests.service_process import ServiceProcess
from tests.waits import wait_until

EXAMPLE = Path(__file__).parents[1] / "plugin_example"
TOKEN = "acme-token"
SENDING = OutboundMessage("v1", E164, "ID", "81210100055", "kode 123456", "123456", 300, receipt_url="https://otp/r/t")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build and install the example into a folder, without network access."""
    folder = tmp_path_factory.mktemp("installed")
    options = (
        "--quiet",
        "--isolated",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
    )
    words = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), str(EXAMPLE)]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def acmesms(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return the installed module, imported into this process."""
    monkeypatch.syspath_prepend(str(installed))
    yield importlib.import_module("acmesms")
    del sys.modules["acmesms"]


@pytest.fixture
async def acme() -> AsyncIterator[AcmesmsSimulator]:
    """Run the simulated gateway of the example."""
    async with AcmesmsSimulator(TOKEN) as running:
        yield running


@pytest.fixture
def write(write_config: ConfigWriter) -> Callable[..., Path]:
    """Return a function that writes a config whose only route has a provider of the added type."""

    def written(base_url: str = "http://127.0.0.1:9", *lines: str, reference: str = "env:ACME_TOKEN") -> Path:
        path = write_config(server='public_url = "https://otp.example.com"')
        text = path.read_text().replace('providers = ["jakarta"]', 'providers = ["acme"]')
        table = ["[providers.acme]", 'type = "acmesms"', f'base_url = "{base_url}"', f'token = "{reference}"', *lines]
        path.write_text(text + "\n".join([*table, ""]))
        return path

    return written


async def test_an_installed_type_is_valid(installed: Path, start: CommandStarter, write: Callable[..., Path]) -> None:
    """The table of an installed type is checked in a new process, and none of its keys is reported as unused."""
    path = write("http://127.0.0.1:9", 'sender = "Acme"', 'price = { ID = "0.02" }')
    environ = {"ACME_TOKEN": TOKEN, **ENVIRON, "PYTHONPATH": str(installed)}
    service = start("check-config", "--config", str(path), environ=environ)

    assert (await service.status(), service.log) == (
        0,
        f"providers.jakarta: no route uses it\n{path}: good (1 tenants, 2 providers, 1 routes)\n",
    )


@pytest.mark.usefixtures("acmesms")
def test_errors_in_its_table_are_named(write: Callable[..., Path]) -> None:
    """All errors are named by their paths, and the secret is not repeated."""
    path = write(
        "ftp://h", 'sender = "Acme"', "short_code = 1234", "price = { ID = 0.02 }", "x = 1", reference="hunter2"
    )
    result = ran("check-config", "--config", str(path), ACME_TOKEN=TOKEN)

    assert result.exit_code == 2
    assert [line.split(": ")[0] for line in result.stderr.splitlines()] == [
        "providers.acme.price.ID",
        "providers.acme.base_url",
        "providers.acme.token",
        "providers.acme.x",
        "providers.acme.short_code",
    ]
    assert "hunter2" not in result.output


def test_without_the_package_the_type_is_unknown(write: Callable[..., Path]) -> None:
    """Without the package, the type is rejected like any unknown type."""
    result = ran("check-config", "--config", str(write()), ACME_TOKEN=TOKEN)

    assert result.exit_code == 2
    assert result.stderr.startswith('providers.acme.type: "acmesms" is not allowed; allowed: "kedasms" or ')


async def test_a_code_is_sent_through_it(
    installed: Path, acme: AcmesmsSimulator, serve: Callable[..., ServiceProcess], write: Callable[..., Path]
) -> None:
    """A code is requested, accepted by the gateway, reported as delivered, and verified."""
    service = serve(write(acme.url, 'sender = "Acme"'), PYTHONPATH=str(installed), ACME_TOKEN=TOKEN)
    async with api_client(await service.ready()) as client:
        requested = (await client.post("/v1/request-code", json={"phone": NUMBER, "purpose": "login"})).json()
        await wait_until(lambda: len(acme.messages) == 1)
        [message] = acme.messages
        code = re.search(r"\d{6}", message["text"])
        assert code
        called = urlsplit(message["callback"]).path
        assert (await client.post(called, json={"id": "acme-1", "state": "delivered"})).status_code == 200
        read = (await client.get(f"/v1/verifications/{requested['verification_id']}")).json()
        assert [(one["provider"], one["status"]) for one in read["deliveries"]] == [("acme", "delivered")]
        attempt = {"verification_id": requested["verification_id"], "code": code[0]}
        assert (await client.post("/v1/verify-code", json=attempt)).status_code == 200

    assert (message["to"], message["from"], message["ref"]) == (E164, "Acme", requested["verification_id"])
    assert code[0] not in service.log
    assert TOKEN not in service.log


async def test_its_responses_are_outcomes(acmesms: Any, acme: AcmesmsSimulator) -> None:
    """Each error code in its table has its outcome, and no unknown response counts as accepted."""
    provider = acmesms.PLUGIN.make(
        "acme", acmesms.AcmesmsConfig(base_url=acme.url, token=Secret(TOKEN)), GatewayClient(2)
    )
    assert await provider.send(SENDING) == SendResult(Outcome.ACCEPTED, "acme-1")
    assert acme.messages[0]["callback"] == "https://otp/r/t"
    for error, outcome in acmesms.OUTCOMES.items():
        acme.script(refusal(error))
        assert await provider.send(SENDING) == SendResult(outcome)
    await provider.close()


def test_its_receipts_are_parsed(acmesms: Any) -> None:
    """Without our token a receipt is forged; an unreadable one is ignored; an unknown state is not final."""
    table = acmesms.AcmesmsConfig(token=Secret(TOKEN))
    provider = acmesms.PLUGIN.make("acme", table, GatewayClient(2))
    assert isinstance(provider, ReceiptProvider)

    def called(body: bytes, message_id: str | None = "v1") -> Any:
        return provider.parse_receipts(ReceiptRequest("POST", "https://otp/r/t", message_id, 0.0, body=body))

    for state, status in [("delivered", "delivered"), ("lost", "undelivered"), ("on its way", None)]:
        [receipt] = called(b'{"id": "acme-1", "state": "%s"}' % state.encode())
        assert (receipt.message_id, receipt.provider_message_id) == ("v1", "acme-1")
        assert receipt.status == (status and DeliveryStatus(status))
    assert list(called(b"<html>")) == []
    with pytest.raises(ReceiptForged):
        called(b'{"id": "acme-1", "state": "delivered"}', None)


def raises(_name: str, table: Any, _client: GatewayClient) -> Any:
    """Raise an error that contains a secret."""
    raise ValueError(table.token.reveal())


def makes_nothing(*_: Any) -> Any:
    """Return None in place of a provider."""


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (raises, "the provider acmesms cannot be created: ValueError"),
        (makes_nothing, "the provider that acmesms creates has no name, no idempotent_send"),
    ],
)
def test_a_package_that_builds_no_provider_is_an_error(
    acmesms: Any, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, make: Any, expected: str
) -> None:
    """One line and status 2 before the service starts, without secrets of the table."""
    monkeypatch.setattr(acmesms, "PLUGIN", ProviderPlugin(acmesms.AcmesmsConfig, make))
    path = write()
    for verb in ("check-config", "serve"):
        result = ran(verb, "--config", str(path), ACME_TOKEN=TOKEN)

        assert result.exit_code == 2
        [line] = result.stderr.splitlines()
        assert line.startswith(f"providers.acme: {expected}")
        assert TOKEN not in line
