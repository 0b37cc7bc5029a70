"""Text to marks: the longest known phrase at each place, numbers, image references, and words that nobody knows."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

from crew.understanding.lexicon import Kind, Lexicon, Sense, squeezed
from crew.understanding.similar import nearest_phrase

_HANGUL = re.compile(r"[가-힣]+")
_WORD = re.compile(r"[a-z0-9]+(?:[-_.'][a-z0-9]+)*")
_IMAGE = re.compile(
    r"(?:[a-z0-9][a-z0-9.-]*(?::\d+)?/)?(?:[a-z0-9][a-z0-9._-]*/)*[a-z0-9][a-z0-9._-]*(?::[a-z0-9_][\w.-]*)?(?:@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
_NUMBER = re.compile(r"\d+(?![\d.,:/]*[.,:/]\d)")
_SINO = re.compile(r"([이삼사오육칠팔구]?[백십일이삼사오육칠팔구]+?)(?=\s*(?:일|개|대|주|년|달))")
_STOP = ".!?;\n。！？"
_QUOTES = "\"'`“”‘’「」『』"


@dataclass(frozen=True)
class Mark:
    """A piece of the goal. `word` is set for what could be a name, `guess` for what a misspelt word may have meant."""

    text: str
    start: int
    end: int
    senses: tuple[Sense, ...] = ()
    word: str = ""
    guess: tuple[Sense, ...] = ()
    guessed: str = ""
    quoted: bool = False
    particles: str = ""

    def has(self, *kinds: Kind) -> bool:
        """Whether it can mean one of these."""
        return any(sense.kind in kinds for sense in self.senses)

    def of(self, kind: Kind) -> tuple[Sense, ...]:
        """Its senses of one kind."""
        return tuple(sense for sense in self.senses if sense.kind == kind)


def folded(goal: str) -> str:
    """The goal as it is read: NFKC, straight quotes, one space between words."""
    text = unicodedata.normalize("NFKC", goal).replace("’", "'").replace("×", " x")
    return re.sub(r"[^\S\n]+", " ", text)


def scan(text: str, lexicon: Lexicon) -> tuple[Mark, ...]:
    """The marks of a folded text, in order. Nothing but spaces and punctuation is left out."""
    lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    scanner = _Scanner(text, lower, lexicon)
    return tuple(scanner.marks())


@dataclass
class _Scanner:
    text: str
    lower: str
    lexicon: Lexicon
    at: int = 0

    def marks(self) -> Iterator[Mark]:
        while self.at < len(self.lower):
            character = self.lower[self.at]
            if character in _STOP:
                yield self._taken(self.at + 1, (Sense("stop"),))
            elif not character.isalnum() and character not in "=:&+":
                self.at += 1
            else:
                yield self._phrase() or self._number() or self._image() or self._symbol() or self._unknown()

    def _taken(self, end: int, senses: tuple[Sense, ...], *, word: str = "", particles: str = "") -> Mark:
        start, self.at = self.at, end + len(particles)
        quoted = start > 0 and self.text[start - 1] in _QUOTES
        return Mark(self.text[start:end].strip(), start, end, senses, word=word, quoted=quoted, particles=particles)

    # -- known phrases -----------------------------------------------------------------------------------------

    def _phrase(self) -> Mark | None:
        if not self._starts_word(self.at):
            return None
        best = max(self._candidates(self.at), key=lambda found: found[0], default=None)
        if best is None:
            return None
        end, senses, particles = best
        tag = re.match(r":[a-z0-9][\w.-]*", self.lower[end:], re.ASCII)
        images = tuple(s for s in senses if s.kind == "value" and s.parameter == "image")
        if images and tag and not particles:
            named = self.lower[self.at : end] + tag.group().rstrip(".")
            senses = tuple(replace(s, value=f"{s.value}{tag.group().rstrip('.')}") for s in images)
            return self._taken(self.at + len(named), senses)
        word = self.lower[self.at : end]
        return self._taken(end, senses, word=word if _WORD.fullmatch(word) else "", particles=particles)

    def _starts_word(self, at: int) -> bool:
        before = self.lower[at - 1] if at else " "
        here = self.lower[at]
        if before in "-_./@" and at > 1 and self.lower[at - 2].isalnum() and re.match(r"[a-z0-9]", here):
            return False
        if re.match(r"[a-z]", here):
            return not re.match(r"[a-z]", before)
        return not (here.isdigit() and re.match(r"[a-z0-9]", before))

    def _candidates(self, at: int) -> Iterator[tuple[int, tuple[Sense, ...], str]]:
        key, gap = "", False
        for end in range(at, min(len(self.lower), at + 2 * self.lexicon.longest)):
            character = self.lower[end]
            if character in " -_":
                gap = True
                continue
            if character in _STOP and character != "." or character in ",()":
                return
            key += character
            if len(key) > self.lexicon.longest:
                return
            entry = self.lexicon.senses(key)
            if entry is None or (gap and not entry.gaps):
                continue
            particles = self._ends(end + 1, entry.senses)
            if particles is not None:
                yield end + 1, tuple(entry.senses), particles

    def _ends(self, end: int, senses: list[Sense]) -> str | None:
        """The particles that follow a phrase ending here, or None when the phrase cannot end here."""
        last, rest = self.lower[end - 1], self.lower[end:]
        if re.match(r"[a-z0-9]", last):
            if re.match(r"[a-z0-9]", rest) or re.match(r"[-_/@][a-z0-9]|\.[a-z0-9]", rest):
                numbered = re.match(r"\d", last) and re.match(r"[a-z]", rest)
                return "" if numbered else None
            run = _HANGUL.match(rest)
            return "" if run is None else self._particles(run.group()) or ""
        run = _HANGUL.match(rest)
        if run is None:
            return None if re.match(r"[a-z0-9]", rest) and senses[0].kind == "filler" else ""
        following = run.group()
        chain = self._particles(following)
        if chain == following:
            return chain
        kinds = {sense.kind for sense in senses}
        if kinds <= {"filler", "light", "join", "break", "existing"}:
            return None
        endings = self._endings(following)
        tail = following[len(endings) :]
        if not tail or self._continues(end + len(endings), kinds):
            return endings
        if kinds != {"stem"} and chain is not None and self._continues(end + len(chain), kinds):
            return chain
        return "" if kinds != {"stem"} and self._continues(end, kinds) else None

    def _particles(self, run: str) -> str | None:
        """The longest chain of particles at the start of a run; None when there is none."""
        for end in range(len(run), 0, -1):
            if run[:end] in self.lexicon.particles:
                return run[:end]
            for middle in range(1, end):
                if run[:middle] in self.lexicon.particles and run[middle:end] in self.lexicon.particles:
                    return run[:end]
        return None

    def _endings(self, run: str) -> str:
        end = 0
        while end < len(run) and run[end] in self.lexicon.endings:
            end += 1
        return run[:end]

    def _continues(self, at: int, kinds: set[Kind]) -> bool:
        """Whether another known phrase starts right here, without a space."""
        wanted = ("after",) if kinds == {"stem"} else ("after", "stem", "concept", "noun", "naming", "destructive", "counter", "unit", "value")
        if at >= len(self.lower) or not _HANGUL.match(self.lower[at]):
            return at >= len(self.lower)
        for end in range(at + 1, min(len(self.lower), at + 8) + 1):
            entry = self.lexicon.senses(self.lower[at:end])
            if entry and any(sense.kind in wanted for sense in entry.senses) and self._ends(end, entry.senses) is not None:
                return True
        return False

    # -- numbers, images, the rest -----------------------------------------------------------------------------

    def _number(self) -> Mark | None:
        times = re.match(r"x ?(\d{1,6})\b", self.lower[self.at :])
        if times and self._starts_word(self.at):
            return self._taken(self.at + times.end(), (Sense("number", number=int(times.group(1))),))
        found = _NUMBER.match(self.lower, self.at)
        if found and self._starts_word(self.at) and not re.match(r"[-.]?[a-z]*[./@]\w|[a-z]*\d", self.lower[found.end() :]):
            number = int(found.group()) if len(found.group()) < 10 else 10**10
            mark = self._taken(found.end(), (Sense("number", number=number),))
            self.at += len(re.match(r"-?", self.lower[self.at :]).group())  # type: ignore[union-attr] - always matches
            return mark
        sino = _SINO.match(self.lower, self.at)
        if sino and not (self.at and _HANGUL.match(self.lower[self.at - 1])):
            return self._taken(sino.end(1), (Sense("number", number=_sino(sino.group(1), self.lexicon)),))
        return None

    def _image(self) -> Mark | None:
        found = _IMAGE.match(self.lower, self.at)
        if not found or not self._starts_word(self.at):
            return None
        name = found.group().rstrip(".-_:")
        owner, slash, _ = name.rpartition("/")
        digest = "@sha256:" in name
        if not slash and not digest:
            return None
        if not digest and "." not in owner and ":" not in name and self.lexicon.senses(squeezed(owner.split("/")[0])):
            return None
        return self._taken(self.at + len(name), (), word=name, particles="")

    def _symbol(self) -> Mark | None:
        if self.lower[self.at] in ":=":
            return self._taken(self.at + 1, (Sense("light"),))
        return self._taken(self.at + 1, (Sense("join"),)) if self.lower[self.at] in "&+" else None

    def _unknown(self) -> Mark:
        tagged = re.match(r"[a-z0-9][a-z0-9._-]*:[a-z0-9][\w.-]*", self.lower[self.at :], re.ASCII)
        found = tagged or _WORD.match(self.lower[self.at :]) or _HANGUL.match(self.lower[self.at :])
        length = found.end() if found else 1
        slashed = re.match(r"[\w./@:-]+", self.lower[self.at + length :], re.ASCII) if not tagged else None
        if slashed and self.lower[self.at + length] in "/@":
            length += len(slashed.group().rstrip(".,:"))
        raw = self.lower[self.at : self.at + length].rstrip(".")
        length = len(raw) or 1
        particles = ""
        korean = _HANGUL.match(self.lower[self.at + length :])
        if korean and not _HANGUL.search(raw):
            particles = self._particles(korean.group()) or ""
        mark = self._taken(self.at + length, (), word=raw, particles=particles)
        phrase, senses = nearest_phrase(raw, self.lexicon)
        return replace(mark, guess=senses, guessed=phrase)


def _sino(text: str, lexicon: Lexicon) -> int:
    total, digit = 0, 0
    for character in text:
        if character in "십백":
            total += (digit or 1) * (10 if character == "십" else 100)
            digit = 0
        else:
            digit = lexicon.digits[character]
    return total + digit
