"""The Dockerfile, read without Docker: base images, copied files, installed packages, user and command."""

from __future__ import annotations

import fnmatch
import json
import re
import tomllib
from dataclasses import dataclass

from tests.helm.chart_value_cases import TOP


@dataclass(frozen=True)
class Stage:
    """A stage: FROM and the instructions after it."""

    base: str
    name: str
    steps: list[tuple[str, str]]

    def all(self, instruction: str) -> list[str]:
        """Return the arguments of every instruction with this name, in order."""
        return [arguments for step, arguments in self.steps if step == instruction]


def stages() -> list[Stage]:
    """Return the stages of the Dockerfile, without comments and with continued lines joined."""
    lines = (TOP / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    found: list[Stage] = []
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if not line.strip():
            continue
        instruction, arguments = line.split(maxsplit=1)
        if instruction == "FROM":
            base, _, name = arguments.partition(" AS ")
            found.append(Stage(base, name, []))
        else:
            found[-1].steps.append((instruction, arguments))
    return found


def lineage(stage: Stage) -> list[Stage]:
    """Return the stage and the stages that it is based on, the base image last."""
    by_name = {other.name: other for other in stages()}
    chain = [stage]
    while chain[-1].base in by_name:
        chain.append(by_name[chain[-1].base])
    return chain


def sent(path: str) -> bool:
    """Return whether .dockerignore includes a path: the last matching pattern decides."""
    parts = path.split("/")
    parents = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    verdict = True
    for line in (TOP / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        anywhere = pattern.removeprefix("**/")
        names = parts if anywhere != pattern else parents
        if any(fnmatch.fnmatchcase(name, anywhere) for name in names):
            verdict = line.startswith("!")
    return verdict


def commands() -> str:
    """Return every RUN command of every stage."""
    return "\n".join(command for stage in stages() for command in stage.all("RUN"))


def copied() -> list[str]:
    """Return every path that is copied from the repository."""
    copies = [copy.split() for stage in stages() for copy in stage.all("COPY") if "--from" not in copy]
    return [source for copy in copies for source in copy[:-1]]


def test_bases_are_pinned_and_never_latest() -> None:
    """Every stage is based on an earlier one, or on a slim image with a fixed Python and Debian release."""
    known: set[str] = set()
    for stage in stages():
        assert stage.base in known or re.fullmatch(r"python:3\.\d+-slim-[a-z]+", stage.base)
        known.add(stage.name)
    assert "latest" not in (TOP / "Dockerfile").read_text()


def test_python_respects_the_cpu_count_variable() -> None:
    """The image has Python 3.13 or newer, which respects the variable by which the chart limits the hashing."""
    (minor,) = re.findall(r"python:3\.(\d+)-", stages()[0].base)
    assert int(minor) >= 13


def test_copied_files_exist_and_are_not_ignored() -> None:
    """Every copied path exists in the repository and is not excluded by .dockerignore."""
    assert copied()
    for source in copied():
        assert (TOP / source).exists(), source
        assert sent(source), source


def test_other_files_are_excluded_from_the_build() -> None:
    """The build context has no history, no tests and no local environment with secrets."""
    assert sent("otp_service/cli.py")
    others = {path.name for path in TOP.iterdir()} - set(copied())
    assert not [name for name in others | {".git", ".venv", ".env", "config.toml"} if sent(name)]
    assert not sent("otp_service/__pycache__/cli.pyc")


def test_all_files_that_the_build_needs_are_copied() -> None:
    """The files that the project's metadata names are copied; without them the build fails."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    needed = {
        "pyproject.toml",
        "requirements.lock",
        "requirements-smpp.lock",
        project["project"]["readme"],
        *project["project"]["license-files"],
        project["tool"]["flit"]["module"]["name"],
    }
    assert needed == set(copied())


def test_smpp_is_selected_by_a_build_argument() -> None:
    """Its lock is that of the service and one package more, which is pinned by hash; by default it is left out."""
    common, with_smpp = ((TOP / name).read_text() for name in ("requirements.lock", "requirements-smpp.lock"))
    uncommented = (re.sub(r"^ +#.*\n", "", text, flags=re.MULTILINE).strip() for text in (common, with_smpp))
    of_service, of_both = (set(re.split(r"\n(?=\S)", text)) for text in uncommented)
    [added] = of_both - of_service
    assert of_service <= of_both
    assert re.match(r"smpp34==[0-9.]+ .*\\\n +--hash=sha256:", added)
    assert "http" not in re.sub(r"#.*|httpx|httpcore|httptools", "", with_smpp)


def test_packages_are_installed_from_the_lock_with_their_hashes() -> None:
    """Only the lock is installed, with hashes, and it has every dependency of the project."""
    installs = re.findall(r"pip install [^;&\n]*", commands())
    assert [install.strip() for install in installs] == [
        'pip install --require-hashes -r "requirements${SMPP:+-smpp}.lock"',
        "pip install --no-deps --no-index --no-build-isolation .",
    ]
    lock = (TOP / "requirements.lock").read_text()
    pinned = dict(re.findall(r"^([a-z0-9-]+)==\S+ .*\\\n( +--hash=sha256:[0-9a-f]{64})", lock, re.MULTILINE))
    assert len(pinned) == len(re.findall(r"^[^\s#]", lock, re.MULTILINE))
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    wanted = [
        *project["project"]["dependencies"],
        *project["build-system"]["requires"],
        "argon2-cffi-bindings",
    ]
    names = {re.split(r"[\[<>=!~ ]", requirement)[0].lower().replace("_", "-") for requirement in wanted}
    assert names <= pinned.keys()


def test_argon2_is_compiled_for_the_machine_only_when_asked() -> None:
    """Without the build argument, no compiler is installed and wheels are used."""
    arguments = [argument for stage in stages() for argument in stage.all("ARG")]
    assert arguments == ['ARGON2_MARCH=""', 'SMPP=""']
    guarded = re.search(r'if \[ -n "\$ARGON2_MARCH" \]; then (.*?) fi;', commands())
    assert guarded
    for part in ("apt-get install", "gcc", "-march=$ARGON2_MARCH", "PIP_NO_BINARY=argon2-cffi-bindings"):
        assert part in guarded[1]
        assert commands().count(part) == 1


def test_the_last_stage_builds_nothing() -> None:
    """The last stage has only the slim image and the environment: no RUN, no compiler, no pip."""
    last = stages()[-1]
    assert [stage.all("RUN") for stage in lineage(last)] == [[], []]
    assert last.all("COPY") == ["--from=builder /opt/otp-service /opt/otp-service"]
    assert re.search(r"pip uninstall --yes .*flit_core.* pip$", commands())


def test_the_last_stage_runs_as_a_numeric_user_other_than_root() -> None:
    """The user and the group are numeric, so that Kubernetes can enforce runAsNonRoot."""
    assert stages()[-1].all("USER") == ["10001:10001"]


def test_the_last_stage_starts_the_service() -> None:
    """The entry point is the script of the project, on the exposed port and every interface."""
    last = stages()[-1]
    scripts = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["scripts"]
    (entrypoint,) = (json.loads(text) for text in last.all("ENTRYPOINT"))
    (command,) = (json.loads(text) for text in last.all("CMD"))
    (port,) = last.all("EXPOSE")
    assert entrypoint == ["otp-service"]
    assert entrypoint[0] in scripts
    config = "/etc/otp-service/config.toml"
    assert command == ["serve", "--config", config, "--host", "0.0.0.0", "--port", port]


def test_the_last_stage_logs_unbuffered_and_writes_no_files() -> None:
    """The log is unbuffered, and the root file system can be read-only."""
    (environment,) = stages()[-1].all("ENV")
    assert environment.split() == ["PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"]
    assert any("/opt/otp-service/bin:$PATH" in env for stage in lineage(stages()[-1]) for env in stage.all("ENV"))
