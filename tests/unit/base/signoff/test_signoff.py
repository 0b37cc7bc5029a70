import base64
import copy
import dataclasses
import hashlib
import json
import pickle
from datetime import timedelta

import pytest
from securesystemslib.signer import CryptoSigner, SSlibKey

from policies import signoff
from policies.change import EMPTY_DIGEST, MANIFEST_NAME, digest_of
from policies.envelope import PAYLOAD_TYPE
from policies.gate import Permit
from policies.refusal import GateError
from policies.signoff import SignoffStatement, subjects_of
from policies.trust import Trust
from tests.fakes.signed import (
    CHANGE_ID,
    FILES,
    NOW,
    Case,
    artifacts,
    change_of,
    entry,
    payload_of,
    predicate_of,
    publish,
    publish_grants,
)


@pytest.mark.parametrize(
    "signer", [CryptoSigner.generate_ed25519(), CryptoSigner.generate_ecdsa()], ids=["ed25519", "p256"]
)
def test_what_is_signed_is_read_back_with_its_name(signer: CryptoSigner) -> None:
    case = Case.publish(signer=signer)
    found = signoff.verify(case.bundle, trust=case.trust, now=NOW, required_roles=("security",))
    assert found.digest == digest_of(payload_of(case.bundle))
    assert found.predicate == predicate_of(case.change)
    assert [subject.name for subject in found.subjects] == [MANIFEST_NAME, *sorted(FILES)]
    assert found.signers == {"security": (signer.public_key.keyid,)}


def test_the_bundle_is_sigstore_and_in_toto_to_a_reader_that_does_not_know_us() -> None:
    case = Case.publish()
    outer = json.loads(case.bundle)
    assert outer["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert outer["verificationMaterial"]["publicKey"]["hint"] == case.signer.public_key.keyid
    dsse = outer["dsseEnvelope"]
    payload = base64.b64decode(dsse["payload"])
    pae = b"DSSEv1 %d %b %d %b" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
    key: SSlibKey = case.signer.public_key
    key._crypto_key().verify(base64.b64decode(dsse["signatures"][0]["sig"]), pae)
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"][0]["digest"] == {"sha256": hashlib.sha256(case.manifest).hexdigest()}


def test_a_statement_cannot_speak_of_another_change() -> None:
    with pytest.raises(ValueError, match="does not describe"):
        signoff.statement(publish(run_id="run-2"), predicate_of(publish()))


@pytest.mark.parametrize(("ahead", "fits"), [(30, True), (31, False)])
def test_clocks_may_differ_by_thirty_seconds(ahead: int, *, fits: bool) -> None:
    case = Case.publish()
    earlier = NOW - timedelta(seconds=ahead)
    if fits:
        assert signoff.verify(case.bundle, trust=case.trust, now=earlier, required_roles=("security",))
    else:
        with pytest.raises(signoff.NotYetValidError):
            signoff.verify(case.bundle, trust=case.trust, now=earlier, required_roles=("security",))


def test_an_empty_policy_is_a_no() -> None:
    case = Case.publish()
    with pytest.raises(signoff.RoleMissingError):
        signoff.verify(case.bundle, trust=case.trust, now=NOW, required_roles=())


def test_without_named_roles_the_signoffs_own_are_required() -> None:
    case = Case.publish(approvers=("security", "person"))
    with pytest.raises(signoff.RoleMissingError):
        signoff.verify(case.bundle, trust=case.trust, now=NOW, required_roles=None)
    person = CryptoSigner.generate_ed25519()
    statement = SignoffStatement(
        subject=subjects_of(case.change),
        predicate=predicate_of(case.change, approvers=("security", "person")),
    )
    trust = Trust(keys=(*case.trust.keys, entry(person, "person")))
    second = signoff.sign(statement, person)
    found = signoff.verify(case.bundle, trust=trust, now=NOW, required_roles=None, cosigned=(second,))
    assert set(found.signers) == {"security", "person"}


def test_a_permit_comes_only_from_admit() -> None:
    permit = Case.publish().ask()
    fields = {f.name: getattr(permit, f.name) for f in dataclasses.fields(permit)}
    with pytest.raises(TypeError, match=r"Gate\.admit"):
        Permit(**fields, seal=object())
    with pytest.raises(ValueError, match="seal"):
        dataclasses.replace(permit, change_id="cs-ffffffffffffffff")
    with pytest.raises(TypeError, match="travel"):
        pickle.dumps(permit)
    with pytest.raises(TypeError, match="travel"):
        copy.copy(permit)
    with pytest.raises(dataclasses.FrozenInstanceError):
        permit.change_id = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        permit.content["x"] = b""  # type: ignore[index]


def test_arguments_are_resolved_and_cannot_be_changed_afterwards() -> None:
    case = Case.publish().but(seq=3).when(receipts={1: {"commit": "2" * 40}, 2: {"number": 12}})
    permit = case.ask()
    assert permit.arguments["number"] == 12
    permit.arguments["number"] = 13
    assert permit.arguments["number"] == 12
    first = Case.publish().ask()
    assert first.arguments["files"][0]["file"] == {
        "path": "infra/main.tf",
        "digest": digest_of(FILES["infra/main.tf"]),
    }


def test_a_later_receipt_or_another_word_resolves_to_nothing() -> None:
    for number in (
        {"$receipt": {"seq": 4, "fact": "number"}},
        {"$receipt": {"seq": 3, "fact": "number"}},
        {"$receipt": {"seq": 2}},
        {"$env": "TOKEN"},
        {"$receipt": {"seq": 2, "fact": "number"}, "x": 1},
    ):
        calls = publish_grants()
        calls[2] = (calls[2][0], {**calls[2][1], "number": number})
        case = Case.of(change_of(publish().phase, FILES, calls), FILES).but(seq=3)
        with pytest.raises(GateError) as no:
            case.when(receipts={1: {}, 2: {"number": 1}, 4: {"number": 1}}).ask()
        assert no.value.name == "unresolved"


def test_a_deleted_file_has_no_bytes_and_needs_leave() -> None:
    calls = [
        (
            "github.push_commit",
            {**publish_grants()[0][1], "files": [{"path": "infra/old.tf", "operation": "delete"}]},
        )
    ]
    change = change_of(publish().phase, {}, calls, artifacts=artifacts({}, ("infra/old.tf",)))
    with pytest.raises(GateError) as no:
        Case.of(change, {}).ask()
    assert no.value.name == "out-of-scope"
    profile = Case.publish().profile
    leave = profile.model_copy(update={"scope": profile.scope.model_copy(update={"deletes": ("infra/*",)})})
    assert Case.of(change, {}, leave).ask().change_id == CHANGE_ID
    odd = change.model_copy(
        update={
            "artifacts": tuple(a.model_copy(update={"digest": digest_of(b"x")}) for a in change.artifacts)
        }
    )
    with pytest.raises(GateError) as no:
        Case.of(odd, {}, leave).ask()
    assert no.value.name == "bytes-mismatch"
    assert change.artifacts[0].digest == EMPTY_DIGEST


def test_unmet_preconditions_wait() -> None:
    change = publish()
    grants = (
        change.grants[0].model_copy(update={"preconditions": ("previous_done", "plan_of_record_clean")}),
        *change.grants[1:],
    )
    case = Case.of(change.model_copy(update={"grants": grants}), FILES)
    with pytest.raises(GateError) as no:
        case.ask()
    assert no.value.name == "precondition"
    assert case.when(satisfied=frozenset({"plan_of_record_clean"})).ask()


def test_a_confirmed_signoff_goes_through() -> None:
    assert Case.publish().but(ask_person=True).when(confirmed=True).ask()
