"""Our table of fields against the vendor's models: both accept and refuse the same objects."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from kubernetes.client import models
from pydantic import BaseModel, ValidationError

from tests.fakes.served_cluster import deployment
from tools.sandbox.cluster import schema
from tools.sandbox.cluster.kinds import KINDS, Kind
from tools.sandbox.cluster.validate import mistyped

_PREFIX = {"discovery.k8s.io/v1": "V1", "autoscaling/v2": "V2"}
_NAMES = {"Event": "CoreV1Event"}
STORED = [kind for kind in KINDS if "watch" in kind.verbs and kind.group != "argoproj.io"]


def model_of(kind: Kind) -> type[BaseModel]:
    found: type[BaseModel] = getattr(
        models, _NAMES.get(kind.kind, _PREFIX.get(kind.api_version, "V1") + kind.kind)
    )
    return found


def wire_names(model: type[BaseModel]) -> set[str]:
    """The JSON names of a model's fields."""
    return {field.serialization_alias or field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize("kind", STORED, ids=lambda kind: kind.kind)
def test_every_kind_has_the_vendors_fields(kind: Kind) -> None:
    ours = {
        name
        for name in schema.fields(schema.root(kind.api_version, kind.kind).type)
        if not name.startswith("/")
    }
    assert ours
    assert {name.lower().replace("_", "") for name in ours} <= {
        name.lower().replace("_", "") for name in wire_names(model_of(kind))
    }


MAIN = ("spec", "template", "spec", "containers", 0)
WRONG: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "a text for a number": (("spec", "replicas"), "3"),
    "a number for a text": ((*MAIN, "image"), 7),
    "a map for a list": (("spec", "template", "spec", "containers"), {"name": "x"}),
    "a list for a map": (("spec", "selector"), []),
    "a text for a boolean": ((*MAIN, "tty"), "yes"),
}


@pytest.mark.parametrize("what", WRONG)
def test_both_refuse_a_wrong_type(what: str) -> None:
    path, value = WRONG[what]
    manifest = copy.deepcopy(deployment())
    place: Any = manifest
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ValidationError):
        models.V1Deployment.model_validate(manifest)
    assert list(mistyped(manifest, schema.root("apps/v1", "Deployment")))


def test_both_accept_a_valid_one() -> None:
    models.V1Deployment.model_validate(deployment())
    assert not list(mistyped(deployment(), schema.root("apps/v1", "Deployment")))
