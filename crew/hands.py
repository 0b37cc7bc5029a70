"""What one role can reach: its pipe to the gate, to the notary, and the tools that stand in this process.

A role's tools become CrewAI tools here, one per granted tool; what they answer enters the conversation
only as a data block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from crewai.tools import BaseTool
from crewai.utilities.pydantic_schema_utils import create_model_from_schema
from pydantic import BaseModel, JsonValue, ValidationError

from crew.fence import fenced
from policies.change import Word
from tools import catalog
from tools.session import ToolView
from tools.tool import Role, Tool, ToolRefusedError
from traces import names, spans

W = TypeVar("W", bound=Word)
NOT_FOR_MODELS = frozenset(
    {
        "open_change",
        "submit",
        "await_review",
        "sign",
        "judge",
        "record_outcome",
        "signoff_state",
        "tell_outcome",
    }
)
"""What is signed, opened or submitted is named by our code, by id: a model in between could only lose it."""


class Servers(Protocol):
    """The part of BackgroundSessions that the crew uses; `server` is a pipe's name."""

    def call(self, server: str, tool: str, arguments: Word | Mapping[str, Any], result: type[W]) -> W:
        """A typed call. Raises ToolRefusedError or SessionFaultError."""

    def raw(self, server: str, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The same, untyped."""

    def tools(self, server: str) -> list[ToolView]:
        """What that pipe grants."""


@dataclass(frozen=True)
class Hands:
    """One role's reach. `gate` and `notary` name its pipes."""

    role: Role
    servers: Servers
    gate: str
    notary: str | None
    internal: Mapping[str, Tool]

    def ask_gate(self, tool: str, arguments: Word | Mapping[str, Any], result: type[W]) -> W:
        """Call the gate through this role's pipe. Raises ToolRefusedError or SessionFaultError."""
        return self.servers.call(self.gate, tool, arguments, result)

    def ask_notary(self, tool: str, arguments: Word, result: type[W]) -> W:
        """Call the notary. Raises ToolRefusedError or SessionFaultError."""
        if self.notary is None:
            raise ToolRefusedError("no-pipe", f"{self.role} has no pipe to the notary.")
        return self.servers.call(self.notary, tool, arguments, result)

    def ask_here(self, tool: str, arguments: Mapping[str, Any], result: type[W]) -> W:
        """Call a tool of this process. Raises ToolRefusedError."""
        found = self.internal.get(tool)
        if found is None:
            raise ToolRefusedError(
                "tool-not-granted", f"{self.role} has no tool {tool}.", "See tools/toolbelts.toml."
            )
        try:
            given = found.arguments.model_validate(dict(arguments))
        except ValidationError as fault:
            raise ToolRefusedError(
                "bad-arguments", f"{tool}: {fault.error_count()} faults in the arguments."
            ) from fault
        return result.model_validate(found.call(given).model_dump())

    def belt(self) -> list[BaseTool]:
        """The CrewAI tools of this role: the gate's and our own, without those that only our code may call."""
        granted = catalog.granted(self.role, "gate")
        listed = [view for view in self.servers.tools(self.gate) if view.name in granted]
        ours = [
            ToolView(t.name, t.description, t.arguments.model_json_schema()) for t in self.internal.values()
        ]
        return [*self._adapted(listed, self._at_gate), *self._adapted(ours, self._here)]

    def _at_gate(self, tool: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        return self.servers.raw(self.gate, tool, arguments)

    def _here(self, tool: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        return self.ask_here(tool, arguments, self.internal[tool].result).model_dump(mode="json")

    @staticmethod
    def _adapted(views: Iterable[ToolView], call: Call) -> list[BaseTool]:
        return [
            GrantedTool(
                name=view.name,
                description=view.description or view.name,
                args_schema=create_model_from_schema(
                    dict(view.input_schema), model_name=f"{view.name}_arguments"
                ),
                call=call,
            )
            for view in views
            if view.name not in NOT_FOR_MODELS
        ]


class Call(Protocol):
    """How a granted tool is called."""

    def __call__(self, tool: str, arguments: Mapping[str, Any], /) -> Any:  # noqa: ANN401 - JSON
        """Raises ToolRefusedError."""


class GrantedTool(BaseTool):
    """A tool of ours as CrewAI wants it."""

    args_schema: type[BaseModel]
    call: Any

    def _run(self, **arguments: Any) -> str:  # noqa: ANN401 - the vendor's signature
        given = {name: value for name, value in arguments.items() if value is not None}
        about = {names.OPERATION_NAME: names.EXECUTE_TOOL, names.TOOL_NAME: self.name}
        with spans.span(f"{names.EXECUTE_TOOL} {self.name}", about) as span:
            try:
                return fenced("tool_result", self.call(self.name, given))
            except ToolRefusedError as refusal:
                span.set_attribute(names.DENIAL, refusal.name)
                told: dict[str, JsonValue] = {
                    "name": refusal.name,
                    "message": refusal.message,
                    "advice": refusal.advice,
                }
                return fenced("tool_refused", told)
