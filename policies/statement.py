"""The frame of every statement of ours, in-toto Statement v1: words alone, for whoever signs nothing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from policies.change import Word

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


class Subject(Word):
    """One named digest that a statement speaks of."""

    name: str = Field(min_length=1, max_length=400)
    digest: dict[Literal["sha256"], Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(min_length=1)

    @classmethod
    def of(cls, name: str, digest: str) -> Subject:
        """From a `sha256:` digest."""
        return cls(name=name, digest={"sha256": digest.removeprefix("sha256:")})

    @property
    def sha256_digest(self) -> str:
        """With its `sha256:` prefix."""
        return "sha256:" + self.digest["sha256"]


class Statement(Word):
    """The frame of every statement; a kind adds its literal `predicateType` and typed `predicate`."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(
        default="https://in-toto.io/Statement/v1", alias="_type"
    )
    subject: Annotated[tuple[Subject, ...], Field(min_length=1, max_length=5000)]
