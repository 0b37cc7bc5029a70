"""Every attack of the corpus: its no by name, and not one unsigned effect at the sandbox's GitHub or cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks import corpus, report, table
from tests.attacks.auditor import Effect
from tests.attacks.corpus import Attack, Kind, Result, Told
from tests.attacks.stage import ROOT, Stage, opened

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


def test_the_published_page_is_the_corpus() -> None:
    """Written by `python tests/attacks --write docs/security.md`."""
    assert (ROOT / "docs/security.md").read_text(encoding="utf-8") == report.page(ALL)


def test_a_row_that_does_not_hold_is_counted(stage: Stage) -> None:
    """A guard of the bench itself: a permit that should not exist, and a control that is refused."""
    attack, control = (next(row for row in ALL if (row.kind is Kind.CONTROL) is of) for of in (False, True))
    leaked = Result(attack, Told(("spent",)), ("github POST /pulls",))
    refused = Result(control, Told(("not-clean",)), ())
    said = report.document([leaked, refused], isolation="none", machine="")
    assert (said["blocked_rate"], said["falsely_blocked_rate"], said["unsigned_effects"]) == (0, 1, 1)
    assert len(said["open"]) == 2
    stage.reset()
    stage.auditor.seen.append(
        Effect("github", "POST", "/api/v3/repos/acme/platform/pulls", {}, {"head": "x"})
    )
    assert stage.unsigned()
