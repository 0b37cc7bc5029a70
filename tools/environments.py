"""The virtual environments, made once from hashed requirements.

Standard library alone: `make` runs this file with the machine's own python3 before anything is
installed, and the launcher calls it for the environments that the first command lacks.

    python3 tools/environments.py base crew scanner dev
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = Path(__file__).resolve().parent.parent
PACKAGES = ("crew", "tools", "knowledge", "policies", "traces")
SUPPORTED = ((3, 11), (3, 14))
SIZES = {
    "base": "the trusted base, about 220 MB",
    "crew": "the agents, about 1.3 GB",
    "scanner": "checkov, about 240 MB",
    "clients": "a LangChain agent for the contract tests, about 150 MB",
    "fuzz": "the fuzzer, about 130 MB",
    "dev": "linters and the test runner, about 150 MB",
}


class EnvironmentFaultError(Exception):
    """An environment could not be made; the message says what to do."""


@dataclass(frozen=True)
class Environment:
    """One virtual environment: its name, folder and the requirements that fill it."""

    name: str
    folder: Path
    requirements: Path

    @property
    def python(self) -> Path:
        """The interpreter of this environment."""
        return self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """The file that says which requirements the folder was filled from."""
        return self.folder / "countersign.stamp"

    def wanted(self) -> str:
        """The digest of what this environment is made from: requirements, interpreter and source folder."""
        text = f"{sys.version_info[:3]} {SOURCE}\n".encode() + self.requirements.read_bytes()
        return hashlib.sha256(text).hexdigest()

    def ready(self) -> bool:
        """Whether the folder holds exactly what the requirements say."""
        return self.stamp.is_file() and self.stamp.read_text().strip() == self.wanted()


def environment(name: str) -> Environment:
    """The environment of that name: beside the source in a clone, else in the user's data folder."""
    if (SOURCE / "pyproject.toml").is_file():
        folder = SOURCE / (".venv" if name == "base" else f".venv-{name}")
        return Environment(name, folder, SOURCE / "requirements" / f"{name}.txt")
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    folder = Path(sys.prefix) if name == "base" else home / "countersign" / "environments" / name
    return Environment(name, folder, SOURCE / "tools" / "requirements" / f"{name}.txt")


def ensure(name: str, say: Callable[[str], None]) -> Environment:
    """Make the environment if it is missing or stale; `say` gets a line for each step.

    Raises EnvironmentFaultError when the interpreter is not supported or an installation fails.
    """
    env = environment(name)
    if not env.requirements.is_file():
        msg = f"the requirements of the {name} environment are missing: reinstall countersign ({env.requirements})"
        raise EnvironmentFaultError(msg)
    if env.ready():
        return env
    if not SUPPORTED[0] <= sys.version_info[:2] < SUPPORTED[1]:
        found = ".".join(map(str, sys.version_info[:2]))
        msg = f"Countersign needs Python 3.11, 3.12 or 3.13 and this is {found}: run `make PYTHON=python3.12 ...`."
        raise EnvironmentFaultError(msg)
    if name != "base" and (SOURCE / "pyproject.toml").is_file():
        ensure("base", say)  # it holds uv, which fills the others
    env.folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(env.folder.with_name(env.folder.name + ".lock")):
        if not env.ready():
            say(
                f"installing {SIZES[name]} into {env.folder} ({env.requirements.name}, every file checked by hash)"
            )
            _fill(env)
            say(f"installed {name}")
    return env


def _fill(env: Environment) -> None:
    if env.name != "base" or not env.python.exists():
        venv.create(env.folder, with_pip=env.name == "base", clear=True, symlinks=True)
    if env.name == "base":
        _run(
            [
                env.python,
                "-m",
                "pip",
                "install",
                "-q",
                "--require-hashes",
                "-r",
                SOURCE / "requirements" / "uv.txt",
            ]
        )
    install = [
        _uv(),
        "pip",
        "install",
        "-q",
        "--python",
        env.python,
        "--compile-bytecode",
        "--link-mode=copy",
    ]
    _run([*install, "--require-hashes", "-r", env.requirements])
    if env.name == "base":
        constraint = SOURCE / "requirements" / "build.txt"
        _run([*install, "--no-deps", "--build-constraint", constraint, "-e", SOURCE])
    else:
        _show_source(env)
    env.stamp.write_text(env.wanted() + "\n")


def _show_source(env: Environment) -> None:
    """Put our packages, and nothing else of the trusted environment, on the path of another one."""
    links = env.folder / "source"
    links.mkdir(exist_ok=True)
    for package in PACKAGES:
        (links / package).symlink_to(SOURCE / package)
    site = next((env.folder / "lib").glob("python3*/site-packages"))
    (site / "countersign.pth").write_text(f"{links}\n")


def _uv() -> Path:
    base = environment("base").folder / "bin" / "uv"
    return base if base.is_file() else Path(sys.executable).with_name("uv")


def _run(command: list[object]) -> None:
    env = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run([str(part) for part in command], check=False, env=env, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        words = " ".join(map(str, command[:4]))
        msg = f"installation failed ({words} ..., exit {done.returncode}): read the lines above, then run the command again"
        raise EnvironmentFaultError(msg)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _say(line: str) -> None:
    sys.stderr.write(f"countersign: {line}\n")


def main(names: list[str]) -> int:
    """Make each named environment; 0 when all are ready, 1 with one clear sentence when not."""
    unknown = [name for name in names if name not in SIZES]
    if unknown or not names:
        sys.stderr.write(f"usage: environments.py {{{'|'.join(SIZES)}}} ...\n")
        return 2
    try:
        for name in names:
            ensure(name, _say)
    except EnvironmentFaultError as fault:
        sys.stderr.write(f"countersign: {fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
