"""Steps <-> blueprints: what a plan's steps mean, which phases they need, and the files that they render to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from crew.goal import Files, PhasePlan, Plan, Step
from knowledge.blueprint import Blueprint, complete
from knowledge.parameter import BlueprintFaultError, Parameters
from knowledge.rendering import RenderContext, render
from policies.change import CommitSha, Phase
from policies.pins import Pins
from tools.gate.words import OpenedChange


@dataclass(frozen=True)
class Renderer:
    """Blueprints and pins; pure."""

    blueprints: Mapping[str, Blueprint]
    pins: Pins
    rehearsal_pins: bool

    def plan(self, steps: tuple[Step, ...], language: Literal["ko", "en"], summary: str) -> Plan:
        """The steps with every parameter filled in, and the phases that they need.

        Raises BlueprintFaultError for a blueprint, parameter or value that does not exist.
        """
        named = {step.blueprint: step for step in steps}
        if len(named) != len(steps):
            raise BlueprintFaultError("each blueprint can be planned once")
        for name in [*named]:
            for other in (*self._known(name).brings, *self._known(name).requires):
                if other not in named:
                    named[other] = Step(blueprint=other, reason=f"comes with {name}")
        filled = complete(
            self.blueprints, {n: dict(s.parameters) for n, s in named.items()}, language=language
        )
        done = tuple(self._filled(step, filled[name]) for name, step in named.items())
        brought = {other for step in done for other in self._known(step.blueprint).brings}
        accepted = [
            self.blueprints[step.blueprint].accepted_goal(self.parameters(step), language)
            for step in done
            if step.blueprint not in brought
        ]
        return Plan(
            phases=tuple(PhasePlan(phase=phase, steps=done) for phase in self._phases(done)),
            summary=summary,
            accepted_goal=" ".join(accepted) if any(s.asks_for for s in done) else "",
        )

    def parameters(self, step: Step) -> Parameters:
        """The step's parameters, checked. Raises BlueprintFaultError."""
        return self._known(step.blueprint).parameters(
            dict(step.parameters), explicit=frozenset(step.explicit)
        )

    def files(
        self, steps: tuple[Step, ...], phase: Phase, opened: OpenedChange, commit: CommitSha | None
    ) -> Files:
        """Path -> text of what the steps put into the repository (publish) or only into Argo CD (deploy)."""
        repository = opened.destination.repository
        if repository is None:
            raise BlueprintFaultError("no repository is configured: set [github] repository")
        context = RenderContext(
            change_id=opened.change_id,
            clone_url=repository.clone_url,
            pins=self.pins,
            commit=commit,
            base_branch=repository.base_branch,
            rehearsal=self.rehearsal_pins,
        )
        found: dict[str, str] = {}
        for step in steps:
            blueprint = self._known(step.blueprint)
            if blueprint.phases[0] is phase:
                rendered = render(blueprint, self.parameters(step), context)
                found |= {path: data.decode() for path, data in rendered.items()}
        return found

    def gitops(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """The steps that hand the deployment to a controller."""
        return tuple(s for s in steps if self._known(s.blueprint).phases == (Phase.DEPLOY,))

    def _filled(self, step: Step, parameters: Parameters) -> Step:
        blueprint = self._known(step.blueprint)
        explicit = tuple(name for name in step.explicit if name in parameters.values)
        whole = step.model_copy(update={"parameters": dict(parameters.values), "explicit": explicit})
        return whole.model_copy(update={"asks_for": blueprint.asks_for(self.parameters(whole))})

    def _phases(self, steps: tuple[Step, ...]) -> tuple[Phase, ...]:
        blueprints = [self._known(step.blueprint) for step in steps]
        terraform = any(next(b.folder.rglob("*.tf.j2"), None) for b in blueprints)
        deploy = any(Phase.DEPLOY in b.phases for b in blueprints)
        return (Phase.PUBLISH, *([Phase.RELEASE] if terraform else []), *([Phase.DEPLOY] if deploy else []))

    def _known(self, name: str) -> Blueprint:
        if name not in self.blueprints:
            raise BlueprintFaultError(
                f"there is no blueprint {name!r}; there are {', '.join(self.blueprints)}"
            )
        return self.blueprints[name]
