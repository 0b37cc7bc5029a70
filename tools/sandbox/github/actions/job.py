"""One job of a run: its steps in order, each really run and logged, or rehearsed and said so."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tools import confine
from tools.sandbox.github.actions import uses
from tools.sandbox.github.actions.child import LATE, Children, Place, read_text
from tools.sandbox.github.actions.expressions import (
    ExpressionFaultError,
    Status,
    condition,
    interpolate,
)
from tools.sandbox.github.actions.shims import Toolbox
from tools.sandbox.github.actions.uses import Done, Use
from tools.sandbox.github.actions.workflow import JobPlan, StepPlan, Workflow
from tools.sandbox.github.hub import Hub
from tools.sandbox.github.records import Annotation, Conclusion, Job, Run, Step

REHEARSED = "rehearsed"
"""The title of the annotation that marks a step which did not really happen."""
_MOST_REMARKS = 50
_UNCONFINED = "this platform offers no confinement: nothing from a repository is run"
_COMMAND = re.compile(r"^::(error|warning|notice)(?: ([^:]*))?::(.*)$")
_LEVELS = {"error": "failure", "warning": "warning", "notice": "notice"}
_SHELLS = {
    None: ("bash", "-e"),
    "bash": ("bash", "--noprofile", "--norc", "-eo", "pipefail"),
    "sh": ("sh", "-e"),
}
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


@dataclass
class JobWork:
    """Runs the steps of one job and keeps its record current."""

    hub: Hub
    run: Run
    workflow: Workflow
    plan: JobPlan
    job: Job
    contexts: dict[str, Any]
    toolbox: Toolbox
    children: Children
    deadline: float
    environment: dict[str, str] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    failed: bool = False

    def perform(self) -> dict[str, str]:
        """Run every step; the job's outputs. The record in `self.job` is final afterwards."""
        readable = (*self.toolbox.readable(), *uses.readable(), self.hub.git.path)
        scratch = f"{self.run.id}-{self.job.id}-{secrets.token_hex(4)}"
        place = Place(
            self.hub.state.resolve() / "work" / scratch,
            readable,
            self.children,
            Path(tempfile.mkdtemp(prefix="cs-")),
        )
        place.make()
        self.contexts |= {
            "steps": {},
            "job": {"status": "success"},
            "runner": {"os": "Linux", "temp": str(place.temp)},
        }
        self.contexts["github"] = {
            **self.contexts["github"],
            "workspace": str(place.workspace),
            "job": self.job.key,
        }
        try:
            for index, step in enumerate(self.plan.steps):
                self._one(place, index, step)
            outputs = {name: interpolate(text, self.contexts) for name, text in self.plan.outputs.items()}
        except ExpressionFaultError as fault:
            self.failed, outputs = True, {}
            self._annotate("failure", "outputs", str(fault))
        finally:
            shutil.rmtree(place.root, ignore_errors=True)
            shutil.rmtree(place.short, ignore_errors=True)
        self._put(
            status="completed",
            conclusion="failure" if self.failed else "success",
            completed_at=self.hub.timestamp(),
        )
        return outputs

    def _one(self, place: Place, index: int, step: StepPlan) -> None:
        log: list[str] = []
        started = self.hub.timestamp()
        self._step(index, status="in_progress", started_at=started)
        say = _Teller(self, log)
        done = self._attempt(place, step, say)
        if done is not None and done.conclusion == "failure" and self.job.hollow:
            done = Done(
                rehearsed="it failed, but a step before it was only rehearsed, so that this says nothing",
                hollow=True,
            )
        if done is not None and done.rehearsed:
            say(f"rehearsed: {done.rehearsed}")
            self._mark(index, done)
        conclusion: Conclusion = "skipped" if done is None or done.rehearsed else done.conclusion
        if done is not None:
            self.environment |= done.environment
            result = {"outputs": done.outputs, "outcome": conclusion, "conclusion": conclusion}
            if conclusion == "failure" and step.continue_on_error:
                conclusion = result["conclusion"] = "success"
            self.contexts["steps"] = {**self.contexts["steps"], **({step.id: result} if step.id else {})}
            self.failed |= conclusion == "failure"
            self.contexts["job"] = {"status": "failure" if self.failed else "success"}
        self._write_log(index, log)
        self._step(index, status="completed", conclusion=conclusion, completed_at=self.hub.timestamp())

    def _attempt(self, place: Place, step: StepPlan, say: _Teller) -> Done | None:
        """Do a step; None when its condition is false. A fault of an expression fails the step, with its words."""
        try:
            layered = {**self.workflow.env, **self.plan.env}
            shared = {
                name: interpolate(value, self.contexts) for name, value in layered.items()
            } | self.environment
            contexts = {**self.contexts, "env": shared}
            own = {name: interpolate(value, contexts) for name, value in step.env.items()}
            contexts["env"] = {**shared, **own}
            if not condition(step.condition, contexts, Status(failed=self.failed)):
                say("skipped: its condition is false")
                return None
            if step.uses:
                return self._use(place, step, contexts, say)
            return self._script(place, step, contexts, say)
        except ExpressionFaultError as fault:
            say(f"##[error]{fault}")
            return Done("failure")

    def _use(self, place: Place, step: StepPlan, contexts: Mapping[str, Any], say: _Teller) -> Done:
        if confine.isolation() == "none":
            return Done(rehearsed=_UNCONFINED, hollow=True)
        arguments = {name: interpolate(value, contexts) for name, value in step.with_.items()}
        return uses.perform(
            step.uses or "", Use(self.hub, self.run, place, self.toolbox.search_path, arguments, say)
        )

    def _script(self, place: Place, step: StepPlan, contexts: Mapping[str, Any], say: _Teller) -> Done:
        if confine.isolation() == "none":
            return Done(rehearsed=_UNCONFINED, hollow=True)
        if step.run is None or step.shell not in _SHELLS:
            say(
                f"##[error]the sandbox rehearses run: steps in bash and sh, not {step.shell or 'an empty step'}"
            )
            return Done("failure")
        files = _Files(place.temp / secrets.token_hex(6))
        files.make(interpolate(step.run, contexts))
        path = ":".join([*reversed(self.paths), self.toolbox.path])
        env = {
            **_system(self.run, self.hub, place),
            **self.toolbox.environment(),
            **contexts["env"],
            **files.environment(),
            "PATH": path,
        }
        cwd = place.workspace / interpolate(step.working_directory or ".", contexts)
        if not cwd.resolve().is_relative_to(place.workspace) or not cwd.is_dir():
            say(f"##[error]working-directory {cwd.relative_to(place.root)} is not a folder of the workspace")
            return Done("failure")
        seconds = min(self.deadline, (step.timeout_minutes or self.plan.timeout_minutes) * 60)
        code = place.lines(
            [*_SHELLS[step.shell], str(files.script)], cwd=cwd, env=env, say=say, deadline=seconds
        )
        self._learn(files)
        if reasons := read_text(files.rehearsed).strip().splitlines():
            return Done(
                rehearsed="; ".join(dict.fromkeys(reasons)),
                hollow=True,
                outputs=_pairs(read_text(files.output)),
            )
        if code != 0:
            say(
                f"##[error]{'No end within the time allowed' if code == LATE else f'Process completed with exit code {code}'}."
            )
        return Done("failure" if code else "success", outputs=_pairs(read_text(files.output)))

    def _learn(self, files: _Files) -> None:
        self.environment |= {
            k: v for k, v in _pairs(read_text(files.env)).items() if not k.startswith(("GITHUB_", "RUNNER_"))
        }
        self.paths += [line for line in read_text(files.path).splitlines() if line.strip()]

    def _step(self, index: int, **changes: Any) -> None:  # noqa: ANN401 - fields of Step
        steps = list(self.job.steps)
        steps[index] = steps[index].model_copy(update=changes)
        self._put(steps=tuple(steps))

    def _annotate(self, level: str, title: str, message: str) -> None:
        remark = Annotation.model_validate(
            {
                "path": self.run.workflow,
                "line": 1,
                "level": level,
                "title": title[:250],
                "message": message[:4000],
            }
        )
        if sum(held.title != REHEARSED for held in self.job.annotations) < _MOST_REMARKS:
            self._put(annotations=(*self.job.annotations, remark))

    def _mark(self, index: int, done: Done) -> None:
        """Say of a step that it was rehearsed: a warning when what it would have made is missing, else a notice."""
        message = f"step {index + 1} '{self.job.steps[index].name}': {done.rehearsed}"
        level: Literal["warning", "notice"] = "warning" if done.hollow else "notice"
        mark = Annotation(
            path=self.run.workflow, line=1, level=level, title=REHEARSED, message=message[:4000]
        )
        self._put(annotations=(mark, *self.job.annotations), hollow=self.job.hollow or done.hollow)

    def remark(self, level: str, properties: str, message: str) -> None:
        """A `::notice::` of the step itself."""
        named = dict(pair.split("=", 1) for pair in properties.split(",") if "=" in pair)
        self._annotate(_LEVELS[level], named.get("title", ""), message)

    def _put(self, **changes: Any) -> None:  # noqa: ANN401 - fields of Job
        self.job = self.hub.records.put(self.job.model_copy(update=changes))

    def _write_log(self, index: int, lines: list[str]) -> None:
        path = log_of(self.hub, self.job, index + 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")


@dataclass
class _Teller:
    """Takes a step's lines: workflow commands become annotations, every line gets its time, as GitHub's logs have it."""

    work: JobWork
    lines: list[str]

    def __call__(self, line: str) -> None:
        if match := _COMMAND.match(line):
            self.work.remark(match[1], match[2] or "", match[3])
            line = f"##[{match[1]}]{match[3]}"
        moment = self.work.hub.now().strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
        self.lines.append(f"{moment} {line}")


@dataclass(frozen=True)
class _Files:
    """The files through which a step speaks to its job."""

    folder: Path

    @property
    def script(self) -> Path:
        return self.folder / "step.sh"

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def env(self) -> Path:
        return self.folder / "env"

    @property
    def path(self) -> Path:
        return self.folder / "path"

    @property
    def rehearsed(self) -> Path:
        return self.folder / "rehearsed"

    def make(self, script: str) -> None:
        self.folder.mkdir()
        self.script.write_text(script, encoding="utf-8")
        for file in (self.output, self.env, self.path, self.folder / "summary"):
            file.touch()

    def environment(self) -> dict[str, str]:
        return {
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_ENV": str(self.env),
            "GITHUB_PATH": str(self.path),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "COUNTERSIGN_REHEARSED": str(self.rehearsed),
        }


def log_of(hub: Hub, job: Job, number: int) -> Path:
    """Where the log of a step lies; steps count from one."""
    return hub.state / "logs" / str(job.run) / str(job.id) / f"{number}.txt"


def planned(plan: JobPlan, contexts: Mapping[str, Any]) -> tuple[Step, ...]:
    """The steps of a job before they run."""
    return tuple(Step(number=i, name=_title(step, contexts)) for i, step in enumerate(plan.steps, start=1))


def _title(step: StepPlan, contexts: Mapping[str, Any]) -> str:
    try:
        return interpolate(step.title, contexts)
    except ExpressionFaultError:
        return step.title


def _system(run: Run, hub: Hub, place: Place) -> dict[str, str]:
    return {
        "CI": "true",
        "GIT_CONFIG_NOSYSTEM": "1",  # /etc is not all readable there
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTOR": run.actor,
        "GITHUB_API_URL": hub.api,
        "GITHUB_EVENT_NAME": run.event,
        "GITHUB_REF": run.ref,
        "GITHUB_REF_NAME": run.ref.removeprefix("refs/heads/"),
        "GITHUB_REPOSITORY": hub.settings.full_name,
        "GITHUB_REPOSITORY_OWNER": hub.settings.owner,
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_RUN_ID": str(run.id),
        "GITHUB_RUN_NUMBER": str(run.number),
        "GITHUB_SERVER_URL": hub.origin,
        "GITHUB_SHA": run.commit,
        "GITHUB_WORKFLOW": run.name,
        "GITHUB_WORKSPACE": str(place.workspace),
        "HOME": str(place.root / "home"),
        "LANG": "C.UTF-8",
        "RUNNER_ARCH": "X64",
        "RUNNER_OS": "Linux",
        "RUNNER_TEMP": str(place.temp),
        "TMPDIR": str(place.short),
    }


def _pairs(text: str) -> dict[str, str]:
    """`name=value` lines and `name<<END` blocks, as GITHUB_OUTPUT and GITHUB_ENV have them; other lines are dropped."""
    found: dict[str, str] = {}
    lines: list[str] = text.splitlines()
    while lines:
        line = lines.pop(0)
        name, block, end = line.partition("<<")
        if block and _NAME.match(name.strip()) and end in lines:
            stop = lines.index(end)
            found[name.strip()] = "\n".join(lines[:stop])
            lines = lines[stop + 1 :]
            continue
        name, equals, value = line.partition("=")
        if equals and name.strip():
            found[name.strip()] = value
    return found
