"""Two gates on copies of one folder, over one real target: each grant has one effect there, whoever comes first, and at once."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from policies.change import CHANGE_ANNOTATION, Phase
from tests.fakes import scripted_run
from tests.fakes.gate import World
from tests.fakes.rehearsal_github import Served, call, served
from tests.fakes.scripted_run import NAMESPACE, OBJECTS, Signing
from tests.fakes.served_cluster import ServedCluster
from tools.gate.states import signoff_state
from tools.github.claims import Claims
from tools.github.client import connect
from tools.github.repository import LiveRepository
from tools.github.target import open_target as open_repository
from tools.kubernetes.target import open_target as open_cluster
from tools.settings import KubernetesSettings
from tools.tool import ToolRefusedError
from tools.verbs import ConflictError

TERRAFORM = ".github/workflows/terraform.yml"


class Now:
    """The world's clock, for signatures whose targets have one of their own."""

    def __call__(self) -> datetime:
        return datetime.now(UTC)

    @property
    def now(self) -> datetime:
        return self()

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.01))


@dataclass
class Place:
    """One repository and one cluster, and who makes gates over them."""

    hub: Served
    cluster: ServedCluster
    folder: Path
    made: list[World] = field(default_factory=list)

    def world(self, **more: Any) -> World:
        """A gate with connections of its own."""
        kubernetes = KubernetesSettings(kubeconfig=self.cluster.kubeconfig)
        targets = {"repository": open_repository(self.hub.settings), "cluster": open_cluster(kubernetes)}
        self.made.append(World(**{"folder": self.folder / "gate", "clock": Now(), **targets, **more}))
        return self.made[-1]

    def close(self) -> None:
        """Hang up before the servers do."""
        for world in self.made:
            world.repository._repository.client.close()
            world.cluster._cluster._client.close()

    def counted(self, change_id: str) -> dict[str, int]:
        """Effects of a change, counted at the targets."""
        branch = f"countersign/{change_id}"
        head = self.hub.ask("GET", f"/pulls?state=all&head=acme:{branch}")[1]
        runs = self.hub.ask("GET", "/actions/runs?per_page=100")[1]["workflow_runs"]
        comments = [self.hub.ask("GET", f"/issues/{pull['number']}/comments")[1] for pull in head]
        reviewers = [len(pull["requested_reviewers"]) for pull in head]
        tip = self.hub.github.hub.git.tip(branch)
        return {
            "branches": int(tip is not None),
            "pulls": len(head),
            "reviewers": sum(reviewers),
            "comments": sum(map(len, comments)),
            "runs": sum(
                run["event"] == "workflow_dispatch" and change_id in run["display_title"] for run in runs
            ),
        }


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with served(tmp_path / "github") as hub, ServedCluster(tmp_path / "cluster") as cluster:
        hub.commit({TERRAFORM: scripted_run.WORKFLOW})
        made = Place(hub, cluster, tmp_path)
        target = made.world(folder=tmp_path / "setting-up").cluster
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        target._cluster.apply(namespace, "", dry_run=False)
        yield made
        made.close()


def clones(place: Place, one: World) -> World:
    """A second machine: a copy of the folder, and the same keys."""
    one.journal.close()
    shutil.copytree(one.folder, place.folder / "clone")
    again = place.world(folder=place.folder / "clone", signer=one.signer)
    one.__post_init__()
    return again


def signed(world: World, phase: Phase, make: Callable[..., Signing], *more: Any) -> Any:
    opened = world.open(phase, namespaces=(NAMESPACE,) if phase is Phase.DEPLOY else ())
    return world.desk.deposit(make(world, opened, *more).deposit(world))


def at_once(worlds: tuple[World, World], signoff: str, seq: int) -> list[Any]:
    """Both submit in the same moment."""
    barrier = threading.Barrier(2)

    def submit(world: World) -> Any:
        barrier.wait(10)
        for _ in range(20):
            try:
                return world.submit(signoff, seq)
            except ToolRefusedError as no:
                last = no
                if no.name not in {"effect-unknown", "target-conflict"}:
                    break
        return last

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(submit, worlds))


def test_each_grant_of_publish_has_one_effect(place: Place) -> None:
    one = place.world()
    state = signed(one, Phase.PUBLISH, scripted_run.publish)
    two = clones(place, one)
    for seq in (1, 2, 3, 4):
        for answer in at_once((one, two), state.signoff, seq):
            assert answer.state in {"done", "waiting"}, answer
    assert place.counted(state.change_id) == {
        "branches": 1,
        "pulls": 1,
        "reviewers": 1,
        "comments": 1,
        "runs": 0,
    }
    one_says, two_says = ([grant.receipt for grant in states(w, state.signoff)] for w in (one, two))
    assert one_says == two_says


def states(world: World, signoff: str) -> Any:
    return signoff_state(world.room, world.room.ledger(), signoff).grants


def test_the_base_is_advanced_and_the_workflow_dispatched_once(place: Place) -> None:
    one = place.world()
    published = signed(one, Phase.PUBLISH, scripted_run.publish)
    commit = str(one.submit(published.signoff, 1).receipt["commit"])
    released = signed(one, Phase.RELEASE, scripted_run.release, commit)
    two = clones(place, one)
    for seq in (1, 2):
        answers = at_once((one, two), released.signoff, seq)
        assert {answer.state for answer in answers} <= {"done", "waiting"}, answers
    assert place.hub.tip() == commit
    assert place.counted(released.change_id)["runs"] == 1


def test_an_object_is_applied_once_and_a_late_copy_undoes_nothing(place: Place) -> None:
    one = place.world()
    first = signed(one, Phase.DEPLOY, scripted_run.deploy, "first")
    two = clones(place, one)
    late = place.world(folder=place.folder / "late", signer=one.signer)
    shutil.rmtree(place.folder / "late")
    shutil.copytree(place.folder / "clone", place.folder / "late")
    late.__post_init__()
    for seq in range(1, len(OBJECTS) + 1):
        assert [a.state for a in at_once((one, two), first.signoff, seq)] == ["done", "done"]
    live = one.cluster._cluster.get("v1", "ConfigMap", NAMESPACE, OBJECTS[0])
    assert live["metadata"]["annotations"][CHANGE_ANNOTATION] == first.change_id
    assert len({entry["time"] for entry in live["metadata"]["managedFields"]}) == 1
    time.sleep(1.1)  # moments at the target have whole seconds
    second = signed(one, Phase.DEPLOY, scripted_run.deploy, "second")
    assert one.submit(second.signoff, 1).state == "done"
    with pytest.raises(ToolRefusedError, match=r"applied at .*, after this one was signed"):
        late.submit(first.signoff, 1)
    assert one.cluster._cluster.get("v1", "ConfigMap", NAMESPACE, OBJECTS[0])["data"] == {"text": "second"}


def test_a_gate_that_died_between_claim_and_dispatch_is_followed_by_one_other(place: Place) -> None:
    """Claims are contended for one after the other."""
    one = place.world()
    published = signed(one, Phase.PUBLISH, scripted_run.publish)
    commit = str(one.submit(published.signoff, 1).receipt["commit"])
    released = signed(one, Phase.RELEASE, scripted_run.release, commit)
    one.submit(released.signoff, 1)
    dead = f"refs/countersign/{released.change_id}/plan/1"
    assert place.hub.ask("POST", "/git/refs", {"ref": dead, "sha": commit})[0] == 201
    two = clones(place, one)
    for world in (one, two):
        world.repository._verbs["github.dispatch_workflow"]._claims._patience = 0.3
    answers = at_once((one, two), released.signoff, 2)
    assert {answer.state for answer in answers} <= {"done", "waiting"}, answers
    assert place.counted(released.change_id)["runs"] == 1
    refs = place.hub.ask("GET", f"/git/matching-refs/countersign/{released.change_id}")[1]
    assert [r["ref"] for r in refs] == [dead, f"{dead[:-1]}2"]


def claims(place: Place, patience: float = 0.0) -> Claims:
    live = LiveRepository(connect(place.hub.settings), place.hub.settings.repository, "main")
    return Claims(live, sleep=lambda _: None, clock=time.monotonic, patience=patience)


@pytest.mark.parametrize("verb", ["github.comment", "github.dispatch_workflow"])
def test_two_gates_that_both_found_nothing_make_one(place: Place, verb: str) -> None:
    """What GitHub itself would make twice."""
    one = place.world()
    published = signed(one, Phase.PUBLISH, scripted_run.publish)
    number = [one.submit(published.signoff, seq) for seq in (1, 2)][1].receipt["number"]
    inputs = {"change_id": published.change_id, "mode": "plan"}
    arguments = {
        "github.comment": {"number": number, "body": "Seen."},
        "github.dispatch_workflow": {"workflow": TERRAFORM, "ref": "main", "inputs": inputs},
    }[verb]
    asked = call(place.hub, verb, arguments, change=published.change_id)
    gates = [
        one.repository.verbs()[verb],
        place.world(folder=place.folder / "other").repository.verbs()[verb],
    ]
    assert [gate.find(asked) for gate in gates] == [None, None]
    gates[0].perform(asked)
    with pytest.raises(ConflictError, match="another gate made it"):
        gates[1].perform(asked)
    counted = place.counted(published.change_id)
    assert counted["comments"] + counted["runs"] == 1
    assert gates[1].find(asked)


def test_of_many_claimants_one_at_a_time_wins(place: Place) -> None:
    """Nothing appears within the patience: each number has one winner, and no number two."""
    won = []

    def contend(_: int) -> None:
        claims(place).take("cs-0123456789abcdef/plan", place.hub.tip(), lambda: False)
        won.append(1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(contend, range(8)))
    refs = place.hub.ask("GET", "/git/matching-refs/countersign/cs-0123456789abcdef/plan")[1]
    assert sorted(int(r["ref"].rpartition("/")[2]) for r in refs) == list(range(1, 9))
    assert len(won) == 8


def test_who_lost_and_sees_the_effect_makes_none(place: Place) -> None:
    claims(place).take("cs-0123456789abcdef/plan", place.hub.tip(), lambda: False)
    with pytest.raises(ConflictError, match="another gate made it"):
        claims(place).take("cs-0123456789abcdef/plan", place.hub.tip(), lambda: True)


def test_a_claim_that_is_refused_for_another_reason_is_no_lost_claim(place: Place) -> None:
    with pytest.raises(ConflictError, match="Object does not exist"):
        claims(place).take("cs-0123456789abcdef/plan", "f" * 40, lambda: True)
