"""The samples of the README that check proofs, each compiled with its driver and running as a process.

PROOF_LIBRARIES names the directory that `.ci/install-proof-libraries` has filled. A language without its tools or its
libraries there is skipped, except Python, which needs nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

README: Final = Path(__file__).parents[2] / "README.md"
DRIVERS: Final = Path(__file__).parent
LIBRARIES: Final = Path(os.environ.get("PROOF_LIBRARIES") or "/nowhere")
BUILD_SECONDS: Final = 500
ANSWER_SECONDS: Final = 60.0
KEYS_URL: Final = "https://otp.example.com/.well-known/jwks.json"


def readme_samples() -> dict[str, str]:
    """Return the code blocks of the README's section about proofs by language."""
    section = re.search(r"^### Check a proof\n(.*?)^#{2,3} ", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert section
    return dict(re.findall(r"^```(python|js|go|java)\n(.*?)^```\n", section[1], re.MULTILINE | re.DOTALL))


def require(language: str, *tools: str) -> Path:
    """Return the directory of a language's libraries; skip the test if they or its tools are missing."""
    libraries = LIBRARIES / language
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        pytest.skip(f"{' and '.join(missing)} not installed: the sample for {language} was not run")
    if not libraries.is_dir():
        pytest.skip(f"no {language} in PROOF_LIBRARIES: run .ci/install-proof-libraries")
    return libraries


def build(folder: Path, *words: str, **environ: str) -> None:
    """Run a compiler."""
    run = subprocess.run(
        words, cwd=folder, env=os.environ | environ, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def python_command(folder: Path, sample: str) -> list[str]:
    """Prepare the sample for Python. PyJWT waits 30 s between two fetches of the keys, and for a test not at all."""
    (folder / "sample.py").write_text(sample.replace('jwks.json")', 'jwks.json", cooldown_duration=0)'), "utf-8")
    shutil.copy(DRIVERS / "python_driver.py", folder)
    return [sys.executable, "python_driver.py"]


def node_command(folder: Path, sample: str) -> list[str]:
    """Prepare the sample for Node. jose waits 30 s between two fetches of the keys, and for a test 1 ms."""
    libraries = require("node", "node")
    (folder / "node_modules").symlink_to(libraries / "node_modules")
    (folder / "sample.mjs").write_text(sample.replace('jwks.json"))', 'jwks.json"), { cooldownDuration: 1 })'), "utf-8")
    shutil.copy(DRIVERS / "node" / "driver.mjs", folder)
    return ["node", "driver.mjs"]


def go_command(folder: Path, sample: str) -> list[str]:
    """Prepare the sample for Go."""
    libraries = require("go", "go")
    shutil.copytree(DRIVERS / "go", folder, dirs_exist_ok=True)
    (folder / "proof").mkdir()
    (folder / "proof" / "proof.go").write_text(sample, "utf-8")
    offline = {"GOMODCACHE": str(libraries), "GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    build(folder, "go", "vet", "./...", **offline)
    build(folder, "go", "build", "-o", "driver", ".", **offline)
    return ["./driver"]


def java_command(folder: Path, sample: str) -> list[str]:
    """Prepare the sample for Java."""
    libraries = require("java", "javac", "java")
    (folder / "Proofs.java").write_text(sample, "utf-8")
    shutil.copy(DRIVERS / "java" / "Driver.java", folder)
    path = f"{libraries}/*:."
    build(folder, "javac", "-Xlint:all", "-Werror", "-cp", path, "Driver.java", "Proofs.java")
    return ["java", "-cp", path, "Driver"]


COMMANDS: Final[Mapping[str, Callable[[Path, str], list[str]]]] = {
    "python": python_command,
    "js": node_command,
    "go": go_command,
    "java": java_command,
}


class RunningSample:
    """A running sample, which answers one line for each proof."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls, command: list[str], folder: Path) -> AsyncIterator[RunningSample]:
        """Run a prepared sample within the block."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdin=pipe, stdout=pipe)
        try:
            yield cls(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def check(self, token: str, phone: str, purpose: str) -> str:
        """Return `ok` and the id of the proof, or `refused` and why."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{token}\t{phone}\t{purpose}\n".encode())
        async with asyncio.timeout(ANSWER_SECONDS):
            return (await self._process.stdout.readline()).decode().strip()
