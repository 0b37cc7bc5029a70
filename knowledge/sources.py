"""The texts that never change during a run: blueprints and rules, as passages that a plan may cite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from knowledge.blueprint import Blueprint
from knowledge.retrieval import Source
from policies.rules import Rule


def blueprint_sources(blueprints: Mapping[str, Blueprint]) -> tuple[Source, ...]:
    """`blueprint:NAME`: what it builds, how it is called, what can be chosen."""
    return tuple(
        Source(source=f"blueprint:{name}", text=_text(blueprint)) for name, blueprint in blueprints.items()
    )


def rule_sources(rules: Iterable[Rule]) -> tuple[Source, ...]:
    """`policy:RULE`: the harm and the remedy."""
    return tuple(
        Source(source=f"policy:{rule.id}", text=f"{rule.id} {rule.why} {rule.remedy}") for rule in rules
    )


def _text(blueprint: Blueprint) -> str:
    parts = [blueprint.description.ko, blueprint.description.en, blueprint.risk.ko, blueprint.risk.en]
    parts += blueprint.aliases.names
    for name, parameter in blueprint.accepts.items():
        parts += [name, parameter.description.ko, parameter.description.en]
    return " ".join(parts)
