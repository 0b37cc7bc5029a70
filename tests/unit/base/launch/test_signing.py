"""Who approves signs what is shown, and what is shown is exactly what the notary signed, or nothing is signed."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from policies import signoff
from policies.change import Destination
from policies.refusal import GateError
from tests.fakes.signed import CLUSTER, FILES, NOW, Case, change_of, payload_of, publish, publish_grants
from tools.gate.words import ShownChange, ShownFile
from tools.launch.config import ConfigFaultError
from tools.launch.signing import as_signed

CASE = Case.publish()
SHOWN = [ShownFile(path=path, operation="add", after=b64encode(data)) for path, data in sorted(FILES.items())]


def shown(**edits: Any) -> ShownChange:
    said: dict[str, Any] = {
        "signoff": signoff.read(CASE.bundle, trust=CASE.trust, required_roles=("security",)).digest, "phase": "publish",
        "destination": CASE.change.destination, "grants": CASE.change.grants, "files": tuple(SHOWN), "bundle": CASE.bundle,
        "manifest": b64encode(CASE.manifest),
    }  # fmt: skip
    return ShownChange(**{**said, **edits})


def test_the_approver_signs_the_very_payload_that_was_shown() -> None:
    what = as_signed(shown(), CASE.trust, NOW)
    mine = signoff.sign(what, CryptoSigner.generate_ecdsa())
    assert payload_of(mine) == payload_of(CASE.bundle)


OTHER = publish_grants()
OTHER[1][1]["title"] = "another"
ROWS: dict[str, dict[str, Any]] = {
    "a file less": {"files": tuple(SHOWN[:1])},
    "other bytes": {"files": (SHOWN[0].model_copy(update={"after": b"# other\n"}), SHOWN[1])},
    "another path": {"files": (SHOWN[0].model_copy(update={"path": "infra/x.tf"}), SHOWN[1])},
    "an add as a change": {"files": (SHOWN[0].model_copy(update={"operation": "modify"}), SHOWN[1])},
    "bytes as a delete": {"files": (SHOWN[0].model_copy(update={"after": None}), SHOWN[1])},
    "a call less": {"grants": CASE.change.grants[:1]},
    "another call": {"grants": change_of(publish().phase, FILES, OTHER).grants},
    "another place": {"destination": Destination(cluster=CLUSTER)},
    "another sign-off's name": {"signoff": "sha256:" + "0" * 64},
    "another manifest": {"manifest": b64encode(change_of(publish().phase, FILES, OTHER).canonical())},
    "another sign-off": {"bundle": Case.publish().bundle},
}


@pytest.mark.parametrize("edit", ROWS.values(), ids=ROWS)
def test_nothing_is_signed_when_something_else_is_shown(edit: dict[str, Any]) -> None:
    with pytest.raises((ConfigFaultError, GateError)):
        as_signed(shown(**edit), CASE.trust, NOW)


def test_what_is_over_is_not_signed() -> None:
    with pytest.raises(signoff.ExpiredError):
        as_signed(shown(), CASE.trust, NOW + timedelta(minutes=30))
