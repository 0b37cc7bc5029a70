"""Misspelt words: the one known phrase within a letter or two, or nothing."""

from __future__ import annotations

import unicodedata

from crew.understanding.lexicon import KOREAN, LATIN, LETTERS, SYLLABLES, Lexicon, Sense


def distance(a: str, b: str, limit: int) -> int:
    """Letters inserted, dropped, changed or swapped with their neighbour between a and b; `limit + 1` when more."""
    if abs(len(a) - len(b)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row = row, [i]
        for j, y in enumerate(b, 1):
            cost = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before = previous
        if min(row) > limit:
            return limit + 1
    return row[-1]


def nearest_phrase(word: str, lexicon: Lexicon) -> tuple[str, tuple[Sense, ...]]:
    """The known phrase that a misspelt word must have meant, and its senses; empty when none or several come close."""
    if LATIN.fullmatch(word) and len(word) >= LETTERS:
        letters, known, limit = word, lexicon.latin, 2 if len(word) >= 9 else 1
    elif KOREAN.fullmatch(word) and len(word) >= SYLLABLES:
        letters, known, limit = unicodedata.normalize("NFD", word), lexicon.korean, 1
    else:
        return "", ()
    close = [(distance(letters, phrase, limit), phrase) for phrase in known]
    close = sorted(found for found in close if 0 < found[0] <= limit)
    if not close:
        return "", ()
    best = [phrase for far, phrase in close if far == close[0][0]]
    meanings = {tuple(lexicon.entries[unicodedata.normalize("NFC", phrase)].senses) for phrase in best}
    phrase = unicodedata.normalize("NFC", best[0])
    return (phrase, next(iter(meanings))) if len(meanings) == 1 else ("", ())
