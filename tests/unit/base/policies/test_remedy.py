from __future__ import annotations

import pytest

from policies.finding import HclEdit, ManifestPatch, ParameterChange, SetValue, TextEdit
from policies.remedy import RemedyError, apply

YAML = b"""# a comment
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  ports:
    - port: 80
      name: "yes"
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: web
data: {}
"""
HCL = b"""resource "aws_s3_bucket" "logs" {
  bucket = "x" # kept
  tags   = { a = 1 }

  versioning {
    enabled = false
  }
}

provider "aws" {}
"""


def patch(*edits: SetValue, kind: str = "Service", name: str = "web", path: str = "a.yaml") -> ManifestPatch:
    return ManifestPatch(path=path, object_kind=kind, object_name=name, edits=edits)


def hcl(**fields: object) -> HclEdit:
    return HclEdit.model_validate(
        {"path": "main.tf", "block": ("resource", "aws_s3_bucket", "logs"), **fields}
    )


def test_a_patch_keeps_the_order_of_keys_and_the_other_objects() -> None:
    files = apply(
        [
            patch(
                SetValue(pointer="/spec/ports/0/port", value=8080),
                SetValue(pointer="/spec/new/deep", value=[1]),
            )
        ],
        {"a.yaml": YAML},
    )
    assert files["a.yaml"] == (
        b'apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ports:\n    - port: 8080\n      name: "yes"\n  new:\n    deep:\n      - 1\n'
        b"---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\ndata: {}\n"
    )  # fmt: skip


def test_a_patch_that_changes_nothing_leaves_every_byte() -> None:
    assert (
        apply([patch(SetValue(pointer="/spec/ports/0/port", value=80))], {"a.yaml": YAML})["a.yaml"] == YAML
    )
    assert (
        apply([patch(SetValue(pointer="/spec/none/deeper", remove=True))], {"a.yaml": YAML})["a.yaml"] == YAML
    )


def test_pointers_are_rfc_6901() -> None:
    files = apply([patch(SetValue(pointer="/metadata/labels/a~1b~0c", value="d"))], {"a.yaml": YAML})
    assert b"labels:\n    a/b~c: d\n" in files["a.yaml"]


HCL_EDITS = [
    (hcl(attribute="bucket", expression='"y"'), b'bucket = "y" # kept'),
    (hcl(attribute="force_destroy", expression="false"), b"\n  force_destroy = false\n}\n\nprovider"),
    (
        hcl(
            attribute="enabled", expression="true", block=("resource", "aws_s3_bucket", "logs", "versioning")
        ),
        b"    enabled = true\n  }\n}",
    ),
    (
        hcl(append="lifecycle {\n  prevent_destroy = true\n}"),
        b"\n  lifecycle {\n    prevent_destroy = true\n  }\n}\n\nprovider",
    ),
    (
        hcl(block=(), append='resource "aws_kms_key" "k" {\n}'),
        b'provider "aws" {}\n\nresource "aws_kms_key" "k" {\n}\n',
    ),
    (
        hcl(block=("provider", "aws"), attribute="region", expression='"eu-west-1"'),
        b'provider "aws" {\n  region = "eu-west-1"\n}\n',
    ),
]


@pytest.mark.parametrize(("edit", "expected"), HCL_EDITS)
def test_hcl_edits_leave_the_rest_alone_and_apply_once(edit: HclEdit, expected: bytes) -> None:
    once = apply([edit], {"main.tf": HCL})
    assert expected in once["main.tf"]
    assert apply([edit], once) == once


def test_an_hcl_attribute_is_removed_with_its_line() -> None:
    once = apply([hcl(attribute="tags", expression=None)], {"main.tf": HCL})
    assert once["main.tf"] == HCL.replace(b"  tags   = { a = 1 }\n", b"")
    assert apply([hcl(attribute="tags", expression=None)], once) == once


REFUSED = [
    (ParameterChange(parameter="image", value="x"), "rendering the blueprint again"),
    (patch(SetValue(pointer="/a", value=1), path="other.yaml"), "not among the files"),
    (patch(SetValue(pointer="/a", value=1), name="other"), "0 objects Service/other"),
    (patch(SetValue(pointer="/spec/ports/7/port", value=1)), "nothing at /spec/ports/7/port"),
    (patch(SetValue(pointer="/kind/x", value=1)), "a plain value at /kind"),
    (patch(SetValue(pointer="/spec/ports/0", remove=True)), "cannot|can be set"),
    (patch(SetValue(pointer="", value=1)), "the whole object"),
    (hcl(block=("resource", "aws_s3_bucket", "other"), attribute="a", expression="1"), "0 blocks"),
    (hcl(block=("resource", "aws_s3_bucket", "logs", "nothing"), attribute="a", expression="1"), "0 blocks nothing"),
    (hcl(attribute="versioning", expression="true"), "a block versioning"),
    (hcl(attribute="bucket", expression='"x" }'), "cannot be read"),
    (hcl(block=()), "neither a block nor text"),
    (TextEdit(path="a.yaml", old="apiVersion", new="x"), "occurs 2 times"),
    (TextEdit(path="a.yaml", old="nowhere", new="x-nowhere-y"), "occurs 0 times"),
    (TextEdit(path="a.yaml", old="nowhere", new=""), "occurs 0 times"),
]  # fmt: skip


@pytest.mark.parametrize(("remediation", "reason"), REFUSED)
def test_an_edit_without_its_target_says_why(remediation: object, reason: str) -> None:
    with pytest.raises(RemedyError, match=reason):
        apply([remediation], {"a.yaml": YAML, "main.tf": HCL})  # type: ignore[list-item]


def test_a_file_that_cannot_be_read_is_not_edited() -> None:
    with pytest.raises(RemedyError, match="cannot be read"):
        apply([patch(SetValue(pointer="/a", value=1))], {"a.yaml": b"a: &x 1\n"})


def test_text_edits_apply_once() -> None:
    edit = TextEdit(path="a.txt", old="uses: a\n", new="uses: a\nuses: b\n")
    once = apply([edit], {"a.txt": b"x\nuses: a\n"})
    assert once["a.txt"] == b"x\nuses: a\nuses: b\n"
    assert apply([edit], once) == once


def test_the_given_files_are_not_changed() -> None:
    files = {"a.yaml": YAML}
    apply([patch(SetValue(pointer="/spec/a", value=1))], files)
    assert files == {"a.yaml": YAML}
