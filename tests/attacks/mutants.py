"""Edit the guards one by one; each edit must turn a test red: `python3 tests/attacks/mutants.py [NAME ...]`.

Each edit is made in a scratch copy of this source. Exits 1 for a survivor and for an edit that fits no longer.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WAYS = "tests/attacks/signoff tests/unit/base/signoff"
GATE = "tests/unit/base/gate"
NOTARY = "tests/unit/base/notary"
WIRE = "tests/unit/base/wire"
WALLS = "tests/attacks/gate/test_taken_crew.py tests/unit/base/confine"
SERVERS = "tests/unit/base/servers"
DEADLINE = 600.0


@dataclass(frozen=True)
class Mutant:
    """One edit of one file: `old` stands in it once and becomes `new`. `tests` are asked in this order."""

    name: str
    path: str
    old: str
    new: str
    tests: str


def _m(path: str, tests: str, *edits: tuple[str, str, str]) -> list[Mutant]:
    return [Mutant(name, path, old, new, tests) for name, old, new in edits]


MUTANTS = [
    *_m("policies/gate.py", f"{WAYS} {GATE}",
        ("rehearsal counts anywhere", "if said.rehearsal != self.rehearsal or self.profile.rehearsal != self.rehearsal:", "if False:"),
        ("profile is not compared", "if (said.profile, said.profile_digest) != (self.profile.name, self.profile.sha256()):", "if False:"),
        ("approvers are not compared", "if said.approvers != self.profile.signers:", "if False:"),
        ("any window", "if window > timedelta(minutes=self.profile.signoff_minutes):", "if False:"),
        ("change_id is not compared", 'for name in ("change_id", "run_id", "phase", "profile", "goal_digest"):', 'for name in ("run_id", "phase", "profile", "goal_digest"):'),
        ("goal is not compared", 'for name in ("change_id", "run_id", "phase", "profile", "goal_digest"):', 'for name in ("change_id", "run_id", "phase", "profile"):'),
        ("requester is not compared", "if said.requester != asked.requester:", "if False:"),
        ("repository is not compared", "if now is None or _identity(now) != _identity(signed.repository):", "if now is None:"),
        ("cluster is not compared", "live.cluster.uid != signed.cluster.uid", "False"),
        ("nowhere is a destination", "if not signed.repository and not signed.cluster:", "if False:"),
        ("only names of a repository", 'target.model_dump(exclude={"base_commit"})', 'target.model_dump(include={"full_name"})'),
        ("spent is forgotten", "if seq in facts.spent or seq in facts.receipts:", "if seq in facts.receipts:"),
        ("done is forgotten", "if seq in facts.spent or seq in facts.receipts:", "if seq in facts.spent:"),
        ("any order", "if behind := [earlier for earlier in range(1, seq) if earlier not in facts.receipts]:", "if behind := []:"),
        ("no precondition", 'if unmet := set(grant.preconditions) - facts.satisfied - {"previous_done"}:', "if unmet := set():"),
        ("a moved base fits", 'if grant.name == "github.advance_base" and signed and live and live.base_commit != signed.base_commit:', "if False:"),
        ("nobody is asked", "if self.ask_person and not facts.confirmed:", "if False:"),
        ("any scope", "if outside := scope_findings(change, self.profile):", "if outside := []:"),
        ("any call", "if (wrong := fault(case)) is not None:", "if (wrong := None) is not None:"),
        ("receipts of later grants", 'if isinstance(ref["seq"], int) and ref["seq"] < seq else {}', "")),
    *_m("policies/signoff.py", f"{WAYS} {GATE}",
        ("any skew", "- SKEW:", "- timedelta(days=1):"),
        ("never expires", "if now >= moment(found.predicate.expires):", "if False:"),
        ("revoked in the trust file counts", "if found.digest in trust.revoked:", "if False:"),
        ("superseded counts", "if revoked and found.digest in revoked:", "if False:"),
        ("another payload is cosigned", "if one.payload != first.payload:", "if False:"),
        ("rehearsal keys sign for real", "if one.key.rehearsal != predicate.rehearsal:", "if False:"),
        ("expired keys sign", "if not one.key.valid(moment(predicate.not_before)):", "if False:"),
        ("the requester approves", "if one.key.keyid == predicate.requester:", "if False:"),
        ("any role is security", 'if "security" not in first.key.roles:', "if False:"),
        ("no role is required", "if not roles:", "if False:"),
        ("threshold of one", "wanted = trust.threshold(role)", "wanted = 1"),
        ("one key fills two roles", "if keyid not in used]", "]"),
        ("any literal", "        if value != expected:", "        if False:"),
        ("a window turned round", "    if not _in_order(what.predicate):", "    if False:")),
    *_m("policies/envelope.py", WAYS,
        ("revoked keys verify", "if key is None or key.revoked:", "if key is None:"),
        ("no signature", "envelope.verify([key.key], 1)", "pass"),
        ("any payload type", "if envelope.payload_type != PAYLOAD_TYPE:", "if False:"),
        ("a signature names a key itself", '    keyid: Literal[""]', "    keyid: str"),
        ("any base64", "if base64.b64encode(data).decode() != text:", "if False:")),
    *_m("policies/strict.py", WAYS,
        ("keys twice", "if len(found) != len(pairs):", "if False:"),
        ("any size", "if len(data) > limit:", "if False:"),
        ("any spelling", '    if spelled != data:\n        raise NotCanonicalError(f"{what} is not in canonical form.")', '    if False:\n        raise NotCanonicalError(f"{what} is not in canonical form.")')),
    *_m("policies/custody.py", WAYS,
        ("other subjects", "if signoff.subjects != subjects_of(change, manifest):", "if False:"),
        ("other grants in the predicate", "if said.grants != grant_lines(change):", "if False:"),
        ("missing bytes", "if missing := change.missing(content):", "if missing := []:"),
        ("extra bytes", "if extra := set(content) - signed:", "if extra := set():")),
    *_m("policies/calls.py", f"{WAYS} {NOTARY}",
        ("any branch", 'if case.get("branch") != case.branch:', "if False:"),
        ("any files", "if None in named or sorted(filter(None, named)) != sorted(by_path):", "if False:"),
        ("any mode", 'fits &= entry.get("mode", artifact.mode) == artifact.mode', ""),
        ("any head", 'if case.get("head") != case.branch:', "if False:"),
        ("any reviewer", "if not set(map(str, people)) <= set(case.profile.reviewers) or not set(map(str, teams)) <= known_teams:", "if False:"),
        ("base to any commit", "    if to != case.expected_commit:", "    if False:"),
        ("any mark", "if not isinstance(notes, dict) or notes.get(CHANGE_ANNOTATION) != case.change.change_id:", "if False:"),
        ("any kind", "if not matches(case.profile.scope.kinds, kind):", "if False:"),
        ("any namespace", "if cluster is None or where not in cluster.namespaces:", "if False:"),
        ("GitOps reaches any namespace", "odd = [place for place in places if place not in listed]", "odd = []"),
        ("sync to any revision", "if revision not in {case.expected_commit, repository.base_commit if repository else None}:", "if False:"),
        ("any phase's verbs", "if case.grant.name not in PHASES[case.change.phase]:", "if False:")),
    *_m("policies/profile.py", f"{WAYS} {NOTARY} tests/unit/base/policies",
        ("a star means the control plane", 'or (kind == "namespace" and _system(value) and value not in patterns)', ""),
        ("a prefix without a star", "else value == p", "else value.startswith(p)")),
    *_m("policies/trust.py", f"{WAYS} {NOTARY}",
        ("a key under another id", "if self.key.keyid != self.keyid:", "if False:"),
        ("a key for ever", "return not self.revoked and moment(self.not_before) <= at < moment(self.not_after)", "return not self.revoked and moment(self.not_before) <= at")),
    *_m("policies/request.py", f"{WAYS} {GATE}",
        ("nobody asked", "if bundle is None:\n        raise GoalUnsignedError", "if bundle == '':\n        raise GoalUnsignedError"),
        ("another run's goal", "if getattr(self.request, name) != value:", "if False:"),
        ("any key asks", 'if "person" not in key.roles or key.rehearsal != asked.rehearsal:', "if False:")),
    *_m("tools/gate/issue.py", GATE,
        ("a change that was never issued", "if change_id not in ledger.opened:", "if False:"),
        ("another destination than issued", "if change.destination != opened.destination:", "if False:"),
        ("signed twice", "        if used := [\n            kept for kept in earlier if ledger.touched(kept.signoff) or kept.signoff in ledger.refused\n        ]:", "        if used := []:"),
        ("a deposit is not verified", "signoff, change = self._room.gate().check(evidence, facts)", "signoff, change = evidence.signoff(self._room.gate().trust, ('security',)), parse(ChangeSet, evidence.manifest, 'x')")),
    *_m("tools/gate/submit.py", GATE,
        ("a dry run submits", "            if self._room.dry_run:", "            if False:"),
        ("no look before the call", "        found = _before(case, call, attempt)", "        found = None"),
        ("a difference is no end", '        if spent.effect and spent.state(grant) == "diverged":', "        if False:"),
        ("an open intent is forgotten", "        _refuse_after_difference(case)\n        self._resolve(case)", "        _refuse_after_difference(case)"),
        ("nothing settles", "        if left > 0:", "        if False:"),
        ("a void review is released", '            if approval is not None and approval.state == "void":', "            if False:"),
        ("the person's no is lost", '| {s: f"refused by {who}" for s, who in ledger.refused.items()}', "")),
    *_m("tools/gate/journal.py", GATE,
        ("spent twice", '                    "INSERT INTO spent VALUES (?, ?, ?, ?)", (signoff, seq, attempt, entry.number)', '                    "INSERT OR REPLACE INTO spent VALUES (?, ?, ?, ?)", (signoff, seq, attempt, entry.number)'),
        ("an edited entry is read", "                if not entry.whole:", "                if False:")),
    *_m("tools/gate/audit.py", f"{GATE}/test_audit.py",
        ("a removed entry is not missed", "        if number != expected:", "        if False:"),
        ("an edited entry is whole", "        if not entry.whole:", "        if False:"),
        ("a fork is none", "        elif number == expected and entry.previous not in fits:", "        elif False:"),
        ("a cut tail is not missed", '    if number > walk.last:\n        what = f"journal.head', '    if False:\n        what = f"journal.head'),
        ("a freed grant is spent", "for number in sorted(intents - set(there.spent))", "for number in ()"),
        ("a checkpoint in another's place", "        if said.number != number or seen.digest != digest or said.previous != previous:", "        if False:"),
        ("an effect without its checkpoint", "        if entry.kind in SEALED and", "        if False and")),
    *_m("tools/gate/checkpoints.py", f"{GATE}/test_audit.py",
        ("any key signs the journal", '    if "journal" not in sealed.key.roles or not', "    if not")),
    *_m("tools/gate/submit.py", f"{GATE}/test_stop.py",
        ("an intent after a stop", "        self._room.switch.check()\n        try:", "        try:"),
        ("a call after a stop", "        case.room.switch.check()\n", "        pass\n")),
    *_m("tools/gate/room.py", f"{GATE}/test_stop.py",
        ("a stop waits for a lock", "                self.switch.check()\n", "")),
    *_m("tools/gate/limits.py", f"{GATE}/test_stop.py",
        ("effects without end", "    if len(ledger.intents) >= limits.effects:", "    if False:"),
        ("any rate", "    if len(ledger.intents) >= rate and now - moment(ledger.intents[-rate]) < _MINUTE:", "    if False:"),
        ("arguments of any size", "    if before + size > limits.signed_bytes:", "    if False:"),
        ("calls without end", "            if self._calls >= self._limits.calls:", "            if False:")),
    *_m("tools/github/dispatch.py", f"{GATE}/test_two_gates.py",
        ("a dispatch without a claim", "        self._claims.take(name, at, lambda: self._newest(asked, marks) is not None)\n", "")),
    *_m("tools/kubernetes/verbs.py", f"{GATE}/test_two_gates.py",
        ("a late copy applies", "        self._refuse_older(call, manifest, namespace)\n", "")),
    *_m("tools/gate/plan.py", GATE,
        ("another plan file", '        if digest != f"sha256:{stated}":', "        if False:"),
        ("a verdict on something else", "        fits = given == wanted and subject", "        fits = subject")),
    *_m("tools/gate/states.py", GATE,
        ("every run is told", "    if role is not Role.PERSON and asked.run_id != room.run_id:", "    if False:")),
    *_m("tools/gate/server.py", GATE,
        ("the kill switch is not asked at the door", "            room.switch.check()", "            pass"),
        ("calls are not counted", "        room.meter.take()", "        pass")),
    *_m("tools/gate/servers/guarded.py", SERVERS,
        ("a changed definition is called", "        if found or changed:", "        if False:"),
        ("a shut server is opened", "        if record.quarantine:", "        if False:"),
        ("a changed list is not read", "        if look or running.listing_changed.is_set():", "        if look:"),
        ("any server of that name", "            self._be_the_named(running, record)", "            pass"),
        ("shut out until the next start", "        self.records.write(self.name, record.model_copy(update=shut))", "        pass")),
    *_m("tools/gate/servers/upstream.py", SERVERS,
        ("a server's question is answered", '            answer["error"] = {', '            answer["result"] = {'),
        ("a question is a result", '            or answer.get("resultType", "complete") != "complete"\n', ""),
        ("questions without end", "            if self._asks > ASKS_LIMIT:", "            if False:")),
    *_m("tools/gate/servers/messages.py", SERVERS,
        ("a server's keys twice", "    if len(found) != len(pairs):", "    if False:")),
    *_m("tools/gate/servers/pinning.py", SERVERS,
        ("a tool is added", "            elif pinned is None:", "            elif False:"),
        ("a tool twice", "            if name in seen:", "            if False:")),
    *_m("tools/gate/servers/tools.py", SERVERS,
        ("reads of every role", "    if role not in (rule.roles if isinstance(rule, Reads) else {MAY_SUBMIT}):", "    if False:"),
        ("reads of any arguments", "    checking.check(tool, server.adapter.pins.schema(tool), given)\n", ""),
        ("reads of any kind", "    checking.limited(", "    (lambda *_: None)(")),
    *_m("tools/gate/servers/matching.py", SERVERS,
        ("one document of several", "        if Counter(allowed[n] for n in following) == Counter(wanted):", "        if set(wanted) & {allowed[n] for n in following}:"),
        ("a grant of another verb", "    if case.grant.name != does.verb:", "    if False:")),
    *_m("tools/gate/servers/performing.py", SERVERS,
        ("another's server runs on after a stop", "            self.before_write()\n", ""),
        ("another's server speaks to another target", "        if held not in found:", "        if False:")),
    *_m("tools/gate/servers/starting.py", SERVERS,
        ("another's server unconfined", '        if confine.isolation() != "none":', "        if False:"),
        ("another program", '    if found != told.program_sha256.removeprefix("sha256:"):', "    if False:")),
    *_m("tools/catalog.py", WIRE,
        ("belts are not asked", "if allowed is None or (role not in tool.roles and (tool.roles or tool.name not in belt)):", "if allowed is None:"),
        ("more effect than the catalog's", "if _STRENGTH.index(tool.effect) > _STRENGTH.index(allowed):", "if False:"),
        ("two tools of one name", "        if tool.name in chosen:", "        if False:"),
        ("belts of unknown tools", "            if unknown := [name for name in names if name not in known]:", "            if unknown := []:")),
    *_m("tools/serve.py", f"{WIRE} {GATE}",
        ("lax types", "return tool.arguments.model_validate_json(text, strict=True)", "return tool.arguments.model_validate_json(text)"),
        ("any size of arguments", "    if len(text) > ARGUMENT_LIMIT:", "    if False:"),
        ("any answer", "        if not isinstance(result, tool.result):", "        if False:")),
    *_m("tools/confine.py", WALLS,
        ("no Landlock", "        _syscall(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0))", "        pass"),
        ("no seccomp", "        _filter_calls(internet=internet, unix_sockets=unix_sockets)", "        pass"),
        ("capabilities stay", "    _drop_capabilities()\n    if len", "    if len"),
        ("any port", "network = (_BIND_TCP if connect_ports is None else _BIND_TCP | _CONNECT_TCP) if abi >= 4 else 0", "network = 0"),
        ("signals to all", "_SCOPES if abi >= 6 else 0", "0"),
        ("hidden folders are read", "    if not any(_within(wall, path) for wall in shut):\n        yield path", "    if True:\n        yield path"),
        ("others look into the memory", "        _prctl(_PR_SET_DUMPABLE, 0)", "        pass")),
    *_m("tools/notary/signing.py", NOTARY,
        ("any verdict", "    if verdict.decision is not Decision.APPROVE:", "    if False:"),
        ("a verdict on other bytes", "    if verdict.change_digest != judgement.change_digest:", "    if False:"),
        ("findings are signed", "    if not judgement.clean:", "    if False:"),
        ("the requester signs", "    if signer.public_key.keyid == requester:", "    if False:")),
    *_m("tools/notary/tree.py", NOTARY,
        ("bytes of no artifact", "    if extra := set(content) - signed:", "    if extra := set():"),
        ("add what is there", "    if operation is Operation.ADD and there is not None:", "    if False:"),
        ("names that a checkout merges", '        name = unicodedata.normalize("NFKC", path).casefold()', "        name = path")),
    *_m("tools/notary/judging.py", NOTARY,
        ("other words than issued", "        if getattr(change, name) != getattr(issued, name):", "        if False:"),
        ("what cannot be submitted is signed", "            if (wrong := calls.fault(case)) is not None", "            if (wrong := None) is not None")),
    *_m("tools/notary/registry.py", NOTARY,
        ("another manifest under one id", "        if record.manifest_digest != manifest_digest:", "        if False:")),
    *_m("policies/approval.py", f"{GATE}/test_approval.py",
        ("another commit is approved", "if pull.head != commit:", "if False:"),
        ("another base is approved", "if pull.base != base:", "if False:"),
        ("a closed one is approved", 'if pull.state == "closed":', "if False:"),
        ("authors approve themselves", "approvers} - excluded", "approvers}"),
        ("requesters approve themselves", "(*never, *filter(None, [pull.author]))", "filter(None, [pull.author])"),
        ("anybody approves", "if review.login.lower() in allowed and", "if"),
        ("a remark is a last word", "and review.state not in _NO_WORD", ""),
        ("nobody can object", "    if against:", "    if False:"),
        ("a review of any commit counts", "and r.commit == commit)", ")")),
    *_m("policies/calls.py", f"{WAYS} {GATE}/test_approval.py",
        ("a manifest need not wait for a review", 'if asked and "review_approved" not in', 'if False and "review_approved" not in'),
        ("nobody may approve", 'if profile.approval == "reviewer" and not profile.may_approve:', "if False:"),
        ("any workflow is dispatched", "if not matches(case.profile.scope.paths, path):", "if False:"),
        ("a dispatch at no commit", 'if case.expected_commit is None or inputs.get("commit")', 'if inputs.get("commit")'),
        ("an apply of another workflow's plan", 'if planned.arguments.get("workflow") != case.get("workflow"):', "if False:"),
        ("an apply of any plan", "if {name: inputs.get(name) for name in wanted} != wanted:", "if False:"),
        ("an apply that nobody judged", 'if not {"workflow_succeeded", "plan_of_record_clean"} <=', 'if not {"workflow_succeeded"} <='),
        ("an apply after no plan", 'given.get("mode") != "plan":', "False:")),
    *_m("tools/gate/readback.py", f"{GATE}/test_readback.py",
        ("a pull request of any commit", 'if facts.get("head_sha") != pushed or pushed is None:', "if False:"),
        ("a base of any tree", 'if facts.get("tree") != signed or signed is None:', "if False:"),
        ("a workflow run of any commit", 'if facts.get("head_sha") != ledger.expected_commit or ledger.expected_commit is None:', "if False:"),
        ("a workflow of any bytes", "if ran != signed or signed is None:", "if False:"),
        ("a plan swapped after the judgement", 'if there != f"sha256:{judged}":', "if False:")),
    *_m("tools/kubernetes/verbs.py", "tests/unit/base/kubernetes",
        ("what somebody added is not seen", "difference = self._added(manifest, namespace, live)", "pass"),
        ("what somebody added counts as the server's", '"name": _SCRATCH', '"name": manifest["metadata"]["name"]'),
        ("nobody owns what was added", "if owned_by_another(live, p, self._manager)", "if False")),
    *_m("tools/gate/drift.py", f"{GATE}/test_drift.py",
        ("what was replaced drifts", "latest[topic] is one", "True"),
        ("a released file may be any", "if there != signed:", "if False:"),
        ("what is gone has not drifted", "if receipt is None:", "if False:"),
        ("what differs has not drifted", "elif not receipt.matches:", "elif False:")),
    *_m("tools/gate/deliveries.py", f"{GATE}/test_deliveries.py",
        ("an unsigned delivery", 'if not hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace")):', "if False:"),
        ("an old delivery", "        self._fresh(told)", "        pass"),
        ("a replayed delivery", "        self._remember(identity, signature)", "        pass"),
        ("a replay under a new id", "signature TEXT NOT NULL UNIQUE", "signature TEXT NOT NULL"),
        ("a memory without end", ">= MOST_KEPT", ">= 10**9")),
]  # fmt: skip


def copied(to: Path) -> None:
    """This source as git knows it, with the environments beside it."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    for environment in (".venv", ".venv-crew", ".venv-scanner", ".venv-dev"):
        (to / environment).symlink_to(ROOT / environment)


def tried(copy: Path, mutant: Mutant) -> str:
    """`killed`, `SURVIVED` or `DOES NOT FIT`."""
    file = copy / mutant.path
    text = file.read_text()
    if text.count(mutant.old) != 1:
        return "DOES NOT FIT"
    file.write_text(text.replace(mutant.old, mutant.new))
    try:
        for tests in mutant.tests.split():
            if _red(copy, tests):
                return "killed"
    finally:
        file.write_text(text)
    return "SURVIVED"


def _red(copy: Path, tests: str) -> bool:
    command = [sys.executable, "tests/run.py", "base", tests, "-q", "-x", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run(
            command, cwd=copy, capture_output=True, text=True, timeout=DEADLINE, check=False
        )
    except subprocess.TimeoutExpired:
        return True  # a guard against waiting for ever was among the edits
    return done.returncode != 0


def main(names: list[str]) -> int:
    """0 when every edit fits and is killed."""
    chosen = [m for m in MUTANTS if not names or m.name in names]
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "source"
        copy.mkdir()
        copied(copy)
        asked = sorted({tests for m in chosen for tests in m.tests.split()})
        if red := [tests for tests in asked if _red(copy, tests)]:
            print(f"red before any edit: {', '.join(red)}")
            return 1
        for number, mutant in enumerate(chosen, 1):
            start = time.monotonic()
            fate = tried(copy, mutant)
            worst |= fate != "killed"
            print(
                f"{number:3} {fate:12} {time.monotonic() - start:5.1f} s  {mutant.path:32} {mutant.name}",
                flush=True,
            )
    print(f"{len(chosen)} edits, {'all killed' if not worst else 'NOT all killed'}")
    return int(worst)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
