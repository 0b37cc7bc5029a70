"""ModelSettings -> CrewAI LLM, and what can go wrong with one, by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import openai
from crewai import LLM
from crewai.llms.base_llm import BaseLLM

from policies.change import Word
from tools.settings import ModelSettings
from traces import names, spans

OFFLINE = "offline"


_KEY = ("model-key", "the model server does not accept the key.", "Set the right API key.")
_FAULTS: Mapping[str, tuple[str, str, str]] = {
    "AuthenticationError": _KEY,
    "PermissionDeniedError": _KEY,
    "NotFoundError": ("model-unknown", "the model server does not know this model.", "Check `--model`."),
    "APITimeoutError": (
        "model-timeout", "the model server did not answer in time.", "Raise the timeout or try again."
    ),
    "APIConnectionError": (
        "model-down", "the model server cannot be reached.", "Start it or check base_url."
    ),
    "RateLimitError": (
        "model-rate-limited", "the model server asks for patience.", "Go on later with --resume."
    ),
    "APIStatusError": (
        "model-error", "the model server answered {status}.", "Try again, or use `--model offline`."
    ),
}  # fmt: skip
"""Class -> fault. The clients of OpenAI and Anthropic come from one generator and name their errors alike."""


class ModelFaultError(Exception):
    """The model cannot be used. `name` is stable, the message says what to do."""

    def __init__(self, name: str, message: str, advice: str) -> None:
        super().__init__(f"{name}: {message} {advice}")
        self.name = name


class Usage(Word):
    """What a run asked of its model."""

    calls: int
    tokens: int


def build(settings: ModelSettings, offline: Callable[[], BaseLLM]) -> BaseLLM:
    """The model of the run, each call of it a span; `offline` makes the deterministic one. Raises ModelFaultError."""
    return traced(offline() if settings.model == OFFLINE else _online(settings))


def _online(settings: ModelSettings) -> BaseLLM:
    try:
        made = LLM(
            model=settings.model,
            base_url=settings.base_url,
            api_key=settings.api_key,
            timeout=settings.timeout_seconds,
        )
    except ImportError as fault:
        raise ModelFaultError(
            "model-unknown",
            f"CrewAI does not know the model {settings.model!r} here.",
            "Use offline, openai/MODEL, anthropic/MODEL or ollama/MODEL, or an OpenAI-compatible server with base_url.",
        ) from fault
    except client_errors(ValueError) as fault:
        raise ModelFaultError(
            "model-settings",
            f"the model {settings.model!r} cannot be set up: {fault}.",
            "Check model, base_url and key.",
        ) from fault
    if made.provider in {"openai", "anthropic"} and not made.api_key:
        raise ModelFaultError(
            "model-key",
            f"the model {settings.model!r} needs a key.",
            "Set it; any word will do for a server without keys.",
        )
    return made


def traced(llm: BaseLLM) -> BaseLLM:
    """The same model, whose every call is a `chat` span with its tokens and never with its words.

    CrewAI picks the class by the provider, so the span comes in as a subclass of whatever it picked.
    """

    class Traced(type(llm)):  # type: ignore[misc]  # a class that is known when the model is
        def call(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - the vendor's signature
            about = {
                names.OPERATION_NAME: names.CHAT,
                names.PROVIDER_NAME: str(self.provider or OFFLINE),
                names.REQUEST_MODEL: self.model,
            }
            before = self.get_token_usage_summary()
            with spans.span(f"{names.CHAT} {self.model}", about) as span:
                answer = super().call(*given, **named)
                after = self.get_token_usage_summary()
                span.set_attribute(names.INPUT_TOKENS, after.prompt_tokens - before.prompt_tokens)
                span.set_attribute(names.OUTPUT_TOKENS, after.completion_tokens - before.completion_tokens)
                return answer

    llm.__class__ = Traced
    return llm


def usage(llm: BaseLLM) -> Usage:
    """Calls and tokens so far."""
    total = llm.get_token_usage_summary()
    return Usage(calls=total.successful_requests, tokens=total.total_tokens)


def client_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """What the providers' clients raise, and `others`. A client that was never loaded has raised nothing."""
    anthropic = sys.modules.get("anthropic")
    theirs: tuple[type[Exception], ...] = (anthropic.AnthropicError,) if anthropic else ()
    return (openai.OpenAIError, *theirs, *others)


def model_fault(fault: BaseException) -> ModelFaultError:
    """A client's error as a named fault; it never holds the key or the server's words."""
    for kind in type(fault).__mro__:
        if told := _FAULTS.get(kind.__name__):
            status = getattr(fault, "status_code", None)
            return ModelFaultError(told[0], told[1].format(status=status), told[2])
    return ModelFaultError(
        "model-error", f"the model client failed ({type(fault).__name__}).", "See crew.log."
    )
