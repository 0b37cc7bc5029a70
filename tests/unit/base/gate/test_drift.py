"""Later comparison of what was done with what stands there: what drifted is named and an alarm; what was replaced is not asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from policies.change import Phase, canonical, digest_of
from tests.fakes.gate import FILES, World
from tests.fakes.targets import lost
from tools.gate.drift import Drift
from tools.gate.words import DriftAsked, DriftReport
from tools.verbs import ConflictError, UnreachableError


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A run that has published and released its files, which now stand at the base."""
    world = World(tmp_path / "gate")
    released(world)
    return world


def released(world: World, files: dict[str, bytes] = FILES) -> None:
    change = world.publish(world.open(), files)
    signed = world.desk.deposit(world.sign(change, files))
    for seq in (1, 2, 3):
        assert world.submit(signed.signoff, seq).state == "done"
    commit, opened = world.repository.pushed(), world.open(Phase.RELEASE)
    moved = {"branch": "main", "from": opened.destination.repository.base_commit, "to": commit}
    change = world.change(opened, {}, [("github", "advance_base", moved, ("previous_done",))])
    assert world.submit(world.desk.deposit(world.sign(change, {})).signoff, 1).state == "done"
    world.repository.head = commit
    world.repository.standing |= files


def deployed(world: World, replicas: int = 3) -> None:
    opened = world.open(Phase.DEPLOY, namespaces=("web",))
    body = {
        "apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": replicas},
        "metadata": {"name": "nginx", "namespace": "web", "annotations": {"countersign/change": opened.change_id}},
    }  # fmt: skip
    files = {"o.json": canonical(body)}
    call = {"object": {"$artifact": "o.json"}, "namespace": "web"}
    change = world.change(opened, files, [("kubernetes", "apply", call, ("previous_done",))])
    grant = change.grants[0].model_copy(update={"effect_key": "apps/v1 Deployment web/nginx"})
    change = change.model_copy(update={"grants": (grant,)})
    world.cluster.all["kubernetes.apply"].effects.clear()
    assert world.submit(world.desk.deposit(world.sign(change, files)).signoff, 1).state == "done"


def drift(world: World, run_id: str | None = None) -> DriftReport:
    return Drift(world.room).compare(DriftAsked(run_id=run_id))


def alarms(world: World, run_id: str = "run-1") -> list[str]:
    return [finding.rule for _, finding in world.room.ledger(run_id).alarms]


def test_nothing_drifted(world: World) -> None:
    deployed(world)
    found = drift(world)
    assert (found.differences, found.compared) == ((), 5)
    assert alarms(world) == []
    effects = world.all_effects()
    drift(world)
    assert world.all_effects() == effects


def test_a_released_file_that_was_changed_is_named_with_both_digests_and_alarmed_once(world: World) -> None:
    world.repository.standing["infra/main.tf"] = b"# theirs\n"
    for _ in range(2):
        (found,) = drift(world).differences
        assert (found.grant, found.what) == ("github.push_commit", "infra/main.tf")
        assert (found.signed, found.found) == (digest_of(FILES["infra/main.tf"]), digest_of(b"# theirs\n"))
    assert alarms(world) == ["gate/drift"]


def test_a_released_file_that_is_gone(world: World) -> None:
    del world.repository.standing["infra/main.tf"]
    assert [one.found for one in drift(world).differences] == ["not there"]


def test_a_file_that_a_later_sign_off_changed_is_its_matter(world: World) -> None:
    later = world.another(run_id="run-2")
    released(later, {"infra/main.tf": b"# later\n"})
    found = drift(later)
    assert found.differences == ()
    assert "a later sign-off replaced it" in {one.why for one in found.skipped}
    later.repository.standing["infra/main.tf"] = b"# theirs\n"
    assert [(one.run_id, one.what) for one in drift(later).differences] == [("run-2", "infra/main.tf")]
    assert drift(later, "run-1").differences == ()
    assert (alarms(later, "run-1"), alarms(later, "run-2")) == ([], ["gate/drift"])


def test_an_object_that_was_changed_says_what_was_signed(world: World) -> None:
    deployed(world)
    apply = world.cluster.all["kubernetes.apply"]
    apply.differs = "/spec/replicas"
    apply.effects["apps/v1 Deployment web/nginx"] |= {"signed": "3", "found": "9"}
    (found,) = drift(world).differences
    assert found.what == "apps/v1 Deployment web/nginx /spec/replicas"
    assert (found.signed, found.found) == ("3", "9")


def test_an_object_that_is_gone_or_anothers(world: World) -> None:
    deployed(world)
    world.cluster.all["kubernetes.apply"].effects.clear()
    assert [one.found for one in drift(world).differences] == ["not there any more, or another one"]


def test_an_object_that_a_later_sign_off_applied_is_its_matter(world: World) -> None:
    deployed(world)
    later = world.another(run_id="run-2")
    deployed(later, replicas=5)
    assert drift(later).differences == ()
    later.cluster.all["kubernetes.apply"].differs = "/spec/replicas"
    assert [one.run_id for one in drift(later).differences] == ["run-2"]


def test_a_target_that_says_no_differs_and_one_that_says_nothing_is_a_fault(world: World) -> None:
    def moved() -> None:
        raise ConflictError("the base moved")

    advance = world.repository.all["github.advance_base"]
    advance.faults["find"] = moved
    assert [one.found for one in drift(world).differences] == ["the base moved"]
    advance.faults["find"] = lost
    with pytest.raises(UnreachableError):
        drift(world)


def test_what_was_done_elsewhere_is_not_compared_here(world: World, tmp_path: Path) -> None:
    deployed(world)
    other: Any = world.another()
    other.cluster.uid = "another"
    found = drift(other)
    assert found.compared == 4
    assert [(one.grant, "cluster" in one.why) for one in found.skipped] == [("kubernetes.apply", True)]
    assert found.differences == ()


def test_what_was_done_in_another_repository_is_not_compared_here(world: World) -> None:
    world.repository.repository_id = 43
    world.repository.standing.clear()
    found = drift(world)
    assert (found.compared, found.differences) == (0, ())
    assert {"repository acme/platform" in one.why for one in found.skipped} == {True}


def test_what_was_signed_and_not_done_is_not_there_yet(tmp_path: Path) -> None:
    world = World(tmp_path / "gate")
    world.signed()
    assert drift(world) == DriftReport(compared=0, differences=(), skipped=())
