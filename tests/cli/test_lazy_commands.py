"""A command imports its own module only: `serve` imports nothing of the sandbox."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable

from click.testing import CliRunner

from otp_service.cli import COMMANDS, main
from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.cli.service_config import ConfigWriter
from tests.service_process import ServiceProcess
from tests.waits import wait_until


def imported(log: str) -> set[str]:
    """Return the modules in the output of `python -X importtime`."""
    return set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", log, re.MULTILINE))


async def test_serve_imports_nothing_of_the_sandbox(
    serve: Callable[..., ServiceProcess], write_config: ConfigWriter, gateway: EimsSimulator
) -> None:
    """A ready `serve` has imported the API and no simulator, in its supervisor and its workers."""
    config = write_config(gateway=gateway.url, server="workers = 2")
    service = serve(config, PYTHONPROFILEIMPORTTIME="1")  # as -X importtime, also in the workers
    await service.ready()
    await wait_until(lambda: service.log.count("Started server process") == 2)
    modules = imported(service.log)

    assert {"otp_service.server.run", "otp_service.api.app"} <= modules
    assert not [name for name in modules if name.startswith("otp_service.sandbox")]


def modules_after(code: str) -> list[str]:
    """Run `code` in a process of its own; return the modules of the package that are imported then."""
    report = "import sys; print(*sorted(name for name in sys.modules if name.split('.')[0] == 'otp_service'))"
    command = [sys.executable, "-c", f"{code}\n{report}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_the_group_imports_no_command() -> None:
    """`import otp_service.cli` imports no other module of the package."""
    assert modules_after("import otp_service.cli") == ["otp_service", "otp_service.cli"]


def test_a_command_imports_no_other_command() -> None:
    """`serve` has its own module and the options that commands share, and no other module of `cli`."""
    call = "from click.testing import CliRunner; from otp_service.cli import main; CliRunner().invoke(main, ['serve'])"
    modules = [name for name in modules_after(call) if name.startswith("otp_service.cli.")]

    assert modules == ["otp_service.cli.options", "otp_service.cli.serve_command"]


def test_a_command_is_imported_without_garbage_collections() -> None:
    """While `serve` is imported the collector does not run, and afterwards it runs without the imported objects."""
    code = """if True:
        import click, gc, sys
        from otp_service.cli import main
        collections = []
        gc.callbacks.append(lambda *collection: collections.append(collection))
        main.get_command(click.Context(main), "serve")
        print(len(collections), gc.isenabled(), gc.get_freeze_count() > 50_000)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["0", "True", "True"]


def test_help_describes_every_command() -> None:
    """`--help` has a line for each command, and each command its own page."""
    runner = CliRunner()
    page = runner.invoke(main, ["--help"])

    assert page.exit_code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} +[A-Z].{{10,}}", page.stdout, re.MULTILINE), page.stdout
        own = runner.invoke(main, [name, "--help"])
        assert own.exit_code == 0
        assert own.stdout.startswith(f"Usage: main {name}")


def test_an_unknown_command_is_refused() -> None:
    """Exit status 2, and the name."""
    result = CliRunner().invoke(main, ["serv"])

    assert result.exit_code == 2
    assert "serv" in result.stderr
