"""Every edit of tests/attacks/mutants.py still stands in the source once, and the tests that must turn red exist."""

from __future__ import annotations

import pytest

from tests.attacks.mutants import MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=[f"{m.path}: {m.name}" for m in MUTANTS])
def test_the_edit_fits(mutant: Mutant) -> None:
    assert (ROOT / mutant.path).read_text(encoding="utf-8").count(mutant.old) == 1
    assert all((ROOT / tests).exists() for tests in mutant.tests.split())
    assert mutant.old != mutant.new


def test_no_name_stands_twice() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert sorted(names) == sorted(set(names))
