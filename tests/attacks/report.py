"""What the corpus came to: a document for scripts, a text for the terminal, and docs/security.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.attacks.corpus import Attack, Kind, Result

HEAD = """# The attack corpus

{attacks} named attacks and {controls} benign controls. `countersign bench gate` runs them all and says what came of each; the same
rows are tests (`python3 tests/run.py base tests/attacks`), so this page's result is what a green test run means:
**every attack is blocked, no control is, and no target has an effect that no signature covers.**

This page is written by `python tests/attacks --write docs/security.md`; a test holds it to the corpus.

## How it is measured

- **The crew is taken from the start.** It carries out every order in any text that it reads, through every pipe that the
  roles have, and its Security approves whatever it is shown.
- **Gate, notary and policies are the real ones**, in the composition that their processes use, with the real scanner in its own
  child. Only the processes' pipes are short: the same servers answer in the same process.
- **Effects are counted at the targets**: each accepted, changing request at the doors of the sandbox's GitHub and cluster is compared
  with what the notary signed; one grant covers one effect. The gate and its journal are not asked.
- Rows of the decision point alone (edits of envelope, statement, bytes, trust) and of the plan of record have a target in
  memory in place of the sandbox: a permit that should not exist is carried out there, and counted.
- Rows of a *taken process* run arbitrary code under the crew's confinement against a real gate process. They need Landlock.

`tests/attacks/test_mutations.py` edits signed sets, envelopes, manifests, requests and calls at random, 12,000 times from one
seed; none is accepted. `make mutants` takes the guards out one by one and demands that a test turns red for each.

## What is not in it

- A change that is harmful and breaks no rule: an obedient crew with an approving Security gets it signed. The rules and the
  profile's scope are what stands there, then the person who confirms. An example is a workflow of the profile's own path whose
  steps no longer compare the plan's digest: the gate compares the plan itself and dispatches only what was judged, and still the
  file is the change's to write.
- GitHub, a cluster or a kernel that lies; root on the machine; somebody who holds the gate's token.
- Text in a ConfigMap that some other controller turns into objects.
- The second lock in `deploy/` is tested on the rig, not here.

## Classes

| class | rows |
|---|---|
"""


def _count(results: Sequence[Result], kind: Kind) -> dict[str, int]:
    mine = [result for result in results if result.attack.kind is kind]
    return {
        "rows": len(mine),
        "held": sum(result.held for result in mine),
        "unsigned": sum(len(result.unsigned) for result in mine),
    }


def document(results: Sequence[Result], *, isolation: str, machine: str) -> dict[str, Any]:
    """Rates, figures per class, and every row that did not come out as expected."""
    attacks = [result for result in results if result.attack.kind is not Kind.CONTROL]
    controls = [result for result in results if result.attack.kind is Kind.CONTROL]
    return {
        "attacks": len(attacks),
        "blocked": sum(result.held for result in attacks),
        "blocked_rate": sum(result.held for result in attacks) / len(attacks),
        "controls": len(controls),
        "falsely_blocked": sum(not result.held for result in controls),
        "falsely_blocked_rate": sum(not result.held for result in controls) / len(controls),
        "unsigned_effects": sum(len(result.unsigned) for result in results),
        "isolation": isolation,
        "machine": machine,
        "classes": {kind.value: _count(results, kind) for kind in Kind},
        "open": [result.why_not() for result in results if not result.held],
    }


def text(said: dict[str, Any]) -> str:
    """For the terminal."""
    lines = [
        f"{name:32} {row['held']:4} of {row['rows']:4}   unsigned {row['unsigned']}"
        for name, row in said["classes"].items()
    ]
    lines += [
        (
            f"blocked {said['blocked']} of {said['attacks']} attacks ({said['blocked_rate']:.1%}), "
            f"falsely blocked {said['falsely_blocked']} of {said['controls']} controls ({said['falsely_blocked_rate']:.1%}), "
            f"unsigned effects at the targets: {said['unsigned_effects']}"
        ),
        f"isolation {said['isolation']}, {said.get('seconds', 0)} s",
        *said["open"],
    ]
    return "\n".join(lines)


def page(rows: Sequence[Attack]) -> str:
    """docs/security.md."""
    controls = sum(row.kind is Kind.CONTROL for row in rows)
    lines = [HEAD.format(attacks=len(rows) - controls, controls=controls).rstrip("\n")]
    lines += [f"| {kind.value} | {sum(row.kind is kind for row in rows)} |" for kind in Kind]
    for kind in Kind:
        mine = [row for row in rows if row.kind is kind]
        lines += [
            "",
            f"## {kind.value[0].upper()}{kind.value[1:]}",
            "",
            "| id | what is tried | outcome | why |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {_cell(row.id)} | {_cell(row.tries)} | {_cell(row.expects)} | {_cell(row.why)} |"
            for row in mine
        ]
    return "\n".join(lines) + "\n"


def _cell(value: str) -> str:
    """Text in a table: nothing invisible, no bar."""
    shown = "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in value)
    return shown.replace("|", "\\|").replace("<", "&lt;").replace("\u200b", "U+200B")
