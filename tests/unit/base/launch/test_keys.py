"""`countersign keys` on a folder of its own: what it makes, what it replaces, and what counts for nothing afterwards."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from policies import signoff
from policies.change import digest_of
from policies.refusal import GateError
from policies.signoff import SignoffStatement, subjects_of
from policies.trust import Trust, instant, load
from tests.fakes.signed import ROOT, payload_of, predicate_of, publish
from tools.launch import keys
from tools.launch.config import ConfigFaultError
from tools.notary import trust_file
from tools.notary.keys import KeyFaultError, key_path, load_signer, make_key, rotate_key, trusted


def gate(folder: Path) -> Path:
    return folder / "gate"


def init(folder: Path, role: str | None = None, **chosen: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"sandbox": False, "p256": False, "owner": None, "out": None, "public": None}
    return keys.init(role, **{**said, **chosen}, state_dir=folder)[0]


def trust(folder: Path) -> Trust:
    return load(gate(folder) / "trust.json")


def test_init_makes_what_a_real_run_needs_once(tmp_path: Path) -> None:
    made = init(tmp_path)["keys"]
    assert [(k["roles"], k["rehearsal"], k["done"]) for k in made] == [
        (["security"], False, "made"),
        (["journal"], False, "made"),
        (["person"], False, "made"),
    ]
    assert [k["done"] for k in init(tmp_path)["keys"]] == ["kept"] * 3
    assert [k.keyid for k in trust(tmp_path).keys] == [k["keyid"] for k in made]
    files = sorted((gate(tmp_path) / "keys").iterdir())
    assert [p.name for p in files] == ["journal.pem", "notary.pem", "person.pem"]
    assert {stat.S_IMODE(p.stat().st_mode) for p in files} == {0o600}


def test_the_sandbox_and_p256_are_asked_for(tmp_path: Path) -> None:
    [key] = init(tmp_path, "person", sandbox=True, p256=True)["keys"]
    assert (key["rehearsal"], key["scheme"]) == (True, "ecdsa-sha2-nistp256")
    assert load_signer(key_path(gate(tmp_path), True, "person")).public_key.keyid == key["keyid"]


def test_an_approvers_key_lies_where_it_is_wanted_and_a_public_one_is_enough(tmp_path: Path) -> None:
    out = tmp_path / "approver.pem"
    [key] = init(tmp_path, "person", owner="kim", out=out)["keys"]
    assert load_signer(out).public_key.keyid == key["keyid"]
    assert not (gate(tmp_path) / "keys" / "person.pem").exists()
    far = CryptoSigner.generate_ecdsa()
    public = tmp_path / "far.pub"
    since = datetime.now(UTC)
    public.write_text(trusted(far, ("person",), owner="x", rehearsal=False, since=since).public)
    [told] = init(tmp_path, "person", owner="lee", public=public)["keys"]
    assert (told["keyid"], told["owner"]) == (far.public_key.keyid, "lee")
    rows = keys.show(tmp_path)[0]["keys"]
    assert [(row["owner"], row["file"], row["state"]) for row in rows] == [
        ("kim", None, "valid"),
        ("lee", None, "valid"),
    ]


@pytest.mark.parametrize(
    ("role", "chosen", "fault", "words"),
    [
        ("admin", {}, ConfigFaultError, "no role 'admin': notary, person, waiver, journal"),
        (None, {"owner": "kim"}, ConfigFaultError, "need a role"),
        ("person", {"public": "key.pub"}, ConfigFaultError, "with --owner"),
        ("notary", {"public": "key.pub", "owner": "kim"}, ConfigFaultError, "a person's or a waiver key"),
        ("person", {"public": "nowhere", "owner": "kim"}, KeyFaultError, "cannot be read"),
        ("person", {"public": "key.pub", "owner": "kim"}, KeyFaultError, "no public key in PEM"),
    ],
)
def test_what_cannot_be_made_is_said(
    tmp_path: Path, role: str | None, chosen: dict[str, Any], fault: type[Exception], words: str
) -> None:
    (tmp_path / "key.pub").write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    if "public" in chosen:
        chosen = {**chosen, "public": tmp_path / chosen["public"]}
    with pytest.raises(fault, match=words):
        init(tmp_path, role, **chosen)
    assert not (gate(tmp_path) / "trust.json").exists()


def signed_by(signer: CryptoSigner, at: datetime) -> str:
    change = publish()
    window = {"not_before": instant(at), "expires": instant(at + timedelta(minutes=30))}
    said = predicate_of(change, **window)
    return signoff.sign(SignoffStatement(subject=subjects_of(change), predicate=said), signer)


def verify(bundle: str, trust: Trust, now: datetime) -> str:
    try:
        signoff.verify(bundle, trust=trust, now=now, required_roles=("security",))
    except GateError as no:
        return no.name
    return "yes"


def test_a_rotated_key_verifies_what_it_signed_and_signs_no_more(tmp_path: Path) -> None:
    make_key(tmp_path, "security", rehearsal=True)
    old = load_signer(key_path(tmp_path, True))
    now = datetime.now(UTC)
    before = signed_by(old, now)
    closed, fresh = rotate_key(tmp_path, "security", rehearsal=True, scheme="p256", now=now)
    new = load_signer(key_path(tmp_path, True))
    assert new.public_key.keyid == fresh.keyid != closed.keyid == old.public_key.keyid
    assert fresh.key.scheme == "ecdsa-sha2-nistp256"
    known = trust_file.read(tmp_path)
    assert verify(before, known, now) == "yes"
    later = now + timedelta(seconds=2)
    assert verify(signed_by(old, later), known, later) == "wrong-role"
    assert verify(signed_by(new, later), known, later) == "yes"
    assert sorted(p.name for p in (tmp_path / "keys").iterdir()) == ["sandbox.pem"]


def test_a_rotation_that_was_cut_off_leaves_no_key_that_may_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key(tmp_path, "security", rehearsal=True)
    now = datetime.now(UTC)

    def cut(self: Path, target: Path) -> Path:
        if target.name == "sandbox.pem":
            raise OSError("cut off here")
        return real(self, target)

    real = Path.replace
    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(OSError, match="cut off"):
        rotate_key(tmp_path, "security", rehearsal=True, scheme=None, now=now)
    later = now + timedelta(seconds=2)
    held = signed_by(load_signer(key_path(tmp_path, True)), later)
    assert verify(held, trust_file.read(tmp_path), later) == "wrong-role"
    monkeypatch.undo()
    rotate_key(tmp_path, "security", rehearsal=True, scheme=None, now=now)
    held = signed_by(load_signer(key_path(tmp_path, True)), later)
    assert verify(held, trust_file.read(tmp_path), later) == "yes"


def test_a_revoked_key_and_a_revoked_signoff_count_for_nothing(tmp_path: Path) -> None:
    init(tmp_path, "notary", sandbox=True)
    signer = load_signer(key_path(gate(tmp_path), True))
    now = datetime.now(UTC)
    bundle = signed_by(signer, now)
    assert verify(bundle, trust(tmp_path), now) == "yes"
    digest = digest_of(payload_of(bundle))
    keys.revoke(digest, tmp_path)
    assert verify(bundle, trust(tmp_path), now) == "revoked"
    assert keys.show(tmp_path)[0]["revoked"] == [digest]
    second = signed_by(signer, now + timedelta(seconds=1))
    assert verify(second, trust(tmp_path), now) == "yes"
    keys.revoke(signer.public_key.keyid[:12], tmp_path)
    assert verify(second, trust(tmp_path), now) == "unknown-key"
    [row] = keys.show(tmp_path)[0]["keys"]
    assert row["state"] == "revoked"


@pytest.mark.parametrize("what", ["", "abcd", "sha256:1234", "0" * 64])
def test_what_cannot_be_revoked_is_said(tmp_path: Path, what: str) -> None:
    init(tmp_path)
    before = trust(tmp_path)
    with pytest.raises(KeyFaultError, match="keys show"):
        keys.revoke(what, tmp_path)
    assert trust(tmp_path) == before


def test_changes_of_the_trust_file_wait_for_each_other(tmp_path: Path) -> None:
    def one(number: int) -> None:
        trust_file.revoke_signoff(tmp_path, digest_of(str(number).encode()))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trust_file.read(tmp_path).revoked) == 24


def test_the_command_prints_one_document(tmp_path: Path) -> None:
    def countersign(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "main.py"), "keys", *arguments, "--state-dir", str(tmp_path)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert json.loads(countersign("init", "--json").stdout)["keys"][0]["roles"] == ["security"]
    assert "person    real     valid" in countersign("show").stdout
    assert "closed: person key" in countersign("rotate", "person").stdout
    refused = countersign("revoke", "nothing")
    assert (refused.returncode, "keys show" in refused.stderr) == (2, True)
