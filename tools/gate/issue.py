"""What the gate issues and takes in before anything is submitted: change ids, base trees, signed sign-offs."""

from __future__ import annotations

import secrets
from collections import OrderedDict

from policies.change import MANIFEST_NAME, ChangeSet, Content, Phase, RepositoryTarget
from policies.gate import Evidence, Facts
from policies.signoff import Signoff
from policies.strict import parse
from tools.gate import states
from tools.gate.ledger import Deposited, Ledger, Opened
from tools.gate.limits import refuse_size
from tools.gate.room import Room, issued_words
from tools.gate.words import (
    Deposit,
    FetchChange,
    IssuedChange,
    OpenChange,
    OpenedChange,
    SignoffState,
    TargetDescription,
)
from tools.tool import Nothing, ToolRefusedError

TREE_LIMIT = 32 * 1024 * 1024
_TREES_KEPT = 2
WORKFLOW = ".github/workflows/terraform.yml"
_OPENED = {"change_id", "run_id", "phase", "profile", "destination"}


class Desk:
    """Issues and takes in; one per gate process. Every method raises ToolRefusedError, TargetError or a fault of the journal."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._trees: OrderedDict[tuple[int, str], Content] = OrderedDict()  # a commit's tree never changes

    def describe_target(self, _: Nothing) -> TargetDescription:
        """The live targets as they are now."""
        room = self._room
        there = room.targets.resolve(cluster=True)
        workflow = there.repository is not None and WORKFLOW in self._tree(there.repository)
        return TargetDescription(
            destination=there,
            rehearsal=room.rehearsal,
            isolation=room.isolation,
            default_branch=there.repository.base_branch if there.repository else None,
            kubernetes_version=room.targets.cluster.version() if room.targets.cluster else None,
            workflow_on_base=workflow,
        )

    def open_change(self, asked: OpenChange) -> OpenedChange:
        """A change_id for one phase, recorded. One that could still be used is issued again, on the base of now."""
        room = self._room
        deploys = asked.phase is Phase.DEPLOY
        if deploys and (not asked.namespaces or room.targets.cluster is None):
            missing = "namespaces" if room.targets.cluster else "cluster"
            raise ToolRefusedError(
                f"{missing}-missing",
                f"a deploy phase needs its {missing}.",
                "Name the namespaces that it touches.",
            )
        if not deploys and room.targets.repository is None:
            raise ToolRefusedError(
                "repository-missing", f"{asked.phase} needs a repository.", "Name one in countersign.toml."
            )
        room.gate().requested(run_id=room.run_id, goal_digest=asked.goal_digest, now=room.clock())
        request = room.content.keep((room.request or "").encode())
        room.content.sync()
        there = room.targets.resolve(namespaces=asked.namespaces, cluster=deploys)
        again = self._reusable(room.ledger(), asked)
        opened = Opened(
            change_id=again or f"cs-{secrets.token_hex(8)}",
            run_id=room.run_id,
            phase=asked.phase,
            profile=room.profile.name,
            destination=there,
            goal_digest=asked.goal_digest,
            phases=asked.phases,
            request=request,
        )
        room.append("opened", opened.model_dump(mode="json"))
        return OpenedChange.model_validate(opened.model_dump(include=_OPENED))

    def _reusable(self, ledger: Ledger, asked: OpenChange) -> str | None:
        """The change_id of this phase and goal from which nothing was submitted yet: a resumed crew gets the same."""
        for opened in reversed(ledger.opened.values()):
            if (opened.phase, opened.goal_digest) == (asked.phase, asked.goal_digest):
                signed = [kept for kept in ledger.live() if kept.change_id == opened.change_id]
                used = any(ledger.touched(k.signoff) or k.signoff in ledger.refused for k in signed)
                return None if used else opened.change_id
        return None

    def fetch_change(self, asked: FetchChange) -> IssuedChange:
        """What was issued, with the base tree at the signed base commit, from the live repository."""
        ledger = self._room.ledger()
        opened = _issued(ledger, asked.change_id)
        repository = opened.destination.repository
        return IssuedChange.model_construct(
            **{name: getattr(opened, name) for name in _OPENED},
            goal_digest=opened.goal_digest,
            base_tree=dict(self._tree(repository)) if repository else {},
            expected_commit=ledger.expected_commit,
        )

    def _tree(self, repository: RepositoryTarget) -> Content:
        target = self._room.targets.repository
        key = (repository.repository_id, repository.base_commit)
        if target is None:
            raise ToolRefusedError("repository-missing", "the configuration names no repository.")
        if key not in self._trees:
            tree = target.tree(key[1])
            if (size := sum(map(len, tree.values()))) > TREE_LIMIT:
                advice = "Keep large files out of the repository that is managed here."
                raise ToolRefusedError(
                    "tree-too-large", f"the base tree has {size} bytes, the limit is {TREE_LIMIT}.", advice
                )
            self._trees[key] = tree
            while len(self._trees) > _TREES_KEPT:
                self._trees.popitem(last=False)
        return self._trees[key]

    def deposit(self, given: Deposit) -> SignoffState:
        """Verify a signed change completely, then keep it. The same one twice is kept once."""
        room, ledger = self._room, self._room.ledger()
        evidence = Evidence(
            given.bundle, bytes(given.manifest), {d: bytes(b) for d, b in given.content.items()}
        )
        signoff, change = self._verified(evidence, ledger)
        if signoff.digest not in ledger.deposited:
            self._keep(evidence, signoff, change, ledger)
            ledger = room.ledger()
        return states.signoff_state(room, ledger, signoff.digest)

    def _verified(self, evidence: Evidence, ledger: Ledger) -> tuple[Signoff, ChangeSet]:
        opened = _issued(ledger, _claimed_id(evidence.manifest))
        live = self._room.targets.resolve(
            namespaces=opened.destination.cluster.namespaces if opened.destination.cluster else (),
            cluster=opened.destination.cluster is not None,
        )
        facts = Facts(self._room.clock(), issued_words(opened), live, revoked=ledger.superseded)
        signoff, change = self._room.gate().check(evidence, facts)
        if change.destination != opened.destination:
            advice = "Draft with the destination of the last open_change, and have it judged again."
            raise ToolRefusedError(
                "destination-not-issued", "the manifest's destination is not the one last issued.", advice
            )
        return signoff, change

    def _keep(self, evidence: Evidence, signoff: Signoff, change: ChangeSet, ledger: Ledger) -> None:
        earlier = [kept for kept in ledger.live() if kept.change_id == change.change_id]
        if used := [
            kept for kept in earlier if ledger.touched(kept.signoff) or kept.signoff in ledger.refused
        ]:
            message = f"{change.change_id} was signed as {used[0].signoff} and that is in use or refused."
            raise ToolRefusedError(
                "already-signed", message, "Go on with that sign-off, or open a new change."
            )
        size = sum(map(len, evidence.content.values())) + len(evidence.manifest)
        refuse_size(self._room.profile.limits, ledger, size)
        content = self._room.content
        bundle, manifest = content.keep(evidence.bundle.encode()), content.keep(evidence.manifest)
        for data in evidence.content.values():
            content.keep(data)
        content.sync()
        kept = Deposited(
            change_id=change.change_id,
            phase=change.phase,
            signoff=signoff.digest,
            bundle=bundle,
            manifest=manifest,
            expires=signoff.predicate.expires,
            rehearsal=signoff.predicate.rehearsal,
            signer=signoff.signers["security"][0],
            size=size,
        )
        # superseded first: a crash between the two leaves fewer rights, never more
        for old in earlier:
            self._room.append("superseded", {"signoff": old.signoff, "by": signoff.digest})
        self._room.append("deposited", kept.model_dump(mode="json"))


def _issued(ledger: Ledger, change_id: str) -> Opened:
    if change_id not in ledger.opened:
        message = f"{change_id} was not issued in run {ledger.run_id}."
        raise ToolRefusedError(
            "unknown-change", message, "Call open_change and use the change_id that comes back."
        )
    return ledger.opened[change_id]


def _claimed_id(manifest: bytes) -> str:
    """The id by which to look up what was issued; whether it is true is decided afterwards."""
    return parse(ChangeSet, manifest, MANIFEST_NAME).change_id
