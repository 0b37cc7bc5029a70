"""The test command itself: every suite counted, none that failed or died passed over."""

from __future__ import annotations

import sys

import pytest

from tests import run


def suite(output: str, code: int = 0) -> list[str]:
    return [sys.executable, "-c", f"import sys; print({output!r}); sys.exit({code})"]


@pytest.mark.parametrize(
    ("suites", "passed", "total"),
    [
        ({"a": suite("3 passed, 1 skipped in 1s"), "b": suite("4 passed")}, True, (7, 0, 1)),
        ({"a": suite("3 passed"), "b": suite("1 failed, 4 passed", 1)}, False, (7, 1, 0)),
        ({"a": suite("3 passed"), "b": suite("2 errors", 2)}, False, (3, 2, 0)),
        ({"a": suite("3 passed"), "b": suite("killed", -9)}, False, (3, 1, 0)),
        ({"a": suite("3 passed"), "b": suite("4 passed", 1)}, False, (7, 1, 0)),
        ({"a": suite("no tests ran", run.NO_TESTS)}, True, (0, 0, 0)),
    ],
)
def test_suites_side_by_side_are_counted_together(
    capsys: pytest.CaptureFixture[str],
    suites: dict[str, list[str]],
    passed: bool,
    total: tuple[int, int, int],
) -> None:
    ok, counts = run.side_by_side(suites)
    assert ok is passed
    assert (counts["passed"], counts["failed"], counts["skipped"]) == total
    shown = capsys.readouterr().out
    assert sorted(line for line in shown.splitlines() if line.startswith("==")) == [f"== {e}" for e in suites]


def test_a_suite_that_dies_does_not_hide_in_the_others_output(capsys: pytest.CaptureFixture[str]) -> None:
    run.side_by_side({"a": suite("one\ntwo\n1 passed"), "b": suite("three\nfour\n1 passed")})
    shown = capsys.readouterr().out.splitlines()
    for env, first in (("a", "one"), ("b", "three")):
        assert shown[shown.index(f"== {env}") + 1] == first


def test_what_runs_apart_is_left_out_of_the_rest_and_stands_in_it() -> None:
    suites = run.suites("", [])
    assert list(suites) == [*run.FOLDERS, "base, apart"]
    for folder in run.APART:
        assert (run.ROOT / folder).is_dir()
        assert folder.startswith(run.FOLDERS["base"][0])
        assert f"--ignore={folder}" in suites["base"]
        assert folder in suites["base, apart"]
    assert set(run.suites("contract", ["-x"])) == {"base", "crew"}
