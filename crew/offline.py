"""The offline model: a CrewAI LLM like any other, deterministic and honest about its limits.

It reads the typed request in the prompt's data block, calls tools as a model does, and answers with the same
typed outputs. It plans with `crew.understanding`, and says plainly which goals need a real model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from crewai.llms.base_llm import BaseLLM
from crewai.types.usage_metrics import UsageMetrics
from pydantic import PrivateAttr

from crew.fence import first_block
from crew.goal import Declined, NotUnderstood, Step
from crew.tasks.draft import DraftAnswer, DraftRequest
from crew.tasks.plan import PlanAnswer, PlanRequest
from crew.tasks.review import ReviewAnswer, ReviewRequest
from crew.tasks.revise import ReviseAnswer, ReviseRequest
from crew.tasks.summarise import SummariseAnswer, SummariseRequest
from crew.understanding.meaning import Understanding
from crew.understanding.text import GoalFaultError
from crew.understanding.understand import understand
from knowledge.blueprint import Blueprint
from policies.change import Word

NEEDS_MODEL = {
    "ko": "오프라인 모델은 청사진에 있는 것만 압니다. 다른 목표에는 --model openai/MODEL 처럼 LLM을 지정하세요.",
    "en": "The offline model knows what its blueprints hold. For other goals set an LLM, such as --model openai/MODEL.",
}
_CITED = 4
_PAST = ("run", "outcome")
_WORD = re.compile(r"[a-z0-9]+")
_ROOM = 1_000_000


class OfflineModel(BaseLLM):
    """Answers each kind of task by a rule."""

    blueprints: Mapping[str, Blueprint]
    _calls: int = PrivateAttr(default=0)

    def call(self, messages: Any, tools: Any = None, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - the vendor's signature
        """A tool call while a task still wants one, then the typed answer as JSON."""
        self._calls += 1
        said = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
        found = next(
            (b for m in said if m["role"] == "user" and (b := first_block(str(m.get("content") or "")))), None
        )
        if found is None or found[0] not in self._rules():
            raise ValueError("the offline model got a prompt without a task that it knows")
        kind, value = found
        results = [
            block for m in said if m["role"] == "tool" and (block := first_block(str(m.get("content") or "")))
        ]
        granted = {tool["function"]["name"] for tool in tools or ()}
        if kind == "plan" and not results and (wanted := self._wanted(value, granted)):
            return wanted
        return self._rules()[kind](value, results).model_dump_json()

    def supports_function_calling(self) -> bool:
        """It asks for tools as native calls."""
        return True

    def supports_stop_words(self) -> bool:
        """It never runs on."""
        return False

    def get_context_window_size(self) -> int:
        """It forgets nothing of a prompt."""
        return _ROOM

    def get_input_tokens_count(self, *_: Any, **__: Any) -> int:  # noqa: ANN401 - the vendor's signature
        """It has no tokens."""
        return 0

    def get_token_usage_summary(self) -> UsageMetrics:
        """Its calls; no tokens."""
        return UsageMetrics(successful_requests=self._calls)

    def _rules(self) -> Mapping[str, Callable[[Any, list[tuple[str, Any]]], Word]]:
        return {
            "plan": self._plan,
            "draft": self._draft,
            "review": self._review,
            "revise": self._revise,
            "summarise": self._summarise,
        }

    @staticmethod
    def _wanted(value: Any, granted: set[str]) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON
        goal = value["goal"]["text"]
        asked = {"search_knowledge": {"query": goal[:2000], "limit": 6}, "query_outcomes": {}}
        return [
            {
                "id": f"call-{name}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for name, arguments in asked.items()
            if name in granted
        ]

    def _plan(self, value: Any, results: list[tuple[str, Any]]) -> PlanAnswer:  # noqa: ANN401 - JSON
        request = PlanRequest.model_validate(value)
        language = request.goal.language
        try:
            meant = understand(request.goal.text, self.blueprints)
        except GoalFaultError as fault:
            return PlanAnswer(
                not_understood=NotUnderstood(unknown=(str(fault),), advice=NEEDS_MODEL[language])
            )
        if not meant.clear:
            return PlanAnswer(not_understood=_not_understood(meant, language))
        cited = _by_blueprint(_cited(results), [chosen.blueprint for chosen in meant.chosen])
        steps = tuple(
            Step(
                blueprint=chosen.blueprint,
                parameters=dict(chosen.parameters.values),
                explicit=tuple(sorted(chosen.parameters.explicit)),
                asks_for=chosen.asks_for,
                reason=chosen.reason,
                citations=cited[chosen.blueprint][:_CITED],
            )
            for chosen in meant.chosen
        )
        return PlanAnswer(steps=steps, summary="; ".join(meant.understood), accepted_goal=meant.accepted_goal)

    @staticmethod
    def _draft(value: Any, _: object) -> DraftAnswer:  # noqa: ANN401 - JSON
        request = DraftRequest.model_validate(value)
        names = ", ".join(_called(step) for step in request.steps)
        lines = [f"- {step.blueprint}: {step.reason}" for step in request.steps]
        cited = dict.fromkeys(c for step in request.steps for c in step.citations)
        if cited:
            lines.append("\nCited: " + "; ".join(cited))
        return DraftAnswer(title=f"Add {names}"[:70], summary="\n".join(lines)[:4000])

    @staticmethod
    def _review(value: Any, _: object) -> ReviewAnswer:  # noqa: ANN401 - JSON
        request = ReviewRequest.model_validate(value)
        if request.blocking:
            rules = ", ".join(sorted({finding.rule for finding in request.blocking}))
            return ReviewAnswer(decision="reject", note=rules[:2000])
        return ReviewAnswer(
            decision="approve", note=f"{len(request.files)} files, {len(request.other)} minor findings"
        )

    @staticmethod
    def _revise(value: Any, _: object) -> ReviseAnswer:  # noqa: ANN401 - JSON
        request = ReviseRequest.model_validate(value)
        wished = {rule for step in request.steps for rule in step.asks_for}
        mended = tuple(o.id for o in request.objections if o.remediations and o.rule not in wished)
        declined = tuple(
            Declined(
                objection=o.id, rule=o.rule, reason="No remediation is known; this needs a person or an LLM."
            )
            for o in request.objections
            if not o.remediations and o.rule not in wished and not mended
        )
        return ReviseAnswer(accept=mended, decline=declined)

    @staticmethod
    def _summarise(value: Any, _: object) -> SummariseAnswer:  # noqa: ANN401 - JSON
        request = SummariseRequest.model_validate(value)
        lines = [line.strip() for line in request.log.splitlines() if line.strip()]
        rehearsed = sum("rehearsed" in line.lower() for line in lines)
        if not lines:
            return SummariseAnswer()
        if request.language == "ko":
            text = f"로그 {len(lines)}줄, 리허설 단계 {rehearsed}개. 마지막 줄: {lines[-1][:300]}"
        else:
            text = f"{len(lines)} lines of log, {rehearsed} rehearsed steps. Last line: {lines[-1][:300]}"
        return SummariseAnswer(log=text)


def _not_understood(meant: Understanding, language: str) -> NotUnderstood:
    unknown = meant.not_understood
    if meant.destructive is not None:
        never = {
            "ko": f"“{meant.destructive}”: 지우거나 우회하는 일은 하지 않습니다.",
            "en": f"“{meant.destructive}”: nothing is destroyed or bypassed here.",
        }
        unknown = (never[language], *unknown)
    return NotUnderstood(
        understood=meant.understood, unknown=unknown, nearest=meant.nearest, advice=NEEDS_MODEL[language]
    )


def _cited(results: list[tuple[str, Any]]) -> tuple[str, ...]:
    """Sources of the passages that the tools returned, past outcomes with their first line."""
    cited: dict[str, None] = {}
    for kind, value in results:
        for passage in value.get("passages", ()) if kind == "tool_result" and isinstance(value, dict) else ():
            source, first = str(passage.get("source", "")), str(passage.get("text", "")).partition("\n")[0]
            cited[f"{source}: {first[:160]}" if source.startswith(_PAST) else source] = None
    return tuple(cited)


def _by_blueprint(cited: Sequence[str], blueprints: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Each citation at the one blueprint whose name shares most words with its source, the earlier of equals.

    What an earlier run met is of the whole goal and stands at the first; what shares no word was found but not used.
    """
    placed: dict[str, list[str]] = {blueprint: [] for blueprint in blueprints}
    for citation in cited:
        source = set(_WORD.findall(citation.partition(": ")[0].lower()))
        shared = {blueprint: len(source & set(blueprint.split("-"))) for blueprint in blueprints}
        home = max(blueprints, key=lambda blueprint: shared[blueprint])
        if shared[home] or citation.startswith(_PAST):
            placed[home].append(citation)
    return {blueprint: tuple(found) for blueprint, found in placed.items()}


def _called(step: Step) -> str:
    name = step.parameters.get("name")
    return f"{step.blueprint} {name}" if name else step.blueprint
