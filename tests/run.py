"""Run pytest inside the environment of the code under test: `tests/run.py base tests/unit/policies`.

Without an environment: all of them side by side, each one's output whole, then one combined closing line. pytest itself
lives in `.venv-dev`, appended to the end of sys.path so that it never shadows what the environment ships.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {
    "base": ("tests/unit/base", "tests/attacks/signoff", "tests/attacks/gate"),
    "crew": ("tests/unit/crew",),
    "scanner": ("tests/unit/scanner",),
}
APART = ("tests/unit/base/gate", "tests/unit/base/github", "tests/unit/base/sandbox_github")
"""About half of the base suite by time: a suite of its own beside the rest, so that two cores have work."""
TIERS = {
    "attacks": {"base": ("tests/attacks/test_corpus.py", "tests/attacks/test_mutations.py")},
    "contract": {"base": ("tests/contract/base",), "crew": ("tests/contract/crew",)},
    "rig": {"base": ("tests/rig",)},
    "live": {"base": ("tests/live",)},
}
BOOT = (
    "import site, sys, glob;"
    "sys.path.insert(0, {root!r});"
    "[site.addsitedir(d) for d in glob.glob({root!r} + '/.venv-dev/lib/python3*/site-packages')];"
    "import pytest; sys.exit(pytest.main(sys.argv[1:]))"
)
COUNT = re.compile(r"(\d+) (passed|failed|skipped|error|errors|xfailed|xpassed)")
COUNTED_AS = {"error": "failed", "errors": "failed", "xpassed": "failed", "xfailed": "skipped"}
NO_TESTS = 5


def pytest_in(env: str, arguments: list[str]) -> list[str]:
    """The command that runs pytest in that environment."""
    folder = ROOT / (".venv" if env == "base" else f".venv-{env}")
    return [str(folder / "bin" / "python"), "-P", "-c", BOOT.format(root=str(ROOT)), *arguments]


def counts(output: str) -> Counter[str]:
    """How many passed, failed and were skipped, by pytest's last line of counts."""
    lines = [line for line in output.splitlines() if COUNT.search(line)]
    found: Counter[str] = Counter()
    for number, word in COUNT.findall(lines[-1] if lines else ""):
        found[COUNTED_AS.get(word, word)] += int(number)
    return found


def side_by_side(commands: dict[str, list[str]]) -> tuple[bool, Counter[str]]:
    """Whether every suite passed, and their counts together. A suite's output is shown whole when it has ended."""
    total: Counter[str] = Counter()
    with ThreadPoolExecutor(len(commands) or 1) as pool:
        running = {pool.submit(_captured, command): env for env, command in commands.items()}
        for done in as_completed(running):
            code, output = done.result()
            sys.stdout.write(f"== {running[done]}\n{output}\n")
            sys.stdout.flush()
            found = counts(output)
            if code not in {0, NO_TESTS} and not found["failed"]:
                found["failed"] = 1  # it died before it could count
            total += found
    return not total["failed"], total


def _captured(command: list[str]) -> tuple[int, str]:
    ran = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return ran.returncode, ran.stdout


def suites(tier: str, options: list[str]) -> dict[str, list[str]]:
    """The suites of a tier, or of the unit tests, by the name that heads their output."""
    table = TIERS[tier] if tier else FOLDERS
    present = {env: [f for f in folders if (ROOT / f).exists()] for env, folders in table.items()}
    commands = {env: pytest_in(env, ["-q", *found, *options]) for env, found in present.items() if found}
    if not tier:
        commands["base"] += [f"--ignore={folder}" for folder in APART]
        commands["base, apart"] = pytest_in("base", ["-q", *APART, *options])
    return commands


def _named(arguments: list[str]) -> bool:
    return any((ROOT / argument.partition("::")[0]).exists() for argument in arguments)


def main(arguments: list[str]) -> int:
    """`[ENV | TIER] [pytest arguments]`; the exit code is 0 only when every environment's is."""
    if arguments and arguments[0] in FOLDERS:
        env, *rest = arguments
        command = pytest_in(env, rest if _named(rest) else [*FOLDERS[env], *rest])
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    tier = [word for word in arguments[:1] if not word.startswith("-")]
    if tier and tier[0] not in TIERS:
        sys.stderr.write(f"usage: tests/run.py [{'|'.join([*FOLDERS, *TIERS])}] [paths and pytest options]\n")
        return 2
    passed, total = side_by_side(suites(tier[0] if tier else "", arguments[len(tier) :]))
    sys.stdout.write(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped\n")
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
