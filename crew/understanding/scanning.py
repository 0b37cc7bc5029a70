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
IMAGE = re.compile(
    r"(?=[^/@]*[/@])(?![\d.]+/)(?:[a-z0-9][a-z0-9.-]*(?::\d+)?/)?(?:[a-z0-9][a-z0-9._-]*/)*[a-z0-9][a-z0-9._-]*(?::[a-z0-9_][\w.-]*)?(?:@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
_NUMBER = re.compile(r"\d+(?![\d.,:/]*[.,:/]\d)")
_NO_NUMBER = re.compile(r"[-.]?[a-z]*[./@]\w|[a-z]*\d")
_SINO = re.compile(r"([이삼사오육칠팔구]?[백십일이삼사오육칠팔구]{1,6}?)(?=\s*(?:일|개|대|주|년|달))")
_AFTER_STEM: tuple[Kind, ...] = ("after",)
_AFTER_NOUN: tuple[Kind, ...] = (
    "after",
    "stem",
    "concept",
    "noun",
    "naming",
    "destructive",
    "counter",
    "unit",
    "value",
)
_LONGEST_CHAIN = 8
_FOREIGN = re.compile(r"[a-z]*(?![가-힣])[^\W\da-z_][^\W_가-힣]*")
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
    comma: bool = False

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
            elif re.match(r"[-−]\d", self.lower[self.at :]) and not self.lower[self.at - 1 : self.at].strip():
                yield self._negative()
            elif not character.isalnum() and character not in "=:&+":
                self.at += 1
            else:
                yield self._known() or self._unknown()

    def _known(self) -> Mark | None:
        whole = self._phrase() or self._number() or self._image() or self._symbol()
        return whole or (self._phrase(torn=True) if _HANGUL.match(self.lower[self.at]) else None)

    def _taken(self, end: int, senses: tuple[Sense, ...], *, word: str = "", particles: str = "") -> Mark:
        start, self.at = self.at, end + len(particles)
        quoted = start > 0 and self.text[start - 1] in _QUOTES
        comma = self.text[max(0, start - 4) : start].rstrip(" " + _QUOTES).endswith((",", "、"))
        return Mark(
            self.text[start:end].strip(),
            start,
            end,
            senses,
            word=word,
            quoted=quoted,
            particles=particles,
            comma=comma,
        )

    # -- known phrases -----------------------------------------------------------------------------------------

    def _phrase(self, *, torn: bool = False) -> Mark | None:
        """The longest known phrase here. `torn` also takes a Korean word with a space inside, as in `배 포해줘`."""
        if not self._starts_word(self.at):
            return None
        best = max(self._candidates(self.at, torn=torn), key=lambda found: found[0], default=None)
        if best is None:
            return None
        end, senses, particles = best
        tag = re.match(r":[a-z0-9][\w.-]*+(?!:\w)", self.lower[end:], re.ASCII)
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
        counted = (
            before == "-" and re.match(r"\d", self.lower[at - 2 : at - 1]) and re.match(r"[a-z]", here)
        )  # 90-day
        if (
            before in "-_./@"
            and at > 1
            and self.lower[at - 2].isalnum()
            and re.match(r"[a-z0-9]", here)
            and not counted
        ):
            return False
        if re.match(r"[a-z]", here):
            return not re.match(r"[a-z]", before)
        return not (here.isdigit() and re.match(r"[a-z0-9]", before))

    def _candidates(self, at: int, *, torn: bool) -> Iterator[tuple[int, tuple[Sense, ...], str]]:
        key, gap = "", False
        for end in range(at, min(len(self.lower), at + 2 * self.lexicon.longest)):
            character = self.lower[end]
            if character in " -_":
                gap = True
                continue
            if character in _STOP.replace(".", "") or character in ",()":
                return
            key += character
            if len(key) > self.lexicon.longest:
                return
            entry = self.lexicon.senses(key)
            if entry is None or (gap and not (entry.gaps or torn)):
                continue
            particles = self._ends(end + 1, entry.senses)
            if particles is not None:
                yield end + 1, tuple(entry.senses), particles

    def _ends(self, end: int, senses: list[Sense]) -> str | None:
        """The particles that follow a phrase ending here, or None when the phrase cannot end here."""
        rest = self.lower[end : end + 40]
        run = _HANGUL.match(rest)
        if re.match(r"[a-z0-9]", self.lower[end - 1]):
            return self._ends_latin(end, rest, run.group() if run else "")
        if run is None:
            return None if re.match(r"[a-z0-9]", rest) and senses[0].kind == "filler" else ""
        return self._ends_korean(end, run.group(), {sense.kind for sense in senses})

    def _ends_latin(self, end: int, rest: str, run: str) -> str | None:
        if re.match(r"[a-z0-9]|[-_/@][a-z0-9]|\.[a-z0-9]", rest):
            numbered = self.lower[end - 1].isdigit() and re.match(r"[a-z]", rest)
            return "" if numbered else None
        return self._particles(run) or ""

    def _ends_korean(self, end: int, run: str, kinds: set[Kind]) -> str | None:
        chain = self._particles(run)
        if chain == run:
            return chain
        if kinds <= {"filler", "light", "join", "break", "existing"}:
            return None
        if "number" in kinds and self._number_word(run[0]):
            return None  # 두세: two or three
        stem = kinds == {"stem"}
        endings = self._endings(run)
        follows = (endings, *(() if stem or chain is None else (chain,)), *(() if stem else ("",)))
        return next((f for f in follows if len(f) == len(run) or self._continues(end + len(f), kinds)), None)

    def _number_word(self, text: str) -> bool:
        entry = self.lexicon.senses(text)
        return entry is not None and any(sense.kind == "number" for sense in entry.senses)

    def _particles(self, run: str) -> str | None:
        """The longest chain of particles at the start of a run; None when there is none."""
        for end in range(min(len(run), _LONGEST_CHAIN), 0, -1):
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
        """Whether another known phrase starts right here, without a space. What comes after it is judged in its turn."""
        if at >= len(self.lower) or not _HANGUL.match(self.lower[at]):
            return at >= len(self.lower)
        wanted = _AFTER_STEM if kinds == {"stem"} else _AFTER_NOUN
        return any(
            entry is not None and any(sense.kind in wanted for sense in entry.senses)
            for entry in (
                self.lexicon.senses(self.lower[at:end])
                for end in range(at + 1, min(len(self.lower), at + 8) + 1)
            )
        )

    # -- numbers, images, the rest -----------------------------------------------------------------------------

    def _number(self) -> Mark | None:
        times = re.match(r"x ?(\d{1,6})\b", self.lower[self.at :])
        if times and self._starts_word(self.at):
            return self._taken(self.at + times.end(), (Sense("number", number=int(times.group(1))),))
        found = _NUMBER.match(self.lower, self.at)
        if found and self._starts_word(self.at) and not _NO_NUMBER.match(self.lower, found.end()):
            number = int(found.group()) if len(found.group()) < 10 else 10**10
            times = re.match(r" ?x\b", self.lower[found.end() :])
            end = found.end() + (times.end() if times else 0)
            mark = self._taken(end, (Sense("number", number=number),))
            self.at += self.lower.startswith("-", self.at)
            return mark
        sino = (
            None if self.at and _HANGUL.match(self.lower[self.at - 1]) else _SINO.match(self.lower, self.at)
        )
        if sino:
            return self._taken(sino.end(1), (Sense("number", number=_sino(sino.group(1), self.lexicon)),))
        return None

    def _negative(self) -> Mark:
        end = self.at + 1
        while end < len(self.lower) and self.lower[end].isdigit():
            end += 1
        return self._taken(end, ())

    def _image(self) -> Mark | None:
        found = IMAGE.match(self.lower, self.at)
        if not found or not self._starts_word(self.at):
            return None
        name = found.group().rstrip(".-_:")
        owner, _, _ = name.rpartition("/")
        digest = "@sha256:" in name
        if (
            not digest
            and "." not in owner
            and ":" not in name
            and self.lexicon.senses(squeezed(owner.split("/")[0]))
        ):
            return None
        return self._taken(self.at + len(name), (), word=name, particles="")

    def _symbol(self) -> Mark | None:
        if self.lower[self.at] in ":=":
            return self._taken(self.at + 1, (Sense("light"),))
        return self._taken(self.at + 1, (Sense("join"),)) if self.lower[self.at] in "&+" else None

    def _unknown(self) -> Mark:
        tagged = re.match(r"[a-z0-9][a-z0-9._-]*:[a-z0-9][\w.-]*", self.lower[self.at :], re.ASCII)
        found = (
            tagged
            or _FOREIGN.match(self.lower, self.at)
            or _WORD.match(self.lower, self.at)
            or _HANGUL.match(self.lower, self.at)
        )
        length = len(found.group()) if found else 1
        slashed = re.match(r"[\w./@:-]+", self.lower[self.at + length :], re.ASCII) if not tagged else None
        if slashed and self.lower[self.at + length] in "/@":
            length += len(slashed.group().rstrip(".,:"))
        raw = self.lower[self.at : self.at + length].rstrip(".")
        length = len(raw) or 1
        particles = ""
        korean = _HANGUL.match(self.lower[self.at + length :])
        if korean and not _HANGUL.search(raw):
            particles = self._particles(korean.group()) or ""
        if raw in self.lexicon.particles:
            return self._taken(self.at + length, (Sense("filler"),))
        mark = self._taken(self.at + length, (), word=raw, particles=particles)
        phrase, senses = self._guess(raw)
        return replace(mark, guess=senses, guessed=phrase)

    def _guess(self, raw: str) -> tuple[str, tuple[Sense, ...]]:
        bare = [raw, *(raw[:-n] for n in range(1, 4) if raw[-n:] in self.lexicon.particles)]
        return next(
            (found for found in (nearest_phrase(word, self.lexicon) for word in bare) if found[0]), ("", ())
        )


def _sino(text: str, lexicon: Lexicon) -> int:
    total, digit = 0, 0
    for character in text:
        if character in "십백":
            total += (digit or 1) * (10 if character == "십" else 100)
            digit = 0
        else:
            digit = lexicon.digits[character]
    return total + digit
