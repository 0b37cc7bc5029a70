"""mypy strict, once per environment, each over the code that runs in it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOOT = (
    "import glob, site, sys;"
    "[site.addsitedir(d) for d in glob.glob('.venv-dev/lib/python3*/site-packages')];"
    "from mypy.__main__ import console_entry; console_entry()"
)  # inside the environment, so that pydantic's plugin is the one of the code under check
ROOMS = {
    "base": (
        "main.py",
        "policies",
        "traces",
        "tools/gate",
        "tools/notary",
        "tools/github",
        "tools/kubernetes",
        "tools/sandbox",
        "tools/launch",
        "tools/environments.py",
    ),
    "crew": (
        "crew",
        "knowledge",
        "tools/internal",
        "tools/session.py",
        "tools/serve.py",
        "tools/terraform.py",
    ),
}


def main() -> int:
    """0 when every room is clean."""
    with ThreadPoolExecutor(len(ROOMS)) as pool:
        ran = list(pool.map(_checked, ROOMS))
    sys.stdout.write("".join(one.stdout for one in ran))
    return 1 if any(one.returncode for one in ran) else 0


def _checked(env: str) -> subprocess.CompletedProcess[str]:
    folder = ".venv" if env == "base" else f".venv-{env}"
    command = [
        f"{folder}/bin/python",
        "-c",
        BOOT,
        "--no-error-summary",
        "--cache-dir",
        f".mypy_cache/{env}",
        *(room for room in ROOMS[env] if (ROOT / room).exists()),
    ]
    return subprocess.run(
        command, check=False, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


if __name__ == "__main__":
    sys.exit(main())
