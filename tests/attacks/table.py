"""The whole corpus, from its files."""

from __future__ import annotations

from tests.attacks.corpus import Attack
from tests.attacks.rows import calls, controls, decisions, drafts, plans, races, taken


def attacks() -> list[Attack]:
    """Every row, the quick ones first."""
    return [
        *decisions.attacks(),
        *calls.attacks(),
        *drafts.attacks(),
        *races.attacks(),
        *plans.attacks(),
        *taken.attacks(),
        *controls.attacks(),
    ]
