"""Sigstore's own command accepts our sign-offs offline, with ed25519 and with P-256, and refuses them after one changed byte.

It knows a signature, a predicate type and a subject. Roles, validity, revocation, destination, grants and the exactness
of the set are ours alone. Nothing of ours is in a transparency log, so it is told not to look for one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from policies import request
from policies.signoff import SIGNOFF_TYPE
from tests.fakes.signed import FILES, PERSON, Case, entry, payload_of, request_of, seal_raw
from tests.rig.build import ToolMissingError, cache_folder, cosign

SIGNERS = {"ed25519": CryptoSigner.generate_ed25519(), "p256": CryptoSigner.generate_ecdsa()}


@pytest.fixture(scope="session")
def command() -> Path:
    environment = dict(os.environ)
    try:
        return cosign(cache_folder(environment), say=lambda line: print(line, file=sys.stderr))
    except ToolMissingError as missing:
        pytest.skip(f"cosign: {missing}")


class Verifier:
    """The command in a folder of its own: no home, no proxy, no cache to lean on."""

    def __init__(self, command: Path, folder: Path, signer: CryptoSigner) -> None:
        self._command, self._folder, self._key = command, folder, folder / "key.pem"
        self._key.write_text(entry(signer).public)

    def __call__(self, bundle: str, blob: bytes, *, how: str, kind: str = SIGNOFF_TYPE) -> str:
        """`Verified OK`, or what it says instead."""
        (self._folder / "bundle.json").write_text(bundle)
        (self._folder / "blob").write_bytes(blob)
        typed = ["--type", kind] if how == "verify-blob-attestation" else []
        done = subprocess.run(
            [self._command, how, "--key", self._key, "--bundle", "bundle.json", *typed, "--insecure-ignore-tlog=true", "blob"],
            cwd=self._folder,
            env={"HOME": str(self._folder), "PATH": os.defpath, "HTTPS_PROXY": "http://127.0.0.1:9"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )  # fmt: skip
        last = done.stderr.strip().splitlines()[-1]
        assert (done.returncode == 0) == (last == "Verified OK"), done.stderr
        return last


@pytest.fixture(params=SIGNERS, ids=SIGNERS)
def signed(request: Any, command: Path, tmp_path: Path) -> tuple[Verifier, Case]:
    signer = SIGNERS[request.param]
    return Verifier(command, tmp_path, signer), Case.publish(signer=signer)


BOTH = pytest.mark.parametrize("how", ["verify-blob", "verify-blob-attestation"])


@BOTH
def test_cosign_accepts_the_manifest_and_every_file_of_a_signoff(
    signed: tuple[Verifier, Case], how: str
) -> None:
    verify, case = signed
    for blob in (case.manifest, *FILES.values()):
        assert verify(case.bundle, blob, how=how) == "Verified OK"


def test_cosign_accepts_a_persons_request(command: Path, tmp_path: Path) -> None:
    verify = Verifier(command, tmp_path, PERSON)
    kind = request.REQUEST_TYPE
    assert verify(request_of(), b"goal", how="verify-blob-attestation", kind=kind) == "Verified OK"


def flipped(text: str, at: int) -> str:
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


def in_envelope(edit: Callable[[dict[str, Any]], None]) -> Callable[[str], str]:
    def edited(bundle: str) -> str:
        outer = json.loads(bundle)
        edit(outer["dsseEnvelope"])
        return json.dumps(outer)

    return edited


EDITS: dict[str, Callable[[str], str]] = {
    "payload": in_envelope(lambda e: e.update(payload=flipped(e["payload"], 200))),
    "signature": in_envelope(lambda e: e["signatures"][0].update(sig=flipped(e["signatures"][0]["sig"], 20))),
    "payload type": in_envelope(lambda e: e.update(payloadType="application/json")),
}


@BOTH
@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_cosign_refuses_one_changed_byte(
    signed: tuple[Verifier, Case], how: str, edit: Callable[[str], str]
) -> None:
    verify, case = signed
    assert verify(edit(case.bundle), case.manifest, how=how).startswith("error")


@BOTH
def test_cosign_refuses_a_changed_manifest_and_another_key(signed: tuple[Verifier, Case], how: str) -> None:
    verify, case = signed
    assert verify(case.bundle, case.manifest + b" ", how=how).startswith("error")
    stranger = seal_raw(payload_of(case.bundle), CryptoSigner.generate_ecdsa())
    assert verify(stranger, case.manifest, how=how).startswith("error")


def test_cosign_refuses_another_kind_of_statement(signed: tuple[Verifier, Case]) -> None:
    verify, case = signed
    how = "verify-blob-attestation"
    assert verify(case.bundle, case.manifest, how=how, kind=request.REQUEST_TYPE).startswith("error")
