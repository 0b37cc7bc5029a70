"""One question to one agent: typed in, typed out, asked again once when the answer is not what was asked for."""

from __future__ import annotations

import re
from typing import TypeVar

from crewai import Agent, Task
from crewai.utilities.converter import Converter
from pydantic import BaseModel, JsonValue, ValidationError

from crew.fence import RULE, fenced
from crew.model import ModelFaultError, client_errors, model_fault
from policies.change import Word
from traces import names, spans

A = TypeVar("A", bound=Word)
_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*)\n```\s*\Z", re.DOTALL)
_COMPLAINT = 1500


class ExactAnswer(Converter):
    """Takes the answer as it is. CrewAI's own converter would ask a model to guess what was meant."""

    def to_pydantic(self, current_attempt: int = 1) -> BaseModel:  # noqa: ARG002 - the vendor's signature
        """Raises pydantic.ValidationError."""
        plain = _FENCE.match(self.text)
        return self.model.model_validate_json(plain[1] if plain else self.text)


def ask(agent: Agent, kind: str, instructions: str, request: Word, answer: type[A]) -> A:
    """The agent's typed answer to `request`.

    Raises ModelFaultError when the model cannot be reached, refuses, or answers twice what `answer` does not allow.
    """
    prompt = f"{instructions}\n\n{RULE}\n\n{fenced(kind, request)}"
    about = {names.OPERATION_NAME: names.AGENT, names.AGENT_NAME: agent.role}
    with spans.span(f"{names.AGENT} {agent.role} {kind}", about):
        try:
            return _once(agent, prompt, answer)
        except ValueError as fault:
            complaint: dict[str, JsonValue] = {"not_accepted_because": str(fault)[:_COMPLAINT]}
        again = (
            f"{prompt}\n\nYour last answer was not accepted. Answer again, with the JSON object alone.\n\n"
        )
        try:
            return _once(agent, again + fenced("complaint", complaint), answer)
        except ValueError as fault:
            what = f"{fault.error_count()} faults" if isinstance(fault, ValidationError) else str(fault)[:200]
            raise ModelFaultError(
                "model-answer",
                f"the model answered the {kind} task twice with something other than {answer.__name__} ({what}).",
                "Use a stronger model, or `--model offline`.",
            ) from fault


def _once(agent: Agent, prompt: str, answer: type[A]) -> A:
    task = Task(
        description=prompt,
        expected_output=f"one JSON object of the type {answer.__name__}",
        agent=agent,
        output_pydantic=answer,
        converter_cls=ExactAnswer,
    )
    try:
        given = task.execute_sync().pydantic
    except client_errors(ValueError, RuntimeError, TimeoutError) as fault:
        raise _told_apart(fault) from fault
    if not isinstance(given, answer):
        raise ValueError(f"the answer is no {answer.__name__}")  # noqa: TRY004 - one kind of bad answer for the caller
    return given


def _told_apart(fault: BaseException) -> BaseException:
    """What CrewAI wraps in its own exceptions: the model's fault by name, a bad answer as ValueError, else itself."""
    chain = [fault]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    for found in chain:
        if isinstance(found, client_errors()):
            return model_fault(found)
        if isinstance(found, TimeoutError):
            return ModelFaultError(
                "model-timeout", "the model took too long for one task.", "Raise the timeout or try again."
            )
    return next((found for found in chain if isinstance(found, ValueError)), fault)
