"""The Planner: goal in, phases with their steps out."""

from __future__ import annotations

from dataclasses import dataclass

from crewai import Agent

from crew.goal import Goal, NotUnderstood, Plan
from crew.hands import Hands
from crew.rendering import Renderer
from crew.tasks.plan import PlanRequest, plan
from knowledge.parameter import BlueprintFaultError
from tools.gate.words import TargetDescription
from tools.internal.blueprints import view
from tools.tool import Nothing


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
            return self.renderer.plan(answer.steps, goal.language, answer.summary)
        except BlueprintFaultError as fault:
            nearest = tuple(step.blueprint for step in answer.steps)
            return NotUnderstood(unknown=(str(fault),), nearest=nearest)
