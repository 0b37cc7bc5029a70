"""The JSON-RPC front and every strict decoder meet some thousand mutated inputs: a value that keeps its promise or a named refusal."""

from __future__ import annotations

import pytest

from tests.fuzz.mutations import mutated
from tests.fuzz.targets import TARGETS, seeds

COUNTS = {"pipe": 400}


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_a_value_or_a_refusal_comes_out(name: str) -> None:
    for number, data in enumerate(mutated(seeds(name), COUNTS.get(name, 4000), seed=20261102)):
        try:
            TARGETS[name](data)
        except BaseException as fault:
            fault.add_note(f"input {number}: {data[:400]!r}")
            raise


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_reach_what_is_accepted(name: str) -> None:
    assert seeds(name)
    assert len(set(mutated(seeds(name), 200, seed=1))) > 100
