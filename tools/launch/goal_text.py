"""Whether a text can be a goal at all, before anything is started for it."""

from __future__ import annotations

LONGEST = 8192


class GoalFaultError(Exception):
    """The text is no goal; the message says why. Exit code 2."""


def check(goal: str) -> str:
    """The goal without surrounding space. Raises GoalFaultError."""
    text = goal.strip()
    if not text:
        raise GoalFaultError(
            'the goal is empty: say what you want, such as make run GOAL="Deploy nginx with 3 replicas"'
        )
    if len(text.encode("utf-8", "surrogatepass")) > LONGEST:
        raise GoalFaultError(f"the goal is longer than {LONGEST} bytes: say it in a few sentences")
    odd = next((c for c in text if not c.isprintable() and c not in "\n\t "), None)
    if odd is not None:
        raise GoalFaultError(f"the goal contains the control character U+{ord(odd):04X}: type it without")
    return text
