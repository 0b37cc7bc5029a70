"""DevOps revises by what the findings carry: patches are replayed on a new rendering, a wish of the person is not touched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from crew.agents.devops import DevOps
from crew.agents.persona import seat
from crew.goal import Draft, Drafting, Goal, GrantState, Objection, PhasePlan, PhaseReceipt, Receipts, Step
from crew.hands import Hands
from crew.offline import OfflineModel
from crew.rendering import Renderer
from knowledge import pins
from knowledge.blueprint import BlueprintFaultError, load_all
from policies import profile as profiles
from policies.change import Phase, digest_of
from policies.finding import ManifestPatch, ParameterChange, Remediation, SetValue
from tests.fakes.crew_servers import SANDBOX, FakeServers
from tools.tool import Role

GOAL = Goal(text="deploy nginx", language="en")
DEPLOYMENT = "manifests/nginx/deployment.yaml"
BLUEPRINTS = load_all()
PROFILE = profiles.load(SANDBOX)
RENDERER = Renderer(BLUEPRINTS, pins.load(pins.PINS), rehearsal_pins=True)


def web(explicit: tuple[str, ...] = (), asks_for: tuple[str, ...] = (), **given: Any) -> Step:
    plan = RENDERER.plan(
        (
            Step(
                blueprint="web-app",
                parameters={"image": "nginx", "namespace": "web", **given},
                explicit=explicit,
            ),
        ),
        "en",
        "",
    )
    return plan.steps[0].model_copy(update={"asks_for": asks_for}) if asks_for else plan.steps[0]


def devops(tmp_path: Path) -> DevOps:
    hands = Hands(Role.DEVOPS, FakeServers(tmp_path / "s.json"), "gate:devops", None, {})
    model = OfflineModel(model="offline", blueprints=BLUEPRINTS)
    return DevOps(
        seat(hands, model, PROFILE), hands, RENDERER, PROFILE, lambda: datetime(2026, 11, 23, tzinfo=UTC)
    )


def drafting(
    step: Step, phase: Phase = Phase.PUBLISH, receipts: Receipts | None = None, *more: Step
) -> Drafting:
    return Drafting(
        goal=GOAL,
        phase=PhasePlan(phase=phase, steps=(step, *more)),
        phases=(phase,),
        receipts=receipts or Receipts(),
    )


def objection(name: str, *remediations: Remediation, rule: str = "a/rule") -> Objection:
    return Objection(id=name, rule=rule, where="x", why="y", remediations=remediations)


def patch(pointer: str, value: Any) -> ManifestPatch:
    return ManifestPatch(
        path=DEPLOYMENT,
        object_kind="Deployment",
        object_name="nginx",
        edits=(SetValue(pointer=pointer, value=value),),
    )


def deployment(draft: Draft) -> dict[str, Any]:
    return yaml.safe_load(draft.content[DEPLOYMENT])


def test_a_draft_holds_the_rendering_under_the_gates_own_words(tmp_path: Path) -> None:
    first = devops(tmp_path).draft(drafting(web()))
    change = first.change
    assert {a.path: a.digest for a in change.artifacts} == {
        p: digest_of(t.encode()) for p, t in first.content.items()
    }
    assert change.destination == first.opened.destination
    push, pull, ask = change.grants
    assert push.arguments["branch"] == pull.arguments["head"] == f"countersign/{change.change_id}"
    assert push.arguments["date"] == "2026-11-23T00:00:00Z"
    assert str(push.arguments["message"]).endswith(f"\n\nCountersign-Change: {change.change_id}\n")
    assert [f["path"] for f in push.arguments["files"]] == [a.path for a in change.artifacts]  # type: ignore[union-attr, index, call-overload]
    assert ask.arguments["reviewers"] == list(PROFILE.reviewers)


def test_a_parameter_is_rendered_again_and_earlier_patches_are_replayed(tmp_path: Path) -> None:
    mine = devops(tmp_path)
    asked = drafting(web())
    table = mine.at_table(asked)
    first = mine.draft(asked)
    second, said = table.revise(first, (objection("1", patch("/spec/revisionHistoryLimit", 2)),), 2)
    assert said.accepted == ("1",)
    change = ParameterChange(blueprint="web-app", parameter="replicas", value=5)
    third, _ = table.revise(second, (objection("2", change),), 3)
    assert deployment(third)["spec"]["replicas"] == 5
    assert deployment(third)["spec"]["revisionHistoryLimit"] == 2
    assert third.change.change_id == first.change.change_id
    assert third.change.sha256() != second.change.sha256() != first.change.sha256()


def test_what_the_person_asked_for_is_declined_whatever_the_remediation(tmp_path: Path) -> None:
    mine = devops(tmp_path)
    asked = drafting(web(asks_for=("a/rule",)))
    first = mine.draft(asked)
    second, said = mine.at_table(asked).revise(first, (objection("1", patch("/spec/paused", True)),), 2)
    assert second == first
    assert [d.rule for d in said.declined] == ["a/rule"]
    assert said.accepted == ()


@pytest.mark.parametrize(
    "remedy",
    [
        ManifestPatch(
            path="manifests/none.yaml", object_kind="X", object_name="y", edits=(SetValue(pointer="/a"),)
        ),
        ParameterChange(blueprint="web-app", parameter="replicas", value="many"),
    ],
)
def test_a_remediation_that_does_not_fit_changes_nothing_and_is_said(
    tmp_path: Path, remedy: Remediation
) -> None:
    mine = devops(tmp_path)
    asked = drafting(web())
    first = mine.draft(asked)
    second, said = mine.at_table(asked).revise(first, (objection("1", remedy),), 2)
    assert second == first
    assert said.note


def published(mine: DevOps, *steps: Step) -> Receipts:
    first = mine.draft(drafting(steps[0], Phase.PUBLISH, None, *steps[1:]))
    pushed = GrantState(
        seq=1,
        server="github",
        verb="push_commit",
        destination="x",
        state="done",
        receipt={"commit": "c" * 40},
    )
    return Receipts() + PhaseReceipt(
        phase=Phase.PUBLISH,
        change_id=first.change.change_id,
        signoff=digest_of(b""),
        grants=(pushed,),
        tree=first.content,
    )


def test_a_patch_of_an_object_stays_canonical_json(tmp_path: Path) -> None:
    mine = devops(tmp_path)
    asked = drafting(web(), Phase.DEPLOY, published(mine, web()))
    first = mine.draft(asked)
    path = "objects/deployment-nginx.json"
    edit = ManifestPatch(
        path=path,
        object_kind="Deployment",
        object_name="nginx",
        edits=(SetValue(pointer="/spec/paused", value=True),),
    )
    second, _ = mine.at_table(asked).revise(first, (objection("1", edit),), 2)
    assert json.loads(second.content[path])["spec"]["paused"] is True
    assert "\n" not in second.content[path]


def test_deploy_applies_each_object_to_its_own_namespace_in_order(tmp_path: Path) -> None:
    mine = devops(tmp_path)
    change = mine.draft(drafting(web(), Phase.DEPLOY, published(mine, web()))).change
    assert change.destination.cluster is not None
    assert change.destination.cluster.namespaces == ("web",)
    assert [g.effect_key for g in change.grants] == [
        "v1 Namespace web", "v1 ServiceAccount web/nginx", "networking.k8s.io/v1 NetworkPolicy web/nginx", "v1 Service web/nginx",
        "apps/v1 Deployment web/nginx", "policy/v1 PodDisruptionBudget web/nginx", "autoscaling/v2 HorizontalPodAutoscaler web/nginx",
    ]  # fmt: skip
    assert [g.arguments["namespace"] for g in change.grants] == [None, *["web"] * 6]


def test_gitops_applies_project_and_application_then_syncs_the_published_commit(tmp_path: Path) -> None:
    mine = devops(tmp_path)
    steps = RENDERER.plan((web(), Step(blueprint="argocd-application")), "en", "").steps
    change = mine.draft(drafting(steps[0], Phase.DEPLOY, published(mine, *steps), *steps[1:])).change
    assert [g.effect_key for g in change.grants] == [
        "argoproj.io/v1alpha1 AppProject argocd/nginx", "argoproj.io/v1alpha1 Application argocd/nginx", f"sync of argocd/nginx at {'c' * 40}",
    ]  # fmt: skip
    assert change.destination.cluster is not None
    assert change.destination.cluster.namespaces == ("argocd", "web")


def test_what_the_base_has_is_modified_not_added(tmp_path: Path) -> None:
    class Has(FakeServers):
        def _list_repository_files(self, _: Any) -> Mapping[str, Any]:
            return {"paths": [DEPLOYMENT]}

    mine = devops(tmp_path)
    hands = Hands(Role.DEVOPS, Has(tmp_path / "h.json"), "gate:devops", None, {})
    first = DevOps(mine.agent, hands, mine.renderer, mine.profile, mine.clock).draft(drafting(web()))
    operations = {a.path: a.operation.value for a in first.change.artifacts}
    assert operations.pop(DEPLOYMENT) == "modify"
    assert set(operations.values()) == {"add"}


@pytest.mark.parametrize(
    "steps",
    [
        (Step(blueprint="nothing"),),
        (Step(blueprint="web-app", parameters={"replicas": "x"}),),
        (web(), web()),
    ],
)
def test_a_plan_of_what_does_not_exist_is_refused(steps: tuple[Step, ...]) -> None:
    with pytest.raises(BlueprintFaultError):
        RENDERER.plan(steps, "en", "")


def test_the_rules_that_a_wish_breaks_are_ours_to_say_not_the_models() -> None:
    claimed = Step(blueprint="s3-bucket", parameters={"public": True}, explicit=("public",), asks_for=())
    innocent = Step(
        blueprint="s3-bucket",
        parameters={"public": False},
        explicit=("public",),
        asks_for=("terraform/s3-encryption",),
    )
    assert RENDERER.plan((claimed,), "en", "").steps[0].asks_for == (
        "terraform/s3-public-policy",
        "terraform/s3-public-access-block",
    )
    assert RENDERER.plan((innocent,), "en", "").steps[0].asks_for == ()
