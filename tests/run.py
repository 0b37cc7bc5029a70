"""Run pytest inside the environment of the code under test: `tests/run.py base tests/unit/policies`.

Without paths: every environment with its own folders, then one combined closing line. pytest itself lives
in `.venv-dev`, appended to the end of sys.path so that it never shadows what the environment ships.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {
    "base": ("tests/unit/base", "tests/attacks"),
    "crew": ("tests/unit/crew",),
    "scanner": ("tests/unit/scanner",),
}
TIERS = {
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
NO_TESTS = 5


def run(env: str, arguments: list[str]) -> tuple[int, dict[str, int]]:
    """pytest's exit code and counts, its output passed through line by line."""
    folder = ROOT / (".venv" if env == "base" else f".venv-{env}")
    command = [folder / "bin" / "python", "-P", "-c", BOOT.format(root=str(ROOT)), *arguments]
    counts: dict[str, int] = {}
    with subprocess.Popen([str(c) for c in command], cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        last = ""
        for line in child.stdout or ():
            sys.stdout.write(line)
            sys.stdout.flush()
            last = line if COUNT.search(line) else last
    for number, word in COUNT.findall(last):
        key = {"error": "failed", "errors": "failed", "xpassed": "failed", "xfailed": "skipped"}.get(
            word, word
        )
        counts[key] = counts.get(key, 0) + int(number)
    return child.returncode, counts


def main(arguments: list[str]) -> int:
    """`[ENV | TIER] [pytest arguments]`; the exit code is 0 only when every environment's is."""
    if arguments and arguments[0] in FOLDERS:
        return run(arguments[0], arguments[1:] or list(FOLDERS[arguments[0]]))[0]
    if arguments and arguments[0] not in TIERS:
        sys.stderr.write(f"usage: tests/run.py [{'|'.join([*FOLDERS, *TIERS])}] [paths and pytest options]\n")
        return 2
    table = TIERS[arguments[0]] if arguments else FOLDERS
    total: dict[str, int] = {}
    worst = 0
    for env, folders in table.items():
        present = [folder for folder in folders if (ROOT / folder).is_dir()]
        if not present:
            continue
        code, counts = run(env, ["-q", *present, *arguments[1:]])
        worst = max(worst, 1 if code not in {0, NO_TESTS} else 0)
        for word, number in counts.items():
            total[word] = total.get(word, 0) + number
    passed, failed, skipped = (total.get(word, 0) for word in ("passed", "failed", "skipped"))
    if worst and not failed:
        failed = 1
    sys.stdout.write(f"{passed} passed, {failed} failed, {skipped} skipped\n")
    return worst


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
