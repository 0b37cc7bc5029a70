"""The shipped rulesets are what GitHub's own description says that one may post, and they name one actor alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.base.github.conftest import Description, Exchange

FOLDER = Path(__file__).resolve().parents[4] / "deploy/github"
FILES = sorted(FOLDER.glob("ruleset*.json"))


def posted(body: bytes) -> Exchange:
    return Exchange("POST", "/repos/acme/platform/rulesets", "", body, 201, "application/json", b"{}")


def faults(description: Description, body: dict[str, Any]) -> list[str]:
    return [f for f in description.faults(posted(json.dumps(body).encode())) if f.startswith("request")]


@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_a_ruleset_is_what_github_takes(description: Description, file: Path) -> None:
    body = json.loads(file.read_text())
    assert faults(description, body) == []
    assert faults(description, {**body, "enforcement": "sometimes"})
    assert faults(description, {**body, "rules": [{"type": "update", "parameters": {}}]})


@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_only_the_gate_writes_and_nothing_is_only_watched(file: Path) -> None:
    body = json.loads(file.read_text())
    assert body["enforcement"] == "active"
    assert [actor["actor_type"] for actor in body["bypass_actors"]] == ["Integration"]
    assert {"creation", "update", "deletion", "non_fast_forward"} <= {rule["type"] for rule in body["rules"]}
    assert not any(
        rule["parameters"]["update_allows_fetch_and_merge"]
        for rule in body["rules"]
        if rule["type"] == "update"
    )


def test_the_base_branch_asks_everybody_else_for_a_review() -> None:
    body = json.loads((FOLDER / "ruleset.json").read_text())
    (review,) = [rule["parameters"] for rule in body["rules"] if rule["type"] == "pull_request"]
    assert review["required_approving_review_count"] >= 1
    assert review["dismiss_stale_reviews_on_push"]
    assert review["require_last_push_approval"]
