"""The notary's own reading of a change: issued words, resulting tree, every finding, what blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from policies import calls, request, waiver
from policies.change import MANIFEST_NAME, ChangeSet, Content, Phase, canonical, digest_of
from policies.finding import Finding, RuleClass, Severity
from policies.pins import Pins
from policies.profile import Profile, scope_findings
from policies.refusal import GateError
from policies.review import Judgement
from policies.scan import ScanContext, ScanResult
from policies.trust import KeyId, Trust
from policies.waiver import SignedWaiver
from tools.gate.words import IssuedChange
from tools.notary.tree import resulting, tree_digest
from tools.tool import ToolRefusedError
from traces import names, spans


class Scan(Protocol):
    """How a tree is scanned: in the notary's own child, which accounts for every file."""

    def __call__(
        self,
        tree: Mapping[str, bytes],
        changed: AbstractSet[str],
        *,
        context: ScanContext,
        base: Mapping[str, bytes] | None = None,
    ) -> ScanResult:
        """Raises policies.scanner.client.ScannerFaultError."""


@dataclass(frozen=True)
class Judged:
    """A judgement and the waivers that it used."""

    judgement: Judgement
    excused: tuple[tuple[Finding, SignedWaiver], ...]


@dataclass(frozen=True)
class Bench:
    """What every judgement of this notary rests on."""

    profile: Profile
    pins: Pins
    scan: Scan
    trust: Callable[[], Trust]
    waivers: Callable[[], tuple[tuple[str, str], ...]]
    """File name and text of each waiver bundle at hand."""
    clock: Callable[[], datetime]
    request: str | None
    """The bundle in which a person asked for this run."""

    def requester(self, change: ChangeSet) -> KeyId:
        """The key of the person who asked for this run and goal, as trusted now. Raises ToolRefusedError."""
        try:
            asked = request.verify(
                self.request,
                trust=self.trust(),
                now=self.clock(),
                profile=self.profile.name,
                rehearsal=self.profile.rehearsal,
            )
            asked.covers(run_id=change.run_id, goal_digest=change.goal_digest)
        except GateError as refusal:
            raise ToolRefusedError(refusal.name, refusal.message, refusal.advice) from refusal
        return asked.requester

    def judge(self, change: ChangeSet, content: Content, issued: IssuedChange) -> Judged:
        """Every finding on the resulting tree. Raises ToolRefusedError, ScannerFaultError."""
        as_issued(change, issued, self.profile)
        requester = self.requester(change)
        base = {path: bytes(data) for path, data in issued.base_tree.items()}
        tree = resulting(change, content, base)
        changed = {artifact.path for artifact in change.artifacts}
        about = {
            names.CHANGE_ID: change.change_id,
            names.CHANGE_DIGEST: change.sha256(),
            names.PHASE: change.phase.value,
        }
        with spans.span(names.POLICY_SCAN, about) as span:
            result = self.scan(tree, changed, context=self._context(issued), base=base)
            signed, refused = self._waivers(requester)
            found = [
                *result.findings,
                *scope_findings(change, self.profile),
                *self._unsubmittable(change, content, issued),
                *refused,
            ]
            blocking, excused = waiver.split(found, signed, self.profile)
            span.set_attribute(names.FINDINGS, len(found))
            span.set_attribute(names.BLOCKING, len(blocking))
        judgement = Judgement(
            change_digest=change.sha256(),
            tree_digest=tree_digest(tree),
            findings=tuple(found),
            blocking=tuple(blocking),
            waived=tuple(f"{finding.rule} at {finding.path} {finding.resource}" for finding, _ in excused),
            scanners=result.engines,
            policy_digest=digest_of(canonical([self.profile.sha256(), *result.engines])),
        )
        return Judged(judgement, tuple(excused))

    def _context(self, issued: IssuedChange) -> ScanContext:
        repository = issued.destination.repository
        return ScanContext(
            images=self.pins.image_table(),
            action_pins=self.pins.action_pins(),
            allowed_registries=frozenset(self.profile.scope.registries),
            allowed_providers=frozenset(self.profile.scope.providers),
            pod_security_level=self.profile.pod_security,
            clone_url=repository.clone_url if repository else None,
            expected_commit=issued.expected_commit,
            rehearsal=self.profile.rehearsal_pins,
            allow_automated_sync=self.profile.automated_sync,
            starts=_starts(issued),
        )

    def _unsubmittable(self, change: ChangeSet, content: Content, issued: IssuedChange) -> list[Finding]:
        """What the gate would refuse on the call is a finding now: nothing is signed that cannot be submitted."""
        cases = [
            calls.Case(grant, change, content, self.profile, issued.expected_commit)
            for grant in change.grants
        ]
        return [
            Finding(
                rule="scope/call",
                rule_class=RuleClass.SCOPE,
                severity=Severity.CRITICAL,
                engine="countersign",
                path=MANIFEST_NAME,
                resource=f"grant {case.grant.seq}",
                message=f"{case.grant.name}: {wrong}",
                why="the gate refuses this call whoever signs it",
                remedy="draft the grant with what open_change issued and with this change's own artifacts",
            )
            for case in cases
            if (wrong := calls.fault(case)) is not None
        ]

    def _waivers(self, requester: KeyId) -> tuple[list[SignedWaiver], list[Finding]]:
        """The waivers that count, and a low finding for each that does not, so that nobody relies on it in silence."""
        good: list[SignedWaiver] = []
        bad: list[Finding] = []
        for name, text in self.waivers():
            try:
                good.append(
                    waiver.verify(
                        text,
                        trust=self.trust(),
                        now=self.clock(),
                        profile=self.profile,
                        requester=requester,
                    )
                )
            except GateError as refusal:
                bad.append(_refused_waiver(name, refusal))
        return good, bad


def _starts(issued: IssuedChange) -> dict[str, str]:
    """The events that publishing sets off, each with the branch that a workflow's filter is asked about."""
    repository = issued.destination.repository
    if issued.phase is not Phase.PUBLISH or repository is None:
        return {}
    ours, base = calls.branch_of(issued.change_id), repository.base_branch
    return {"push": ours, "create": "", "pull_request": base, "pull_request_target": base}


def as_issued(change: ChangeSet, issued: IssuedChange, profile: Profile) -> None:
    """The manifest carries the very words that the gate issued. Raises ToolRefusedError."""
    for name in ("change_id", "run_id", "phase", "profile", "destination", "goal_digest"):
        if getattr(change, name) != getattr(issued, name):
            message = f"{name} of the manifest is not what the gate issued for {issued.change_id}."
            raise ToolRefusedError(
                "not-as-issued", message, "Call open_change and copy its answer unchanged."
            )
    if change.profile != profile.name:
        raise ToolRefusedError(
            "other-profile",
            f"this notary judges under profile {profile.name}.",
            "Run under the profile you mean.",
        )


def _refused_waiver(name: str, refusal: GateError) -> Finding:
    return Finding(
        rule="scope/waiver-refused",
        rule_class=RuleClass.SCOPE,
        severity=Severity.LOW,
        engine="countersign",
        path=f"waivers/{name}",
        resource=refusal.name,
        message=str(refusal),
        why="a waiver that does not count excuses nothing",
        remedy=refusal.advice,
    )
