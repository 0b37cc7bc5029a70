"""The person's signature on a goal: one valid request, one edit per row; and it binds what the gate lets through."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from policies import request
from policies.change import canonical, digest_of
from policies.refusal import GateError
from policies.request import SignedRequest
from policies.trust import Trust, instant
from tests.fakes.signed import (
    DEFAULT,
    GOAL,
    NOW,
    PERSON,
    SANDBOX,
    Case,
    entry,
    payload_of,
    request_of,
    seal_raw,
)

TRUST = Trust(keys=(entry(PERSON, "person"),))
OTHER = CryptoSigner.generate_ecdsa()


def verified(bundle: str | None = None, **edits: Any) -> SignedRequest:
    said: dict[str, Any] = {"trust": TRUST, "now": NOW, "profile": "sandbox", "rehearsal": True}
    return request.verify(request_of() if bundle is None else bundle, **{**said, **edits})


@pytest.mark.parametrize("signer", [PERSON, OTHER], ids=["ed25519", "p256"])
def test_a_signed_goal_names_the_key_that_asked(signer: CryptoSigner) -> None:
    asked = verified(request_of(signer=signer), trust=Trust(keys=(entry(signer, "person"),)))
    assert asked.requester == signer.public_key.keyid
    assert asked.request.goal_digest == GOAL
    asked.covers(run_id="run-1", goal_digest=GOAL)


def trusting(*roles: str, **edits: Any) -> Trust:
    return Trust(keys=(entry(PERSON, *roles, **edits),))


def with_another_subject() -> str:
    payload = payload_of(request_of()).replace(
        GOAL.removeprefix("sha256:").encode(), digest_of(b"x")[7:].encode(), 1
    )
    return seal_raw(payload, PERSON)


@pytest.mark.parametrize(
    ("bundle", "edits", "name"),
    [
        (request_of(), {"trust": Trust()}, "unknown-key"),
        (request_of(signer=OTHER), {}, "unknown-key"),
        (request_of(), {"trust": trusting("person", revoked=True)}, "unknown-key"),
        (request_of(), {"trust": trusting("security")}, "requester-role"),
        (request_of(), {"trust": trusting("waiver", "journal")}, "requester-role"),
        (request_of(), {"trust": trusting("person", rehearsal=False)}, "requester-role"),
        (request_of(), {"trust": trusting("person", not_after=instant(NOW))}, "requester-role"),
        (request_of(), {"trust": trusting("person", not_before="2026-11-02T09:00:01Z")}, "requester-role"),
        (request_of(requested_at="2026-11-02T09:00:31Z"), {}, "requester-role"),
        (request_of(requested_at="2026-13-02T09:00:31Z"), {}, "request-mismatch"),
        (request_of(DEFAULT), {}, "request-mismatch"),
        (request_of(rehearsal=False), {}, "request-mismatch"),
        (request_of(profile="production"), {}, "request-mismatch"),
        (with_another_subject(), {}, "request-mismatch"),
        (request_of().replace('"sig":"', '"sig":"AA', 1), {}, "unknown-shape"),
        (request_of() + " ", {}, "not-canonical"),
        ("", {}, "malformed"),
        ("\ud800", {}, "malformed"),
        (seal_raw(payload_of(Case.publish().bundle), PERSON), {}, "unknown-shape"),
        (seal_raw(canonical({}), PERSON), {}, "unknown-shape"),
    ],
)
def test_each_edit_is_a_named_no(bundle: str, edits: dict[str, Any], name: str) -> None:
    with pytest.raises(GateError) as no:
        verified(bundle, **edits)
    assert no.value.name == name, no.value
    assert no.value.advice


def test_a_goal_that_nobody_signed_is_a_no() -> None:
    with pytest.raises(request.GoalUnsignedError):
        request.verify(None, trust=TRUST, now=NOW, profile="sandbox", rehearsal=True)


def test_clocks_may_differ_by_thirty_seconds() -> None:
    assert verified(request_of(requested_at="2026-11-02T09:00:30Z"))


@pytest.mark.parametrize("edit", [{"run_id": "run-2"}, {"goal_digest": digest_of(b"other")}])
def test_it_covers_its_own_run_and_goal(edit: dict[str, str]) -> None:
    with pytest.raises(request.RequestMismatchError):
        verified().covers(**{"run_id": "run-1", "goal_digest": GOAL, **edit})


AT_THE_GATE: list[tuple[str, Callable[[Case], Case], str]] = [
    ("nobody-asked", lambda c: c.but(request=None), "goal-unsigned"),
    (
        "another-goal-was-signed",
        lambda c: c.but(request=request_of(goal_digest=digest_of(b"x"))),
        "request-mismatch",
    ),
    ("another-run-was-asked", lambda c: c.but(request=request_of(run_id="run-2")), "request-mismatch"),
    ("a-key-that-nobody-knows-asked", lambda c: c.but(request=request_of(signer=OTHER)), "unknown-key"),
    (
        "another-person-asked",
        lambda c: c.but(
            request=request_of(signer=OTHER), trust=Trust(keys=(*c.trust.keys, entry(OTHER, "person")))
        ),
        "requester-mismatch",
    ),
    (
        "the-notary-asked-itself",
        lambda c: c.but(request=request_of(signer=c.signer)),
        "requester-role",
    ),
    (
        "the-requesters-key-was-revoked",
        lambda c: c.but(trust=Trust(keys=(c.trust.keys[0], entry(PERSON, "person", revoked=True)))),
        "unknown-key",
    ),
    (
        "the-goal-was-signed-tomorrow",
        lambda c: c.but(request=request_of(requested_at=instant(NOW + timedelta(days=1)))),
        "requester-role",
    ),
]


@pytest.mark.parametrize(
    ("edit", "name"), [row[1:] for row in AT_THE_GATE], ids=[row[0] for row in AT_THE_GATE]
)
def test_a_valid_signoff_without_its_own_request_unlocks_nothing(
    edit: Callable[[Case], Case], name: str
) -> None:
    assert Case.publish().ask()
    with pytest.raises(GateError) as no:
        edit(Case.publish()).ask()
    assert no.value.name == name, no.value


def test_a_sandbox_request_asks_for_nothing_real() -> None:
    assert SANDBOX.rehearsal
    with pytest.raises(request.RequestMismatchError):
        verified(request_of(), rehearsal=False)
