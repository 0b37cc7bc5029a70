"""Blueprint and parameters to files, so that no value can become anything but a value.

Templates are Jinja with `<< >>` for values and `<% %>` for blocks, because HCL and GitHub own the braces. Whatever
`<< >>` prints goes through the file type's literal: a quoted string, a number, true or false. There is no way to
print text unquoted, so a name can never become a key, a block or a shell word.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from pydantic import Field

from knowledge.blueprint import Blueprint
from knowledge.parameter import BlueprintFaultError, Chosen, Parameters
from policies.change import CHANGE_ANNOTATION, ChangeId, CommitSha, Word
from policies.images import parse_image
from policies.pins import ImagePin, Pins, rehearsal_digest

_SERVER = "https://kubernetes.default.svc"


class RenderContext(Word):
    """What a rendering depends on beside its parameters."""

    change_id: ChangeId
    clone_url: str
    pins: Pins
    commit: CommitSha | None = Field(
        default=None, description="what publish produced; GitOps objects name it"
    )
    server: str = Field(default=_SERVER, description="the cluster as Argo CD calls it")
    base_branch: str = "main"
    rehearsal: bool = Field(default=False, description="an image without a pin gets a rehearsal digest")


class Image(Word):
    """An image as the templates need it."""

    reference: str
    version: str
    port: int
    protocol: str
    root: bool
    pinned: bool
    sibling: bool
    writable: tuple[str, ...]


def image_of(name: str, context: RenderContext) -> Image:
    """The image a person named, by its pin where there is one; a tag of its own is left as it was written."""
    image = parse_image(name)
    pin = context.pins.images.get(image.repository)
    digest = image.digest
    if digest is None and pin and image.tag in (None, pin.tag):
        digest = pin.digest
    if digest is None and pin is None and context.rehearsal:
        digest = rehearsal_digest(image.repository, image.tag)
    tag = f":{image.tag}" if image.tag else ""
    facts = pin or ImagePin(tag=image.tag or "latest", digest="sha256:" + "0" * 64, source="nobody pinned it")
    return Image(
        reference=f"{image.repository}@{digest}" if digest else f"{image.repository}{tag}",
        version=image.tag or (pin.tag if pin else "latest"),
        port=facts.port,
        protocol=facts.protocol,
        root=facts.user == 0,
        pinned=pin is not None,
        sibling=facts.unprivileged_sibling is not None,
        writable=facts.writable,
    )


def render(blueprint: Blueprint, parameters: Parameters, context: RenderContext) -> Mapping[str, bytes]:
    """Path in the repository -> bytes, sorted. Raises BlueprintFaultError when a template needs what is not there."""
    names = _names(blueprint, parameters, context)
    files: dict[str, bytes] = {}
    for template in sorted(p for p in blueprint.folder.rglob("*.j2") if p.is_file()):
        relative = template.relative_to(blueprint.folder).as_posix()
        path = _path(relative.removesuffix(".j2"), parameters)
        text = _environment(blueprint.folder.parent, _kind(path)).get_template(
            f"{blueprint.folder.name}/{relative}"
        )
        try:
            files[path] = text.render(names).encode()
        except (TemplateError, TypeError) as fault:
            raise BlueprintFaultError(f"{blueprint.name}/{relative} cannot be rendered: {fault}") from fault
    return {path: data for path, data in sorted(files.items()) if data.strip()}


def _names(blueprint: Blueprint, parameters: Parameters, context: RenderContext) -> dict[str, object]:
    values = parameters.values
    facts = {
        name: p.facts[str(values[name])]
        for name, p in blueprint.accepts.items()
        if p.facts and name in values
    }
    images = {
        name: image_of(str(values[name]), context)
        for name, parameter in blueprint.accepts.items()
        if parameter.type == "image" and name in values
    }
    return {
        **dict.fromkeys(blueprint.accepts, None),
        **values,
        **images,
        "explicit": parameters.explicit,
        "facts": facts,
        "context": context,
        "pins": context.pins,
        "change_annotation": CHANGE_ANNOTATION,
        "uses": functools.partial(_uses, context.pins),
    }


def _uses(pins: Pins, action: str) -> str:
    if action not in pins.actions:
        raise TypeError(f"{action} has no pin")
    return f"{action}@{pins.actions[action].sha}"


def _path(relative: str, parameters: Parameters) -> str:
    """Folders and files named `[parameter]` are called by its value."""
    for chosen in parameters.chosen:
        relative = relative.replace(f"[{chosen.name}]", str(chosen.value))
    if "[" in relative:
        raise BlueprintFaultError(f"{relative} names a parameter that has no value")
    return relative


def _kind(path: str) -> str:
    return "hcl" if path.endswith((".tf", ".hcl", ".tfvars")) else "yaml"


def yaml_literal(value: object) -> str:
    """JSON, which every YAML reader takes as the same value."""
    return json.dumps(_plain(value), ensure_ascii=False)


def hcl_literal(value: object) -> str:
    """An HCL literal: JSON, with the two template openers escaped in strings."""
    return json.dumps(_plain(value), ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")


def _plain(value: object) -> object:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, bool | int | str):
        return value
    raise TypeError(f"{type(value).__name__} is nothing that a template may print")


_LITERALS: Mapping[str, Callable[[object], str]] = {"yaml": yaml_literal, "hcl": hcl_literal}


@functools.cache
def _environment(folder: Path, kind: str) -> Environment:
    return Environment(  # noqa: S701 - `finalize` quotes everything for YAML and HCL; HTML escaping would corrupt both
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        finalize=_LITERALS[kind],
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
        line_comment_prefix=None,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def replaced(
    parameters: Parameters, name: str, value: object, blueprint: Blueprint, reason: str
) -> Parameters:
    """The parameters with one value changed, as a ParameterChange asks. Raises BlueprintFaultError."""
    if name not in blueprint.accepts:
        raise BlueprintFaultError(f"{blueprint.name} has no parameter {name}")
    checked = blueprint.accepts[name].check(f"{blueprint.name}.{name}", value)
    changed = Chosen(name=name, value=checked, reason=reason, explicit=name in parameters.explicit)
    kept = tuple(changed if chosen.name == name else chosen for chosen in parameters.chosen)
    return Parameters(chosen=kept if name in parameters.values else (*kept, changed))
