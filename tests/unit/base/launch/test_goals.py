"""Which goals a gateway may work on: in the sandbox any, for a real target what a person signed and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from policies import request, trust
from policies.change import digest_of
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
