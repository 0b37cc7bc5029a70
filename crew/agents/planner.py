"""The Planner: goal in, phases with their steps out."""

from __future__ import annotations

from dataclasses import dataclass

from crewai import Agent

from crew.goal import Goal, NotUnderstood, Plan, Step
from crew.hands import Hands
from crew.rendering import Renderer
from crew.tasks.plan import PlanRequest, plan
from knowledge.inventory import Item
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
        found = self.hands.ask_here("find_resources", {}, Found).items
        steps = tuple(
            _cited(step, tuple(item for item in found if item.rule and item.namespace))
            for step in planned.steps
        )
        past = self.hands.ask_here("query_outcomes", {}, Passages).passages[:RECALLED]
        quoted = tuple(f"{passage.source}: {passage.text}" for passage in past)
        first = steps[0].model_copy(
            update={"citations": tuple(dict.fromkeys((*steps[0].citations, *quoted)))}
        )
        steps = (first, *steps[1:])
        phases = tuple(phase.model_copy(update={"steps": steps}) for phase in planned.phases)
        return planned.model_copy(update={"phases": phases})


def _cited(step: Step, rules: tuple[Item, ...]) -> Step:
    standing = [item for item in rules if item.namespace == step.parameters.get("namespace")]
    cited = (f"inventory:{item.source}: {item.summary}" for item in standing)
    return step.model_copy(update={"citations": tuple(dict.fromkeys((*step.citations, *cited)))})
