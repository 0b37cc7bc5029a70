"""What the world does between a signature and the call, or between two calls of one signature."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from policies import trust
from policies.change import Phase
from policies.trust import Trust, instant
from tests.attacks.corpus import Attack, Kind, Told
from tests.attacks.stage import Crew, Stage, clean
from tools.notary.keys import TRUST_FILE

Happens = Callable[[Crew], None]


def published(happens: Happens, before: int = 1, **settings: object) -> Callable[[Stage], Told]:
    """A clean publish; something happens just before that grant."""

    def act(stage: Stage) -> Told:
        crew = stage.crew(**settings)
        crew.before[before] = happens
        done = crew.phase(Phase.PUBLISH, clean("manifests"))
        return crew.told(applied=done)

    return act


def released(happens: Happens, before: int = 1) -> Callable[[Stage], Told]:
    """A clean publish and release; something happens before a grant of the release."""

    def act(stage: Stage) -> Told:
        crew = stage.crew()
        assert crew.phase(Phase.PUBLISH, clean("infra", ".github")), crew.refused
        crew.before[before] = happens
        done = crew.phase(Phase.RELEASE)
        return crew.told(applied=done)

    return act


def deployed(happens: Happens, before: int = 1) -> Callable[[Stage], Told]:
    """A clean deploy of the Application; something happens before a grant."""

    def act(stage: Stage) -> Told:
        crew = stage.published()
        crew.before[before] = happens
        sync = {"namespace": "argocd", "name": "nginx", "revision": crew.known["COMMIT"]}
        done = crew.phase(
            Phase.DEPLOY,
            clean("objects"),
            namespaces=("argocd", "web"),
            calls=[("kubernetes.sync_application", sync)],
        )
        return crew.told(applied=done)

    return act


def pushes(path: str, branch: str = "main") -> Happens:
    """Somebody pushes; `$BRANCH` is the change's own."""

    def happens(crew: Crew) -> None:
        crew.stage.github.commit(
            {path: "by somebody else\n"}, branch=branch.replace("$BRANCH", crew.known["BRANCH"])
        )

    return happens


def reference(name: str) -> Happens:
    """Somebody makes a reference at the seed commit."""

    def happens(crew: Crew) -> None:
        hub = crew.stage.github.github.hub
        full = name.replace("$BRANCH", crew.known["BRANCH"])
        with hub.lock:
            hub.git.update_ref(full, crew.stage.seed, "0" * 40)

    return happens


def moves_base_back(crew: Crew) -> None:
    """Somebody forces the base branch to a commit of its own."""
    stage = crew.stage
    hub = stage.github.github.hub
    made = stage.github.commit({"docs/other.md": "x"}, branch=f"force-{stage.runs}")
    with hub.lock:
        hub.git.update_ref("refs/heads/main", made, stage.github.tip())


def deletes_branch(crew: Crew) -> None:
    hub = crew.stage.github.github.hub
    with hub.lock:
        hub.git.delete_ref(f"refs/heads/{crew.known['BRANCH']}", crew.known["COMMIT"])


def trusting(edit_: Callable[[Trust, Crew], Trust]) -> Happens:
    """The person edits the trust file; it is put back when the row is over."""

    def happens(crew: Crew) -> None:
        path = crew.stage.folder / TRUST_FILE
        before = path.read_bytes()
        crew.stage.undo.append(lambda: path.write_bytes(before))
        path.write_bytes(edit_(trust.load(path), crew).canonical())

    return happens


def revoked_key(known: Trust, _: Crew) -> Trust:
    return known.model_copy(
        update={"keys": tuple(k.model_copy(update={"revoked": True}) for k in known.keys)}
    )


def expired_key(known: Trust, _: Crew) -> Trust:
    then = {"not_before": "2020-01-01T00:00:00Z", "not_after": "2020-01-02T00:00:00Z"}
    return known.model_copy(update={"keys": tuple(k.model_copy(update=then) for k in known.keys)})


def no_key(known: Trust, _: Crew) -> Trust:
    return known.model_copy(update={"keys": ()})


def revoked_signoff(known: Trust, crew: Crew) -> Trust:
    return known.model_copy(update={"revoked": (crew.known["SIGNOFF"],)})


def two_keys_wanted(known: Trust, _: Crew) -> Trust:
    return known.model_copy(update={"thresholds": {"security": 2}})


def loses(name: str, with_: bytes | None) -> Happens:
    """Somebody edits or removes what the gate kept of the sign-off."""

    def happens(crew: Crew) -> None:
        content = crew.stage.folder / "content"
        ledger = crew.gate_room.ledger()
        digest = getattr(ledger.deposited[crew.known["SIGNOFF"]], name)
        path = next(p for p in content.rglob("*") if p.is_file() and digest[7:] in str(p).replace("/", ""))
        path.chmod(0o600)
        path.unlink() if with_ is None else path.write_bytes(with_)

    return happens


def later_by(**amount: int) -> Callable[[], datetime]:
    return lambda: datetime.now(UTC) + timedelta(**amount)


def too_early(stage: Stage) -> Told:
    """The goal was signed in time, the change 40 seconds from now as this gate sees it."""
    asked = {"requested_at": instant(datetime.now(UTC) - timedelta(seconds=55))}
    return published(lambda _: None, clock=later_by(seconds=-40), asked=asked)(stage)


def refuses(crew: Crew) -> None:
    crew.attempt("person", "gate.refuse", {"signoff": crew.known["SIGNOFF"], "person": "somebody"})


def pointed_elsewhere(crew: Crew) -> None:
    """An administrator points the applied Application elsewhere; the object is gone when the row is over."""
    source = {"targetRevision": "main", "repoURL": crew.known["CLONE"], "path": "x"}
    place = {"namespace": "web", "server": "https://kubernetes.default.svc"}
    application = {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "nginx", "namespace": "argocd"},
        "spec": {"source": source, "project": "nginx", "destination": place},
    }  # fmt: skip
    crew.stage.by_hand(application)
    crew.stage.undo.append(lambda: crew.stage.by_hand(application, "DELETE"))


MOVED = "the target is asked again at the call, not remembered"
AT_ONCE = "the trust file is read at each decision"
BYTES = "what was signed is kept by its digest and checked at each reading"
Row = tuple[str, str, str, str, Callable[[Stage], Told]]
ROWS: list[Row] = [
    ("ra-base-moved", "the base moves before it is advanced", "base-moved", MOVED, released(pushes("docs/x.md"))),
    ("ra-base-forced", "the base is forced elsewhere before it is advanced", "base-moved", MOVED, released(moves_base_back)),
    ("ra-base-after-advance", "somebody pushes between the advance and the dispatch", "target-conflict", MOVED, released(pushes("docs/x.md"), 2)),
    ("ra-workflow-after-advance", "somebody edits the workflow between the advance and the dispatch", "target-conflict", MOVED, released(pushes(".github/workflows/terraform.yml"), 2)),
    ("ra-branch-there", "the change's branch is there, with other content", "diverged", "create-only, and read back", published(pushes("docs/x.md", "$BRANCH"))),
    ("ra-branch-at-base", "the change's branch is there, empty", "diverged", "create-only, and read back", published(reference("refs/heads/$BRANCH"))),
    ("ra-commit-more", "somebody pushes to the branch before the pull request", "target-conflict", "a pull request's whole range is compared", published(pushes("docs/x.md", "$BRANCH"), 2)),
    ("ra-branch-gone", "somebody deletes the branch before the pull request", "target-not-found", MOVED, published(deletes_branch, 2)),
    ("ra-key-revoked", "the key is revoked after the signature", "unknown-key", AT_ONCE, published(trusting(revoked_key))),
    ("ra-key-removed", "the key leaves the trust file after the signature", "unknown-key", AT_ONCE, published(trusting(no_key))),
    ("ra-key-expired", "the key was not valid when it signed", "wrong-role", AT_ONCE, published(trusting(expired_key))),
    ("ra-signoff-revoked", "the sign-off is revoked", "revoked", AT_ONCE, published(trusting(revoked_signoff))),
    ("ra-second-key-wanted", "the trust file now demands two keys", "role-missing", AT_ONCE, published(trusting(two_keys_wanted))),
    ("ra-revoked-between", "the key is revoked between two grants", "unknown-key", AT_ONCE, published(trusting(revoked_key), 2)),
    ("ra-expired", "the sign-off has expired", "expired", "late is late", published(lambda _: None, clock=later_by(minutes=61))),
    ("ra-clock-ahead", "the signer's clock is ahead by more than 30 seconds", "not-yet-valid", "clock skew is at most 30 seconds", too_early),
    ("ra-refused", "the person refuses after the signature", "revoked", "a no counts at once", published(refuses, ask_person=True)),
    ("ra-not-confirmed", "nobody has confirmed", "confirmation-missing", "a person's yes is waited for", published(lambda _: None, ask_person=True)),
    ("ra-manifest-edited", "the kept manifest is edited", "journal-unusable", BYTES, published(loses("manifest", b"{}"))),
    ("ra-manifest-gone", "the kept manifest is removed", "journal-unusable", BYTES, published(loses("manifest", None))),
    ("ra-bundle-edited", "the kept bundle is edited", "journal-unusable", BYTES, published(loses("bundle", b"{}"))),
    ("ra-object-moved", "the Application is pointed elsewhere between apply and sync", "target-conflict", "the object is read before it is synced", deployed(pointed_elsewhere, 3)),
]  # fmt: skip


def attacks() -> Iterator[Attack]:
    """Every row of this file."""
    for name, tries, expects, why, act in ROWS:
        yield Attack(name, Kind.RACE, tries, expects, why, act)
