"""Make `fields.json`: the shape of every kind that the rehearsal cluster stores, from the vendors' own descriptions.

    python -m tools.sandbox.cluster.extract SWAGGER PROTO_ROOT CRD_FOLDER > tools/sandbox/cluster/fields.json

SWAGGER is `api/openapi-spec/swagger.json` of the Go module k8s.io/kubernetes, PROTO_ROOT the folder above
`k8s.io/api@VERSION` and `k8s.io/apimachinery@VERSION` (their `generated.proto`), CRD_FOLDER `manifests/crds` of Argo CD.
The result has {"kinds": {"apps/v1/Deployment": TYPE}, "types": {TYPE: {FIELD: shape}}}; a shape is described in schema.py.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from tools.sandbox.cluster.kinds import KINDS

EXTRA_KINDS = (
    ("authorization.k8s.io", "v1", "SelfSubjectAccessReview"),
    ("authorization.k8s.io", "v1", "SubjectAccessReview"),
    ("authorization.k8s.io", "v1", "SelfSubjectRulesReview"),
    ("authentication.k8s.io", "v1", "SelfSubjectReview"),
    ("autoscaling", "v1", "Scale"),
    ("policy", "v1", "Eviction"),
    ("meta.k8s.io", "v1", "DeleteOptions"),
)
SPECIAL = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "microtime",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "any",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "any",
}
Json = dict[str, Any]


def short(name: str) -> str:
    """`io.k8s.api.core.v1.Pod` -> `core.v1.Pod`."""
    return name.removeprefix("io.k8s.").removeprefix("api.").removeprefix("apimachinery.pkg.apis.")


class Extraction:
    """Collects the types that the wanted kinds reach."""

    def __init__(self, definitions: Json) -> None:
        self.definitions = definitions
        self.types: dict[str, Json] = {}

    def builtin(self, name: str) -> str:
        """Add a definition and all that it reaches; its short name."""
        if short(name) not in self.types:
            definition = self.definitions[name]
            fields = self.types[short(name)] = {}
            required = definition.get("required", ())
            for field, description in sorted(definition.get("properties", {}).items()):
                fields[field] = self.shape(description) | ({"required": True} if field in required else {})
        return short(name)

    def shape(self, node: Json) -> Json:
        """A field's shape."""
        extra = {}
        if "x-kubernetes-patch-strategy" in node:
            extra["patch"] = node["x-kubernetes-patch-strategy"]
        if "x-kubernetes-patch-merge-key" in node:
            extra["mergeKey"] = node["x-kubernetes-patch-merge-key"]
        if node.get("default") not in (None, "", {}):
            extra["default"] = node["default"]
        if "$ref" in node or "allOf" in node:
            name = (node.get("$ref") or node["allOf"][0]["$ref"]).removeprefix("#/definitions/")
            if name in SPECIAL:
                return {"scalar": SPECIAL[name]} | extra
            atomic = self.definitions[name].get("x-kubernetes-map-type") == "atomic"
            if "properties" not in self.definitions[name]:
                return {"scalar": "any"} | extra
            return {"type": self.builtin(name)} | ({"atomic": True} if atomic else {}) | extra
        return self._inline(node) | extra

    def _inline(self, node: Json) -> Json:
        kind = node.get("type")
        if node.get("x-kubernetes-int-or-string"):
            return {"scalar": "int-or-string"}
        if kind == "array":
            shape: Json = {"list": self.shape(node["items"])}
            if node.get("x-kubernetes-list-type") == "map":
                shape["keys"] = node["x-kubernetes-list-map-keys"]
            elif node.get("x-kubernetes-list-type") == "set":
                shape["set"] = True
            return shape
        if kind == "object" and "properties" in node:
            return {"type": self._anonymous(node)} | self._mapping(node)
        if kind == "object" and isinstance(node.get("additionalProperties"), dict):
            return {"map": self.shape(node["additionalProperties"])} | self._mapping(node)
        scalars = {"byte": "bytes", "date-time": "time", "int32": "int32", "int64": "int64"}
        if kind in {"string", "integer", "number", "boolean"}:
            shape = {"scalar": scalars.get(node.get("format", ""), kind)}
            return shape | ({"enum": node["enum"]} if "enum" in node else {})
        return {"scalar": "any"}

    @staticmethod
    def _mapping(node: Json) -> Json:
        return {"atomic": True} if node.get("x-kubernetes-map-type") == "atomic" else {}

    def _anonymous(self, node: Json) -> str:
        """A type for an inline object, named by its content so that equal ones are stored once."""
        required = node.get("required", ())
        fields = {
            field: self.shape(description) | ({"required": True} if field in required else {})
            for field, description in sorted(node["properties"].items())
        }
        name = "crd." + hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:10]
        self.types[name] = fields
        return name

    def custom(self, crd: Json) -> dict[str, str]:
        """`group/version/Kind` -> type for every served version of a CustomResourceDefinition."""
        spec = crd["spec"]
        meta = self.builtin("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
        found = {}
        for version in spec["versions"]:
            name = f"{spec['group'].split('.')[0]}.{version['name']}.{spec['names']['kind']}"
            anonymous = self._anonymous(version["schema"]["openAPIV3Schema"])
            self.types[name] = self.types.pop(anonymous) | {"metadata": {"type": meta}}
            found[f"{spec['group']}/{version['name']}/{spec['names']['kind']}"] = name
        return found


MESSAGE = re.compile(r"^message (\w+) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^  (optional|repeated|map<\w+, ?([.\w]+)>) ?([.\w]+)? (\w+) = (\d+);", re.MULTILINE)


def numbers(root: Path, types: dict[str, Json]) -> None:
    """Add to each field its number in protobuf; `"/name"` marks a message that JSON inlines."""
    for proto in sorted(
        [
            *root.glob("api@*/*/*/generated.proto"),
            *root.glob("apimachinery@*/pkg/apis/meta/v1/generated.proto"),
        ]
    ):
        package = ".".join(proto.parts[-3:-1])
        for message, body in MESSAGE.findall(proto.read_text()):
            fields = types.get(f"{package}.{message}")
            if fields is None:
                continue
            for _how, _value, reference, name, number in FIELD.findall(body):
                if name in fields:
                    fields[name]["number"] = int(number)
                else:
                    inlined = f"{package}.{reference.rsplit('.', 1)[-1]}"
                    fields["/" + name] = {"number": int(number), "inlined": inlined}


def inlined_numbers(root: Path, types: dict[str, Json]) -> None:
    """Add the messages that JSON inlines, as types of their own with numbers only."""
    wanted = {
        shape["inlined"] for fields in types.values() for shape in fields.values() if "inlined" in shape
    }
    owners = {
        shape["inlined"]: fields
        for fields in types.values()
        for shape in fields.values()
        if "inlined" in shape
    }
    known = wanted - set(types)
    for name in sorted(known):
        types[name] = {
            field: dict(shape) for field, shape in owners[name].items() if not field.startswith("/")
        }
        for shape in types[name].values():
            shape.pop("number", None)
            shape.pop("required", None)
    numbers(root, {name: types[name] for name in known})
    for name in known:
        types[name] = {field: shape for field, shape in types[name].items() if "number" in shape}


def main(swagger: str, proto_root: str, crd_folder: str) -> None:
    """Print fields.json."""
    definitions = json.loads(Path(swagger).read_text())["definitions"]
    by_kind = {
        f"{gvk['group']}/{gvk['version']}/{gvk['kind']}".removeprefix("/"): name
        for name, definition in definitions.items()
        for gvk in definition.get("x-kubernetes-group-version-kind", ())
    }
    extraction = Extraction(definitions)
    wanted = [
        (kind.group, kind.version, kind.kind)
        for kind in KINDS
        if "." not in kind.group or "k8s.io" in kind.group
    ]
    kinds = {}
    for group, version, kind in [*wanted, *EXTRA_KINDS]:
        key = f"{group}/{version}/{kind}".removeprefix("/")
        if key in by_kind:
            kinds[key] = extraction.builtin(by_kind[key])
    kinds["meta.k8s.io/v1/DeleteOptions"] = extraction.builtin(
        "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
    )
    numbers(Path(proto_root), extraction.types)
    inlined_numbers(Path(proto_root), extraction.types)
    for name in ("application", "appproject"):
        kinds |= extraction.custom(yaml.safe_load((Path(crd_folder) / f"{name}-crd.yaml").read_text()))
    reached = {"kinds": dict(sorted(kinds.items())), "types": dict(sorted(extraction.types.items()))}
    json.dump(reached, sys.stdout, separators=(",", ":"), sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:4])
