"""The blueprints' tools: what we know how to build, and the files of one blueprint for given parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, JsonValue

from knowledge.blueprint import Blueprint
from knowledge.parameter import BlueprintFaultError, Chosen, Parameter, Text, Value
from knowledge.rendering import RenderContext, render
from policies.change import ChangeId, CommitSha, Phase, Word
from policies.pins import Pins
from tools.tool import Nothing, Tool, ToolRefusedError


class UnsafeValue(Word):
    """A value that, explicitly asked for, breaks these rules by itself."""

    value: Value | None = None
    pattern: str | None = None
    rules: tuple[str, ...]
    safe: Value


class ParameterView(Word):
    """What can be chosen."""

    name: str
    type: str
    description: Text
    default: Value | None = None
    default_by_language: Mapping[Literal["ko", "en"], Value] = {}
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    unsafe: tuple[UnsafeValue, ...] = ()


class BlueprintView(Word):
    """One blueprint as a planner needs to know it."""

    name: str
    description: Text
    risk: Text
    phases: tuple[Phase, ...]
    requires: tuple[str, ...]
    brings: tuple[str, ...]
    parameters: tuple[ParameterView, ...]


class Blueprints(Word):
    """Everything that we know how to build."""

    blueprints: tuple[BlueprintView, ...]


class RenderBlueprint(Word):
    """Which blueprint, with which values, for which change."""

    blueprint: str
    parameters: Mapping[str, JsonValue] = Field(
        default={}, description="name -> value; what is missing takes its default"
    )
    explicit: tuple[str, ...] | None = Field(
        default=None, description="the parameters that the person named; absent: all given ones"
    )
    language: Literal["ko", "en"] = "en"
    change_id: ChangeId
    clone_url: str = Field(
        min_length=1, max_length=2000, description="of the repository that will hold the files"
    )
    commit: CommitSha | None = Field(
        default=None, description="the commit that publish produced; argocd-application needs it"
    )
    server: str = Field(
        default="https://kubernetes.default.svc", description="the cluster as Argo CD calls it"
    )
    base_branch: str = "main"
    rehearsal: bool = Field(
        default=False, description="the target is the sandbox: an image without a pin gets a rehearsal digest"
    )


class Rendered(Word):
    """Path in the repository -> text, and the parameters that were used."""

    files: Mapping[str, str]
    parameters: tuple[Chosen, ...]
    asks_for: tuple[str, ...] = Field(description="rules that the explicit values break by themselves")


def view(blueprint: Blueprint) -> BlueprintView:
    """A blueprint without its templates and its vocabulary."""
    return BlueprintView(
        name=blueprint.name,
        description=blueprint.description,
        risk=blueprint.risk,
        phases=blueprint.phases,
        requires=blueprint.requires,
        brings=blueprint.brings,
        parameters=tuple(_parameter(name, parameter) for name, parameter in blueprint.accepts.items()),
    )


def _parameter(name: str, parameter: Parameter) -> ParameterView:
    integer = parameter.type == "integer"
    return ParameterView(
        name=name,
        type=parameter.type,
        description=parameter.description,
        default=parameter.default,
        default_by_language=parameter.default_by_language,
        minimum=parameter.minimum if integer else None,
        maximum=parameter.maximum if integer else None,
        choices=parameter.choices,
        follows=parameter.follows,
        unsafe=tuple(UnsafeValue(**unsafe.model_dump()) for unsafe in parameter.unsafe),
    )


def tools(blueprints: Mapping[str, Blueprint], pins: Pins) -> tuple[Tool, ...]:
    """list_blueprints and render_blueprint over these blueprints."""

    def listing(_: Nothing) -> Blueprints:
        return Blueprints(blueprints=tuple(view(blueprint) for blueprint in blueprints.values()))

    def rendering(asked: RenderBlueprint) -> Rendered:
        blueprint = blueprints.get(asked.blueprint)
        if blueprint is None:
            known = ", ".join(blueprints)
            raise ToolRefusedError(
                "blueprint-unknown", f"there is no blueprint {asked.blueprint!r}.", f"Known are: {known}."
            )
        try:
            explicit = None if asked.explicit is None else frozenset(asked.explicit)
            parameters = blueprint.parameters(asked.parameters, language=asked.language, explicit=explicit)
            files = render(blueprint, parameters, _context(asked, pins))
        except BlueprintFaultError as fault:
            raise ToolRefusedError(
                "parameters-refused", f"{fault}.", "list_blueprints says what each takes."
            ) from fault
        return Rendered(
            files={path: data.decode() for path, data in files.items()},
            parameters=parameters.chosen,
            asks_for=blueprint.asks_for(parameters),
        )

    return (
        Tool(
            name="list_blueprints",
            description="Everything that can be built without writing files by hand: each blueprint with its phases, what it "
            "requires and brings, and its parameters with type, range, default and the values that Security would refuse.",
            arguments=Nothing,
            result=Blueprints,
            call=listing,
        ),
        Tool(
            name="render_blueprint",
            description="The files of one blueprint for given parameter values, ready to be proposed: Terraform in infra/, "
            "manifests in manifests/, Argo CD objects in apps/, the workflow in .github/. Changes nothing.",
            arguments=RenderBlueprint,
            result=Rendered,
            call=rendering,
        ),
    )


def _context(asked: RenderBlueprint, pins: Pins) -> RenderContext:
    return RenderContext(
        change_id=asked.change_id,
        clone_url=asked.clone_url,
        commit=asked.commit,
        server=asked.server,
        base_branch=asked.base_branch,
        rehearsal=asked.rehearsal,
        pins=pins,
    )
