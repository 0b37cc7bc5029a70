"""Which goals a gateway may work on: in the sandbox any, for a real target what a person signed and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from policies import request, trust
from policies.change import digest_of
from policies.request import Request
from policies.trust import instant
from tools.gateway.words import OpenRun
from tools.launch import config, goals, requesting
from tools.launch.goals import SignedGoals
from tools.notary.keys import ensure_keys, key_path, load_signer, make_key
from tools.tool import ToolRefusedError

REAL = '[github]\nkind = "github"\nrepository = "acme/platform"\n[kubernetes]\nkind = "kubeconfig"\nkubeconfig = "k"\n'


def now() -> datetime:
    """The keys of these tests are made in real time."""
    return datetime.now(UTC)


def settled(folder: Path, toml: str = "", profile: str = "sandbox") -> config.Config:
    (folder / "countersign.toml").write_text(toml)
    found = config.read(
        {"HOME": str(folder), "PATH": ""}, cwd=folder, state_dir=folder / "s", profile=profile
    )
    ensure_keys(found.state_dir, found.rehearsal)
    make_key(found.state_dir, "person", rehearsal=found.rehearsal)
    return found


def verified(told: config.Config, run: str) -> Any:
    trusted = trust.load(told.state_dir / "trust.json")
    bundle = requesting.kept(told, run)

    return request.verify(
        bundle, trust=trusted, now=now(), profile=told.profile.name, rehearsal=told.rehearsal
    )


def test_in_the_sandbox_each_goal_gets_a_run_of_its_own_signed_by_the_sandboxs_person(tmp_path: Path) -> None:
    told = settled(tmp_path)
    known = SignedGoals(told)
    blue, red = known.run_of("blue"), known.run_of("red")
    assert blue != red
    assert known.run_of("blue") == blue
    asked = verified(told, blue)
    assert asked.request.goal_digest == digest_of(b"blue")
    assert asked.requester == load_signer(key_path(told.state_dir, True, "person")).public_key.keyid


def test_for_a_real_target_an_agents_goal_waits_for_a_persons_key(tmp_path: Path) -> None:
    told = settled(tmp_path, REAL, "default")
    known = SignedGoals(told)
    with pytest.raises(ToolRefusedError, match="goal-unsigned"):
        known.run_of("blue")
    run = goals.new_run(now())
    signer = requesting.requester(told)
    requesting.ask(told, run, "blue", signer, now())
    assert known.run_of("blue") == run
    with pytest.raises(ToolRefusedError, match="goal-unsigned"):
        known.run_of("blue ")


@pytest.mark.parametrize("spoil", ["a run of the crew", "another profile", "a stranger's key", "bytes"])
def test_a_request_that_does_not_count_opens_nothing(tmp_path: Path, spoil: str) -> None:
    told = settled(tmp_path, REAL, "default")
    run = "20261102-090000-aaaa" if spoil == "a run of the crew" else goals.new_run(now())
    signer = requesting.requester(told)
    if spoil == "another profile":
        other = told.model_copy(update={"profile": told.profile.model_copy(update={"name": "production"})})
        requesting.ask(other, run, "blue", signer, now())
    elif spoil == "a stranger's key":
        requesting.ask(told, run, "blue", load_signer(key_path(told.state_dir, False, "security")), now())
    else:
        requesting.ask(told, run, "blue", signer, now())
    if spoil == "bytes":
        path = told.state_dir / "requests" / f"{run}.sigstore.json"
        path.write_text(path.read_text().replace("a", "b", 1))
    with pytest.raises(ToolRefusedError, match="goal-unsigned"):
        SignedGoals(told).run_of("blue")


def test_a_run_that_nobody_asked_for_is_none(tmp_path: Path) -> None:
    with pytest.raises(ToolRefusedError, match="no-such-run"):
        SignedGoals(settled(tmp_path)).request_of("gw-20261102-090000-aaaa")


def asking(told: config.Config, run: str, **edits: Any) -> OpenRun:
    said = dict(
        goal_digest=digest_of(b"blue"),
        run_id=run,
        profile=told.profile.name,
        rehearsal=told.rehearsal,
        requested_at=instant(now()),
    )
    bundle = request.sign(Request(**{**said, **edits}), requesting.requester(told))
    return OpenRun(run_id=run, request=bundle)


def test_a_goal_that_was_signed_elsewhere_opens_its_run_and_no_other(tmp_path: Path) -> None:
    told = settled(tmp_path, REAL, "default")
    known, asked = SignedGoals(told), asking(told, "20261102-090000-aaaa")
    assert known.accept(asked).goal_digest == digest_of(b"blue")
    assert known.accept(asked).run_id == asked.run_id, "asked again it is the same run"
    assert known.request_of(asked.run_id) == asked.request
    with pytest.raises(ToolRefusedError, match="run-taken"):
        known.accept(asking(told, asked.run_id, goal_digest=digest_of(b"red")))
    assert known.request_of(asked.run_id) == asked.request


@pytest.mark.parametrize(
    ("edits", "name"),
    [
        (dict(run_id="20261102-090000-bbbb"), "request-mismatch"),
        (dict(profile="sandbox"), "request-mismatch"),
        (dict(rehearsal=True), "request-mismatch"),
    ],
    ids=str,
)
def test_a_request_from_elsewhere_that_does_not_count_here_opens_nothing(
    tmp_path: Path, edits: Any, name: str
) -> None:
    told = settled(tmp_path, REAL, "default")
    with pytest.raises(ToolRefusedError, match=name):
        SignedGoals(told).accept(asking(told, "20261102-090000-aaaa", **edits))
    with pytest.raises(ToolRefusedError, match="no-such-run"):
        SignedGoals(told).request_of("20261102-090000-aaaa")
