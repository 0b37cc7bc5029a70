import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from securesystemslib.signer import CryptoSigner

from policies import trust
from policies.trust import TrustFaultError
from tools.notary.keys import KeyFaultError, ensure_keys, key_path, load_signer


@pytest.mark.parametrize("rehearsal", [True, False])
def test_keys_are_made_once_private_and_trusted(tmp_path: Path, *, rehearsal: bool) -> None:
    state = tmp_path / "state"
    ensure_keys(state, rehearsal)
    path = key_path(state, rehearsal)
    made = path.read_bytes()
    ensure_keys(state, rehearsal)
    assert path.read_bytes() == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((state / "trust.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    key, journal, *person = trust.load(state / "trust.json").keys
    assert key.keyid == load_signer(path).public_key.keyid
    assert (key.roles, key.rehearsal) == (("security",), rehearsal)
    assert journal.keyid == load_signer(path.parent / "journal.pem").public_key.keyid
    assert journal.roles == ("journal",)
    assert [(k.roles, k.rehearsal) for k in person] == ([(("person",), True)] if rehearsal else [])
    mine = ["sandbox-person.pem"] if rehearsal else []
    assert sorted(p.name for p in path.parent.iterdir()) == sorted([path.name, "journal.pem", *mine])


def test_the_sandbox_has_a_key_of_its_own_and_the_journal_one_for_both(tmp_path: Path) -> None:
    ensure_keys(tmp_path, True)
    ensure_keys(tmp_path, False)
    keys = trust.load(tmp_path / "trust.json").keys
    assert [(key.roles, key.rehearsal) for key in keys] == [
        (("security",), True),
        (("journal",), False),
        (("person",), True),
        (("security",), False),
    ]
    assert len({key.keyid for key in keys}) == 4


def pem(kind: str) -> bytes:
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    if kind == "encrypted":
        signer = CryptoSigner.generate_ed25519()
        return signer._private_key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
        )
    return b"" if kind == "empty" else b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("kind", ["rsa", "encrypted", "empty", "garbage"])
def test_a_wrong_key_file_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "notary.pem"
    path.write_bytes(pem(kind))
    path.chmod(0o600)
    with pytest.raises(KeyFaultError, match=str(path)):
        load_signer(path)


def test_a_missing_key_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(KeyFaultError, match="countersign keys init"):
        load_signer(tmp_path / "notary.pem")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660])
def test_a_key_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    ensure_keys(tmp_path, True)
    path = key_path(tmp_path, True)
    path.chmod(mode)
    with pytest.raises(KeyFaultError, match="chmod 600"):
        load_signer(path)


def test_a_key_of_another_user_is_refused(tmp_path: Path) -> None:
    ensure_keys(tmp_path, True)
    path = key_path(tmp_path, True)
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(path, 12345, -1)
    with pytest.raises(KeyFaultError):
        load_signer(path)


@pytest.mark.parametrize("text", ["", "{}x", '{"version":2}', '{"version":1,"keys":[],"extra":1}'])
def test_a_corrupted_trust_file_is_left_alone_and_named(tmp_path: Path, text: str) -> None:
    ensure_keys(tmp_path, True)
    (tmp_path / "trust.json").write_text(text)
    with pytest.raises(TrustFaultError, match=r"trust\.json"):
        ensure_keys(tmp_path, True)
    assert (tmp_path / "trust.json").read_text() == text


def test_a_key_filed_under_another_id_is_refused(tmp_path: Path) -> None:
    ensure_keys(tmp_path, True)
    path = tmp_path / "trust.json"
    kept = trust.load(path)
    path.write_text(path.read_text().replace(kept.keys[0].keyid, "0" * 64))
    with pytest.raises(TrustFaultError, match="not its own"):
        trust.load(path)
