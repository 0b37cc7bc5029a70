"""`countersign bench gate`: the attack corpus, which lies with the tests and so needs the source tree."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tools.launch.config import SOURCE, ConfigFaultError


def gate() -> dict[str, Any]:
    """Run every attack and every control; rates, figures per class, and what was not as expected.

    Raises ConfigFaultError where the corpus or what its tests need is not there.
    """
    corpus = SOURCE / "tests" / "attacks" / "__main__.py"
    if not corpus.is_file() or not (SOURCE / ".venv-dev").is_dir():
        raise ConfigFaultError(
            "the attack corpus lies with the tests: clone the repository, run `make test` once, then ask there"
        )
    done = subprocess.run(
        [sys.executable, "-P", corpus, "--json"], cwd=SOURCE, stdout=subprocess.PIPE, text=True, check=False
    )
    try:
        said = json.loads(done.stdout)
    except ValueError:
        raise ConfigFaultError("the corpus did not run to its end; its own words are above") from None
    if not isinstance(said, dict):
        raise ConfigFaultError("the corpus answered something else than a document")
    return said


def text(said: dict[str, Any]) -> str:
    """For the terminal."""
    rows = [f"{name:32} {row['held']} of {row['rows']}" for name, row in said["classes"].items()]
    return "\n".join(
        [
            *rows,
            (
                f"blocked {said['blocked']} of {said['attacks']} attacks ({said['blocked_rate']:.1%}), "
                f"falsely blocked {said['falsely_blocked']} of {said['controls']} controls ({said['falsely_blocked_rate']:.1%}), "
                f"unsigned effects at the targets: {said['unsigned_effects']}"
            ),
            *said["open"],
        ]
    )
