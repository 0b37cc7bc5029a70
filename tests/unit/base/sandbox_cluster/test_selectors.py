"""Label and field selectors."""

from __future__ import annotations

import pytest

from tools.sandbox.cluster.errors import ApiError
from tools.sandbox.cluster.selectors import by_fields, by_labels, matches

POD = {"metadata": {"name": "a", "labels": {"app": "web", "tier": "front"}}, "status": {"phase": "Running"}}
LABELS = {
    "": True,
    "app=web": True,
    "app==web": True,
    "app=db": False,
    "app!=db": True,
    "zone!=a": True,
    "app": True,
    "zone": False,
    "!zone": True,
    "!app": False,
    "app in (web,db)": True,
    "app in (db)": False,
    "app notin (db)": True,
    "app=web,tier in (front, back),!zone": True,
    "app=web,tier=back": False,
}


@pytest.mark.parametrize(("text", "expected"), LABELS.items())
def test_labels(text: str, expected: bool) -> None:
    assert by_labels(text)(POD) is expected


@pytest.mark.parametrize("text", ["app in web", "a b", "=x"])
def test_what_is_no_label_selector_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        by_labels(text)
    assert refused.value.code == 400


FIELDS = {
    "": True,
    "metadata.name=a": True,
    "metadata.name!=a": False,
    "status.phase=Running,metadata.name=a": True,
    "spec.nodeName=": True,
    "spec.nodeName=x": False,
}


@pytest.mark.parametrize(("text", "expected"), FIELDS.items())
def test_fields(text: str, expected: bool) -> None:
    assert by_fields(text)(POD) is expected


def test_what_is_no_field_selector_is_refused() -> None:
    with pytest.raises(ApiError, match="invalid field selector"):
        by_fields("name")


EXPRESSIONS = {
    "In": ([{"key": "app", "operator": "In", "values": ["web"]}], True),
    "NotIn": ([{"key": "app", "operator": "NotIn", "values": ["web"]}], False),
    "Exists": ([{"key": "app", "operator": "Exists"}], True),
    "DoesNotExist": ([{"key": "app", "operator": "DoesNotExist"}], False),
    "an unknown operator": ([{"key": "app", "operator": "Like", "values": ["web"]}], False),
}


@pytest.mark.parametrize("what", EXPRESSIONS)
def test_expressions(what: str) -> None:
    expressions, expected = EXPRESSIONS[what]
    assert matches({"matchExpressions": expressions}, {"app": "web"}) is expected


def test_an_empty_selector_takes_all_and_none_takes_nothing() -> None:
    assert matches({}, {"app": "web"})
    assert not matches(None, {"app": "web"})
