"""Run by the trusted environment: trees on stdin (JSON: list of path -> text), findings of every engine on stdout."""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(ROOT))

from policies import pins, profile  # noqa: E402
from policies.scan import ScanContext, scan  # noqa: E402
from policies.scanner.client import ScannerProcess, scanner_command  # noqa: E402


def main() -> None:
    """Each tree is judged as the notary would judge it under the sandbox profile."""
    active = profile.load(ROOT / "policies/profiles/sandbox.toml")
    pinned = pins.load(ROOT / "knowledge/pins.toml")
    asked = json.load(sys.stdin)
    context = ScanContext(
        images=pinned.image_table(),
        action_pins=pinned.action_pins(),
        allowed_registries=frozenset(active.scope.registries),
        allowed_providers=frozenset(active.scope.providers),
        clone_url=asked["clone_url"],
        expected_commit=asked["commit"],
        rehearsal=True,
    )
    answers = []
    with ScannerProcess(scanner_command(ROOT / ".venv-scanner/bin/python")) as scanner:
        for texts in asked["trees"]:
            tree = {path: text.encode() for path, text in texts.items()}
            result = scan(tree, frozenset(tree), context=context, scanner=scanner)
            blocking = [f for f in result.findings if f.severity.rank >= active.blocking.rank]
            answers.append(
                {"engines": result.engines, "blocking": [f.model_dump(mode="json") for f in blocking]}
            )
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
