"""Run the corpus and say what came of it: `python tests/attacks [--json] [--write docs/security.md]`.

Runs in the trusted environment of this source; the tests' own packages are taken from `.venv-dev`. Exits 3 when an
attack was not blocked or something harmless was.
"""

from __future__ import annotations

import argparse
import glob
import json
import platform
import site
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    """0 when every row came out as expected."""
    sys.path.insert(0, str(ROOT))
    for folder in glob.glob(str(ROOT / ".venv-dev/lib/python3*/site-packages")):  # noqa: PTH207 - as tests/run.py
        site.addsitedir(folder)
    from tests.attacks import corpus, report, table
    from tests.attacks.corpus import Kind
    from tests.attacks.stage import opened
    from tools import confine

    parser = argparse.ArgumentParser(prog="tests/attacks")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path, help="write the page for people, and run nothing")
    told = parser.parse_args(arguments)
    if told.write:
        told.write.write_text(report.page(table.attacks()), encoding="utf-8")
        return 0
    start, rows = time.monotonic(), table.attacks()
    walls = bool(confine.landlock_abi())
    results = []
    with opened() as stage:
        for number, attack in enumerate(rows, 1):
            if attack.kind is Kind.TAKEN and not walls:
                continue
            results.append(corpus.run(attack, stage))
            if number % 50 == 0:
                print(f"{number} of {len(rows)}", file=sys.stderr, flush=True)
    document = report.document(results, isolation=confine.isolation(), machine=platform.platform())
    document["seconds"] = round(time.monotonic() - start, 1)
    print(json.dumps(document, indent=1) if told.json else report.text(document))
    return 0 if document["blocked_rate"] == 1 and document["falsely_blocked_rate"] == 0 else 3


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
