"""npm's @sigstore/verify accepts our sign-offs offline, and refuses them after one changed byte."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from tests.fakes.signed import Case, entry

HERE = Path(__file__).parent
SIGNERS = {"ed25519": CryptoSigner.generate_ed25519(), "p256": CryptoSigner.generate_ecdsa()}


@pytest.fixture(scope="module")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("sigstore")
    shutil.copy(HERE / "package.json", folder)
    subprocess.run(
        ["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=300
    )
    return folder


def verified(sigstore: Path, bundle: str, signer: CryptoSigner) -> subprocess.CompletedProcess[str]:
    (sigstore / "bundle.json").write_text(bundle)
    (sigstore / "key.pem").write_text(entry(signer).public)
    command = ["node", str(HERE / "verify.cjs"), "bundle.json", "key.pem"]
    return subprocess.run(command, cwd=sigstore, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("signer", SIGNERS.values(), ids=SIGNERS)
def test_sigstore_accepts_what_we_sign(sigstore: Path, signer: CryptoSigner) -> None:
    case = Case.publish(signer=signer)
    answer = verified(sigstore, case.bundle, signer)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == signer.public_key.keyid


@pytest.mark.parametrize("signer", SIGNERS.values(), ids=SIGNERS)
@pytest.mark.parametrize("where", ["payload", "sig"])
def test_sigstore_refuses_one_changed_byte(sigstore: Path, signer: CryptoSigner, where: str) -> None:
    outer = json.loads(Case.publish(signer=signer).bundle)
    holder = outer["dsseEnvelope"] if where == "payload" else outer["dsseEnvelope"]["signatures"][0]
    text = holder[where]
    holder[where] = text[:40] + ("A" if text[40] != "A" else "B") + text[41:]
    answer = verified(sigstore, json.dumps(outer), signer)
    assert answer.returncode != 0
    assert "VerificationError" in answer.stderr, answer.stderr


def test_sigstore_refuses_another_key(sigstore: Path) -> None:
    answer = verified(sigstore, Case.publish().bundle, SIGNERS["ed25519"])
    assert "VerificationError" in answer.stderr
