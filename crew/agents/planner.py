"""The Planner: goal in, phases with their steps out."""

from __future__ import annotations

from dataclasses import dataclass

from crewai import Agent
from pydantic import JsonValue

from crew.goal import Goal, NotUnderstood, Plan, Step
from crew.hands import Hands
from crew.rendering import Renderer
from crew.tasks.plan import PlanRequest, plan
from knowledge.blueprint import Blueprint
from knowledge.inventory import Item, shuts
from knowledge.parameter import BlueprintFaultError
from tools.gate.words import TargetDescription
from tools.internal.blueprints import view
from tools.internal.memory import Found, Passages
from tools.tool import Nothing

RECALLED = 3
"""How many earlier runs on the same target a plan quotes."""


@dataclass(frozen=True)
class Planner:
    """The seat with its agent."""

    agent: Agent
    hands: Hands
    renderer: Renderer

    def target(self) -> TargetDescription:
        """What the gate sees now."""
        return self.hands.ask_gate("describe_target", Nothing(), TargetDescription)

    def plan(self, goal: Goal, target: TargetDescription) -> Plan | NotUnderstood:
        """The phases of the goal, or what was not understood. Raises ModelFaultError."""
        catalogue = tuple(view(b).model_dump(mode="json") for b in self.renderer.blueprints.values())
        answer = plan(self.agent, PlanRequest(goal=goal, blueprints=catalogue, target=target))
        if answer.not_understood is not None or not answer.steps:
            return answer.not_understood or NotUnderstood(unknown=(goal.text[:200],))
        try:
            planned = self.renderer.plan(answer.steps, goal.language, answer.summary)
        except BlueprintFaultError as fault:
            nearest = tuple(step.blueprint for step in answer.steps)
            return NotUnderstood(unknown=(str(fault),), nearest=nearest)
        return self._under_rules(planned)

    def _under_rules(self, planned: Plan) -> Plan:
        """Each step with the rules that stand in its namespace already, and the first with what earlier runs met here."""
        found = self.hands.ask_here("find_resources", {}, Found)
        steps = tuple(
            _cited(step, standing, self.renderer.blueprints[step.blueprint])
            for step in planned.steps
            for standing in [_standing(step, found.items)]
        )
        past = self.hands.ask_here("query_outcomes", {}, Passages).passages[:RECALLED]
        quoted = (
            *(f"{passage.source}: {passage.text}" for passage in past),
            *(f"not read: {gap}" for gap in found.gaps),
        )
        first = steps[0].model_copy(
            update={"citations": tuple(dict.fromkeys((*steps[0].citations, *quoted)))}
        )
        steps = (first, *steps[1:])
        phases = tuple(phase.model_copy(update={"steps": steps}) for phase in planned.phases)
        return planned.model_copy(update={"phases": phases})


def _standing(step: Step, found: tuple[Item, ...]) -> tuple[Item, ...]:
    """The rules of the namespace that the step goes to."""
    namespace = step.parameters.get("namespace")
    return tuple(item for item in found if item.rule and item.namespace and item.namespace == namespace)


def _cited(step: Step, standing: tuple[Item, ...], blueprint: Blueprint) -> Step:
    """The step with the rules that stand there, and with what they change of it."""
    cited = (f"inventory:{item.source}: {item.summary}" for item in standing)
    shut = any(shuts(item, item.namespace) for item in standing)
    changed: dict[str, JsonValue] = {
        name: parameter.where_shut
        for name, parameter in blueprint.accepts.items()
        if shut and parameter.where_shut is not None and name not in step.explicit
    }
    return step.model_copy(
        update={
            "citations": tuple(dict.fromkeys((*step.citations, *cited))),
            "parameters": {**step.parameters, **changed},
        }
    )
