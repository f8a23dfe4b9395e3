"""The process of `otp-service sandbox`: what it prints and writes, its ports, and that it cleans up."""

from __future__ import annotations

import contextlib
import signal
import socket
import stat
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from otp_service.cli import main
from otp_service.cli.options import bind_listener
from otp_service.sandbox.dev_config import API_KEY
from otp_service.sandbox.sandbox_config import sandbox_gateways
from tests.sandbox.sandbox_client import OVERLAY, SandboxClient, sandbox_http_client
from tests.service_process import ServiceProcess, free_port, is_running
from tests.waits import wait_until

PORTS = {
    "jakarta": 20003,
    "keda": 20004,
    "aurora": 20005,
    "hub": 20006,
    "surabaya": 20007,
    "twilio": 20008,
    "vonage": 20009,
    "infobip": 20010,
    "whatsapp": 20011,
    "smtp": 20012,
    "twilio_voice": 20013,
    "vonage_voice": 20014,
    "smsc": 20015,
}


async def test_it_prints_how_to_reach_everything(sandbox: SandboxClient) -> None:
    """The tenant's API key, then a line for each gateway with its address, numbers and credentials."""
    shown = await sandbox.gateways()
    lines = sandbox.service.log.splitlines()
    assert any(line.startswith(sandbox.url) and API_KEY in line for line in lines)
    for name, gateway in sandbox_gateways()[0].by_name.items():
        [line] = [line for line in lines if line.startswith(name + " ")]
        assert shown[name]["address"] in line
        assert gateway.prefix in line
        assert all(str(gateway.provider_table[key]) in line for key in gateway.credential_keys)


async def test_serve_accepts_the_written_config(sandbox: SandboxClient) -> None:
    """It has no secrets, its secret files are private, and `serve` sends through the same gateways."""
    text = sandbox.written.read_text()
    config, folder = tomllib.loads(text), sandbox.written.with_name("otp.toml.secrets")
    checked = CliRunner().invoke(main, ["check-config", "--config", str(sandbox.written)])
    assert checked.exit_code == 0, checked.output
    assert "password" not in text.replace('password = "file:', "").replace(".password", "").replace(
        "password_reset", ""
    )
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert config["server"]["public_url"] == sandbox.url
    for file in folder.iterdir():
        assert file.read_text().strip() not in text

    served = ServiceProcess(sandbox.written.parent, "serve", "--config", str(sandbox.written), "--port", "0")
    try:
        async with sandbox_http_client(await served.ready()) as client:
            there = SandboxClient(served, client, sandbox.written)
            await there.request("+6281210100095")
            assert (await sandbox.messages("+6281210100095"))[0][0] == "keda"
            assert [(await client.get(path)).status_code for path in ("/dev/gateways", "/dev/messages", "/")] == [
                404
            ] * 3
    finally:
        served.end()


def store_folder(written: Path) -> Path:
    """Return the folder of the embedded store, from a written config."""
    url = written.with_name("otp.toml.secrets").joinpath("redis.url").read_text().strip()
    folder = Path(url.removeprefix("unix://")).parent
    assert folder.is_dir()
    return folder


async def test_it_cleans_up_after_sigterm(tmp_path: Path) -> None:
    """SIGTERM while a gateway hangs and a receipt is due: status 0, no process, port or folder left, no warning."""
    over = tmp_path / "over.toml"
    over.write_text(OVERLAY)
    written = tmp_path / "otp.toml"
    service = ServiceProcess(tmp_path, "sandbox", "--port", "0", "--config", str(over), "--write-config", str(written))
    try:
        async with sandbox_http_client(await service.ready()) as client:
            sandbox = SandboxClient(service, client, tmp_path)
            shown = await sandbox.gateways()
            await sandbox.script("jakarta", {"next": ["hang"]})
            await sandbox.script("aurora", {"receipts": {"say": "delivered", "after": 600}})
            await sandbox.request("+6281310100055")
            await sandbox.messages("+6281310100055")
            await sandbox.request("+6281110100055")
            await sandbox.messages("+6281110100055")
        [server] = service.descendants()
        folder = store_folder(written)
        assert is_running(server)
        service.send(signal.SIGTERM)
        assert await service.status() == 0
        await wait_until(lambda: not is_running(server))
    finally:
        service.end()
    for gateway in shown.values():
        with socket.create_server(("127.0.0.1", int(gateway["address"].rpartition(":")[2]))):
            pass
    assert not any(path.exists() for path in (folder / "s", folder))
    assert "Traceback" not in service.log
    assert '"level":"error"' not in service.log


def test_the_ports_are_constant() -> None:
    """EIMS has its documented port, and an integrator's config stays valid."""
    assert {name: gateway.port for name, gateway in sandbox_gateways()[0].by_name.items()} == PORTS


def test_a_gateway_port_in_use_is_an_error() -> None:
    """One line names the port and what to do, and nothing is started."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # another process has it, which is the same for this test
            held.bind(("127.0.0.1", PORTS["jakarta"]))
            held.listen()
        result = CliRunner().invoke(main, ["sandbox"])

    expected = "jakarta: port 20003 of this machine is in use. Use --port 0 for free ports.\n"
    assert (result.exit_code, result.stderr) == (2, expected)


def test_a_service_port_in_use_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """One line and exit status 2, as for an invalid config."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(SystemExit) as ended:
        bind_listener("127.0.0.1", port)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"127.0.0.1:{port}: Address already in use. Choose another port with --port.\n"


def test_its_help_describes_scripts() -> None:
    """The help contains the whole description of scripts."""
    shown = CliRunner().invoke(main, ["sandbox", "--help"]).stdout
    for words in ('"hang-unsent"', '{"say": -10}', '{"status": 503}', '{"say": "delivered", "after": 1.0, "times": 2}'):
        assert words in shown
    assert "20003" in shown
