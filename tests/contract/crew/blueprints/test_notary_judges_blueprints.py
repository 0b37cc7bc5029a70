"""Every pair of safe values, judged by all the engines that the notary has: own rules, Kubernetes models, Rego, checkov.

Rendering needs the crew's environment and judging the trusted one, so the trees go from one to the other.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from knowledge.blueprint import complete, load_all
from knowledge.parameter import Value
from knowledge.pins import PINS
from knowledge.pins import load as load_pins
from knowledge.rendering import RenderContext, render, replaced
from policies import remedy
from policies.finding import Finding, ParameterChange
from tests.fakes.pairwise import cases

ROOT = Path(__file__).resolve().parents[4]
PYTHON = ROOT / ".venv/bin/python"
BLUEPRINTS = load_all()
CONTEXT = RenderContext(
    change_id="cs-0123456789abcdef",
    clone_url="https://github.example/acme/platform.git",
    commit="ab" * 20,
    pins=load_pins(PINS),
    rehearsal=True,
)
ROUNDS = 4
pytestmark = [
    pytest.mark.skipif(not PYTHON.exists(), reason="the trusted environment is not set up"),
    pytest.mark.skipif(
        not (ROOT / ".venv-scanner").is_dir(), reason="the scanner's environment is not set up"
    ),
]
Tree = Mapping[str, bytes]


def _judged(trees: list[Tree]) -> list[dict[str, Any]]:
    asked = {
        "clone_url": CONTEXT.clone_url,
        "commit": CONTEXT.commit,
        "trees": [{path: data.decode() for path, data in tree.items()} for tree in trees],
    }
    script = Path(__file__).with_name("notary_engines.py")
    ran = subprocess.run(
        [PYTHON, script], input=json.dumps(asked), capture_output=True, text=True, check=False, timeout=300
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return list(json.loads(ran.stdout))


def _findings(answer: Mapping[str, Any]) -> list[Finding]:
    return [Finding.model_validate(value) for value in answer["blocking"]]


def _negotiated(given: list[tuple[str, Mapping[str, Value]]]) -> list[tuple[Tree, list[Finding]]]:
    """Each case after at most four rounds of the findings' own remediations, and what still blocks."""
    parameters = [BLUEPRINTS[name].safe(BLUEPRINTS[name].parameters(values)) for name, values in given]
    trees: list[Tree] = [
        render(BLUEPRINTS[n], p, CONTEXT) for (n, _), p in zip(given, parameters, strict=True)
    ]
    blocking = [_findings(answer) for answer in _judged(trees)]
    for _ in range(ROUNDS):
        if not any(blocking):
            break
        for index, findings in enumerate(blocking):
            name = given[index][0]
            fixes = [fix for finding in findings for fix in finding.remediations]
            changes = [fix for fix in fixes if isinstance(fix, ParameterChange)]
            for change in changes:
                parameters[index] = replaced(
                    parameters[index], change.parameter, change.value, BLUEPRINTS[name], "asked"
                )
            if changes:
                trees[index] = render(BLUEPRINTS[name], parameters[index], CONTEXT)
            trees[index] = remedy.apply(
                (fix for fix in fixes if not isinstance(fix, ParameterChange)), trees[index]
            )
        blocking = [_findings(answer) for answer in _judged(trees)]
    return list(zip(trees, blocking, strict=True))


@cache
def _everything() -> tuple[tuple[str, Mapping[str, Value]], ...]:
    return tuple((name, case) for name, blueprint in BLUEPRINTS.items() for case in cases(blueprint, most=2))


def test_every_engine_of_the_notary_looked() -> None:
    parameters = complete(BLUEPRINTS, {"web-app": {}, "terraform-workflow": {}})
    tree = {
        p: d
        for name, chosen in parameters.items()
        for p, d in render(BLUEPRINTS[name], chosen, CONTEXT).items()
    }
    (answer,) = _judged([tree])
    assert {engine.partition("@")[0] for engine in answer["engines"]} >= {
        "countersign",
        "kubernetes-models",
        "checkov",
    }


def test_what_is_safe_is_clean_after_at_most_four_rounds() -> None:
    left = [
        (given, [finding.rule for finding in blocking])
        for given, (_, blocking) in zip(_everything(), _negotiated(list(_everything())), strict=True)
        if blocking
    ]
    assert left == []
