from __future__ import annotations

import pytest

from crew.understanding.text import LIMIT, GoalFaultError, checked, language_of


@pytest.mark.parametrize(
    ("goal", "says"),
    [
        ("", "is empty"),
        ("   \n\t ", "is empty"),
        ("x" * (LIMIT + 1), f"has {LIMIT + 1} bytes"),
        ("가" * 3000, "has 9000 bytes"),
        ("a" * 1_000_000, "has 1000000 bytes"),
        ("deploy\x00nginx", "U+0000"),
        ("deploy\x1b[2Jnginx", "U+001B"),
        ("deploy\x7fnginx", "U+007F"),
        ("deploy\u202enginx", "U+202E"),
        ("deploy\u200bnginx", "U+200B"),
        ("deploy\ufeff nginx", "U+FEFF"),
        ("deploy\u2028nginx", "U+2028"),
        ("deploy \ud800 nginx", "not valid Unicode"),
        ("?!...", "no words"),
    ],
)
def test_what_is_no_goal_is_refused_with_one_sentence(goal: str, says: str) -> None:
    with pytest.raises(GoalFaultError, match=says.replace("+", r"\+")) as refused:
        checked(goal)
    assert "\x00" not in str(refused.value)


@pytest.mark.parametrize(
    "goal", ["nginx 배포해줘", "  Deploy nginx.\n", "a\tb", "x" * LIMIT, "배포 🚀 nginx"]
)
def test_ordinary_text_passes_stripped(goal: str) -> None:
    assert checked(goal) == goal.strip()


def test_any_hangul_makes_it_korean() -> None:
    assert language_of("EKS에 deploy") == "ko"
    assert language_of("Deploy to EKS") == "en"
    assert language_of("배포") == "ko"  # decomposed
