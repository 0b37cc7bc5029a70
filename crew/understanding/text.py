"""What a goal's text must be before anybody reads it. Standard library only: the launcher asks the same questions."""

from __future__ import annotations

import re
import unicodedata

LIMIT = 8 * 1024
"""Bytes of UTF-8."""
_HANGUL = re.compile(r"[가-힣ㄱ-ㅎㅏ-ㅣ]")
_SPACE = "\t\n\r"


class GoalFaultError(Exception):
    """The goal's text cannot be read as a goal; the message is one clear sentence."""


def checked(goal: str) -> str:
    """The goal without surrounding space, or GoalFaultError: empty, too long, or with characters that hide something."""
    text = goal.strip()
    if not text:
        raise GoalFaultError(
            'The goal is empty: say what should be built, such as "Deploy nginx with 3 replicas."'
        )
    try:
        size = len(goal.encode())
    except UnicodeEncodeError:
        raise GoalFaultError("The goal is not valid Unicode text: type it again.") from None
    if size > LIMIT:
        raise GoalFaultError(f"The goal has {size} bytes; at most {LIMIT} can be understood: say it shorter.")
    for character in text:
        if character not in _SPACE and unicodedata.category(character) in {
            "Cc",
            "Cf",
            "Co",
            "Cs",
            "Zl",
            "Zp",
        }:
            name = f"U+{ord(character):04X}"
            raise GoalFaultError(f"The goal contains the control or invisible character {name}: remove it.")
    if not any(character.isalnum() for character in text):
        raise GoalFaultError("The goal has no words: say what should be built.")
    return text


def language_of(goal: str) -> str:
    """`ko` when there is any Hangul, else `en`."""
    return "ko" if _HANGUL.search(unicodedata.normalize("NFC", goal)) else "en"
