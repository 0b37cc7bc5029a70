"""The words for what a goal means."""

from __future__ import annotations

from pydantic import Field

from knowledge.parameter import Language, Parameters
from policies.change import Word


class ChosenBlueprint(Word):
    """One blueprint of a goal. `asks_for` are rules that the person's own words break."""

    blueprint: str
    reason: str
    explicit: bool = Field(description="False for one that comes along with another")
    parameters: Parameters
    asks_for: tuple[str, ...] = ()


class Understanding(Word):
    """What a goal means. Act on it only when it is `clear`."""

    language: Language
    chosen: tuple[ChosenBlueprint, ...] = ()
    not_understood: tuple[str, ...] = Field(
        default=(), description="fragments of the goal, or why the whole cannot be done"
    )
    nearest: tuple[str, ...] = Field(default=(), description="blueprints that come nearest")
    destructive: str | None = Field(
        default=None, description="the words that ask to destroy or to go round a guard"
    )
    accepted_goal: str = Field(default="", description="a goal that asks for the same without what is unsafe")

    @property
    def clear(self) -> bool:
        """Whether there is something to do, all of it is understood, and nothing of it destroys."""
        return bool(self.chosen) and not self.not_understood and self.destructive is None

    @property
    def asks_for(self) -> tuple[str, ...]:
        """Every rule that the person's own words break."""
        return tuple(dict.fromkeys(rule for chosen in self.chosen for rule in chosen.asks_for))

    @property
    def understood(self) -> tuple[str, ...]:
        """One line for each blueprint and each value that the person gave."""
        lines = []
        for chosen in self.chosen:
            lines.append(f"{chosen.blueprint} ({chosen.reason})")
            lines += [
                f"{chosen.blueprint}.{c.name} = {c.value} ({c.reason})"
                for c in chosen.parameters.chosen
                if c.explicit
            ]
        return tuple(lines)
