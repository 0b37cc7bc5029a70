"""The words of the attack corpus: what is tried, what must come of it, and why; how a row is run and what it came to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Kind(StrEnum):
    """The classes of the corpus."""

    APPROVAL = "approval integrity"
    RACE = "race after approval"
    POISONING = "tool poisoning and rug pull"
    LISTING = "list and call differ"
    SMUGGLING = "argument smuggling"
    DEPUTY = "confused deputy"
    INJECTION = "injection through what is read"
    GITOPS = "GitOps redirection"
    WORKFLOW = "workflow edit"
    TERRAFORM = "Terraform code execution"
    WORDS = "unicode and word tricks"
    SCOPE = "scope"
    TAKEN = "taken process"
    CONTROL = "benign control"


@dataclass(frozen=True)
class Told:
    """What an attempt came to. `refused` names every no that was met; `rules`, what the notary found that blocks."""

    refused: tuple[str, ...] = ()
    rules: frozenset[str] = frozenset()
    applied: bool = False
    """Whether everything that was signed is done."""
    missing: tuple[str, ...] = ()
    """What was signed and done, and cannot be found at the target."""

    def says(self, expected: str) -> bool:
        """`applied`, or a refusal's name, for `not-clean` with the rule that must be among the blocking ones."""
        if expected == "applied":
            return self.applied and not self.refused and not self.missing
        name, _, rule = expected.partition(" ")
        return name in self.refused and (not rule or rule in self.rules)


@dataclass(frozen=True)
class Attack:
    """One row. `act` is given the stage that it names and says what it came to."""

    id: str
    kind: Kind
    tries: str
    expects: str
    why: str
    act: Callable[[Any], Told] = field(repr=False)


class Watched(Protocol):
    """A place where effects are counted at the targets."""

    def unsigned(self) -> list[str]:
        """Every effect since the last reset that no signature covers."""

    def reset(self) -> None:
        """Forget what was seen and signed."""


@dataclass(frozen=True)
class Result:
    """A row and what it came to."""

    attack: Attack
    told: Told
    unsigned: tuple[str, ...]

    @property
    def held(self) -> bool:
        """The outcome is the expected one and no target has an unsigned effect."""
        return not self.unsigned and self.told.says(self.attack.expects)

    @property
    def blocked(self) -> bool:
        """An attack that left nothing unsigned and met its no."""
        return self.held and self.attack.kind is not Kind.CONTROL

    def why_not(self) -> str:
        """For whoever reads a red test."""
        return (
            f"{self.attack.id}: expected {self.attack.expects}, {self.told}; unsigned: {list(self.unsigned)}"
        )


def run(attack: Attack, stage: Watched) -> Result:
    """Carry one row out and count at the targets."""
    stage.reset()
    told = attack.act(stage)
    return Result(attack, told, tuple(stage.unsigned()))
