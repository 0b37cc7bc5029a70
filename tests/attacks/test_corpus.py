"""Every attack of the corpus: its no by name, and not one unsigned effect at the sandbox's GitHub or cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks import corpus, table
from tests.attacks.corpus import Attack, Kind
from tests.attacks.stage import Stage, opened

ALL = table.attacks()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with opened() as made:
        yield made


def test_the_corpus_is_whole() -> None:
    assert len({attack.id for attack in ALL}) == len(ALL)
    assert {attack.kind for attack in ALL} == set(Kind)
    assert all(attack.tries and attack.expects and attack.why for attack in ALL)
    assert sum(attack.kind is not Kind.CONTROL for attack in ALL) >= 250


@pytest.mark.parametrize("attack", [row for row in ALL if row.kind is not Kind.TAKEN], ids=lambda row: row.id)
def test_nothing_unsigned_happens(attack: Attack, stage: Stage) -> None:
    result = corpus.run(attack, stage)
    assert result.held, result.why_not()
