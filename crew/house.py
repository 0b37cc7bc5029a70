"""The composition of a run: settings -> seats, model, memory, stages. Heavy imports happen with this module."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO

from crew import model
from crew.agents.devops import DevOps
from crew.agents.persona import seat
from crew.agents.planner import Planner
from crew.agents.security import Security
from crew.agents.sre import SRE
from crew.durable import DbosSteps
from crew.ending import Ending
from crew.folder import RunFolder
from crew.goal import OUTCOME, Goal, Outcome
from crew.hands import Hands, Servers
from crew.memory import Remembering, opener
from crew.offline import OfflineModel
from crew.progress import Progress
from crew.rendering import Renderer
from crew.run import deliver
from crew.stages import Roles, Stages
from crew.understanding.text import language_of
from knowledge import pins
from knowledge.blueprint import load_all
from policies import profile as profiles
from tools import catalog
from tools.internal.server import Parts, tools
from tools.settings import CrewSettings
from tools.terraform import Terraform
from tools.tool import Role
from traces import spans

GRAPH_PATIENCE = 3.0
"""Seconds that a plan waits for past outcomes; the graph starts while the crew imports."""
WAITS = 4
"""Exit code of a run that ended while it waits for a review or a signature."""
EXIT: Mapping[str, int] = {"applied": 0, "signed": 0, "refused": 3, "not_understood": 2, "failed": 1}


def pipe_names(settings: CrewSettings) -> Mapping[str, int]:
    """Name -> descriptor of each pipe."""
    return {**{f"gate:{role}": fd for role, fd in settings.gate.items()}, "notary": settings.notary_fd}


def goal_of(settings: CrewSettings) -> Goal:
    """The goal, in the language asked for or the one that it is written in."""
    return Goal(
        text=settings.goal,
        language=settings.language or ("ko" if language_of(settings.goal) == "ko" else "en"),
    )


async def run(settings: CrewSettings, servers: Servers, stream: IO[bytes]) -> Outcome:
    """Deliver the goal, or go on delivering it.

    Raises ModelFaultError, SessionFaultError, ToolRefusedError, ProfileFaultError, PhaseFaultError.
    """
    progress, goal, folder = Progress(stream), goal_of(settings), RunFolder(settings.run_dir)
    profile, known = profiles.load(settings.profile), pins.load(pins.PINS)
    blueprints = load_all()
    remembering = Remembering(
        servers,
        "gate:planner",
        opener(settings.graph),
        blueprints,
        wait=GRAPH_PATIENCE,
        waiting=settings.waiting,
    )
    remembering.start()
    llm = model.build(settings.model, lambda: OfflineModel(model=model.OFFLINE, blueprints=blueprints))
    parts = Parts(
        blueprints=blueprints,
        pins=known,
        profile=profile,
        terraform=Terraform(settings.terraform, settings.provider_mirror),
        memory=remembering.memory,
        inventory=remembering.inventory,
        graph=remembering.graph,
    )
    mounted = tools(parts)

    def hands(role: Role) -> Hands:
        notary = "notary" if role is Role.SECURITY else None
        return Hands(role, servers, f"gate:{role}", notary, catalog.mounted("internal", role, mounted))

    renderer = Renderer(blueprints, known, profile.rehearsal_pins)

    @functools.cache
    def sre() -> SRE:
        own = hands(Role.SRE)
        return SRE(seat(own, llm, profile), own, time.sleep)

    @functools.cache
    def roles() -> Roles:
        planner, devops, security = hands(Role.PLANNER), hands(Role.DEVOPS), hands(Role.SECURITY)
        return Roles(
            planner=Planner(seat(planner, llm, profile), planner, renderer),
            devops=DevOps(seat(devops, llm, profile), devops, renderer, profile, lambda: datetime.now(UTC)),
            security=Security(seat(security, llm, profile), security, goal),
            sre=hands(Role.SRE),
        )

    steps = DbosSteps()
    stages = Stages(
        roles=roles,
        durable=steps,
        profile=profile,
        folder=folder,
        progress=progress,
        ending=Ending(
            goal=goal,
            run_id=settings.run_id,
            folder=folder,
            sre=sre,
            remembering=remembering,
            usage=lambda: model.usage(llm),
            progress=progress,
            trace_id=spans.trace_id(),
            clock=lambda: datetime.now(UTC),
        ),
        trace=spans.carrier(),
        pause=time.sleep,
        review_patience=settings.review_patience,
    )

    async def work() -> object:
        return OUTCOME.dump_python(await deliver(goal, stages, dry_run=settings.dry_run), mode="json")

    outcome = OUTCOME.validate_python(await steps.run(settings.run_id, folder.database, work))
    caught_up = [str(path) for path in remembering.caught_up()]
    folder.tell({"durations": stages.durations, "plan": stages.plan_shown(), "caught_up": caught_up})
    return outcome
