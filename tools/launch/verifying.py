"""`countersign verify SIGNOFF`: the envelope, the manifest, and the folder beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from policies.trust import load
from tools.launch.commands import read_config
from tools.launch.config import ConfigFaultError
from tools.notary.folder import verify_folder
from tools.notary.keys import TRUST_FILE


def verify(signoff: Path, state_dir: Path | None) -> tuple[dict[str, Any], str]:
    """`valid` says whether the folder holds exactly what was signed. Raises ConfigFaultError, TrustFaultError."""
    trust = load(_trust(signoff, state_dir))
    if not signoff.is_file():
        raise ConfigFaultError(
            f"there is no file {signoff}: name a signoff.sigstore.json of a run's changesets"
        )
    try:
        report = verify_folder(signoff, trust, datetime.now(UTC))
    except OSError as fault:
        raise ConfigFaultError(f"cannot read {fault.filename or signoff}: {fault.strerror}") from fault
    document = {"valid": report.ok, **report.model_dump(mode="json")}
    if not report.ok:
        return document, f"NO: {report.message}"
    lines = [
        f"yes: {report.files} files are exactly what sign-off {report.signoff} covers ({report.phase} of {report.change_id})",
        *(f"signed by {signer}" for signer in report.signers),
        *(f"note: {note}" for note in report.notes),
    ]
    return document, "\n".join(lines)


def _trust(signoff: Path, state_dir: Path | None) -> Path:
    """The trust file of this user, or of the --state-dir that the run was kept under."""
    if state_dir is None:
        beside = next(
            (
                p / "gate" / TRUST_FILE
                for p in signoff.absolute().parents
                if (p / "gate" / TRUST_FILE).is_file()
            ),
            None,
        )
        if beside is not None:
            return beside
    return read_config(state_dir).state_dir / TRUST_FILE
