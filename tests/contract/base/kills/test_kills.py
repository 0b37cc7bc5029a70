"""A process of a run killed at a random instant, twelve times over: after resuming each effect is at its target once.

`.venv/bin/python -m tests.attacks.kills --count 500` does the same five hundred times.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.attacks.kills import VICTIMS, run

SEED = int(os.environ.get("COUNTERSIGN_SEED", "20261126"))
KILLS = 12


def test_nothing_is_lost_or_doubled_whoever_is_killed(tmp_path: Path) -> None:
    print(f"COUNTERSIGN_SEED={SEED}")
    killings = list(run(KILLS, 3, SEED, tmp_path))
    assert [(k.number, k.victim, k.after, k.wrong) for k in killings if k.wrong] == []
    assert len(killings) == KILLS
    assert sum(k.hit for k in killings) >= KILLS // 3, "the kills come too late to prove anything"
    assert {k.victim for k in killings} <= set(VICTIMS)
