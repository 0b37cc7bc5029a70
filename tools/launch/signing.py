"""`countersign sign RUN`: a second person reads the whole of what waits, from the gate's own copy, and signs the very same payload."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from securesystemslib.signer import CryptoSigner

from policies import signoff
from policies.change import digest_of
from policies.custody import whole
from policies.signoff import SignoffStatement
from policies.trust import Trust
from tools.gate.words import Cosign, Pending, RunRef, ShownChange, SignoffRef, SignoffState
from tools.launch import folders, requesting
from tools.launch.commands import read_config
from tools.launch.config import Config, ConfigFaultError
from tools.launch.diff import change_lines
from tools.launch.person_line import person_line
from tools.launch.processes import House
from tools.launch.rehearsal import rehearsal_of
from tools.notary import trust_file
from tools.notary.keys import load_signer
from tools.session import BackgroundSessions

_CODE = slice(7, 13)
"""The first six hex digits of the sign-off's digest: another change has another code, so no habit answers it."""


def sign(
    run: str,
    key: Path,
    *,
    profile: str | None,
    state_dir: Path | None,
    answers: IO[str] | None,
    out: IO[str],
    environ: Mapping[str, str],
) -> tuple[dict[str, Any], str, bool]:
    """Show what waits for a signature, ask for its code, sign. The document, a text, and whether all of it was signed.

    `answers` is a terminal, or None where nobody is at one. Raises ConfigFaultError, KeyFaultError, TrustFaultError,
    ToolRefusedError, SessionFaultError.
    """
    config = read_config(state_dir, profile)
    run_dir = folders.find_run(config.runs_dir, run)
    told = folders.read_json(run_dir / "run.json")
    if told["profile"] != config.profile.name:
        raise ConfigFaultError(
            f"run {run_dir.name} began under profile {told['profile']}: give --profile {told['profile']}"
        )
    signer = load_signer(key)
    request = requesting.kept(config, run_dir.name)
    with tempfile.TemporaryDirectory() as folder, House(Path(folder), environ) as house:
        sandbox = rehearsal_of(house, config, run_dir.name)
        with person_line(house, config, run_dir.name, request=request, sandbox=sandbox) as sessions:
            asked = Signing(sessions, config, run_dir, signer, answers, out)
            done = [(waiting, asked.one(waiting)) for waiting in asked.waiting()]
    document = {
        "run_id": run_dir.name,
        "key": signer.public_key.keyid,
        "signed": [state.model_dump(mode="json") for _, state in done if state is not None],
        "declined": [waiting.signoff for waiting, state in done if state is None],
    }
    lines = [_said(waiting, state) for waiting, state in done]
    text = "\n".join(
        [*lines, f"`countersign run --resume {run_dir.name}` goes on"]
        if lines
        else ["nothing waits for a signature"]
    )
    return document, text, bool(done) and not document["declined"]


class Signing:
    """One person with one key at one gate."""

    def __init__(
        self,
        sessions: BackgroundSessions,
        config: Config,
        run_dir: Path,
        signer: CryptoSigner,
        answers: IO[str] | None,
        out: IO[str],
    ) -> None:
        self._gate, self._config, self._run_dir, self._signer = sessions, config, run_dir, signer
        self._answers, self._out = answers, out

    def waiting(self) -> tuple[SignoffState, ...]:
        """The sign-offs of the run that lack a person's signature."""
        asked = RunRef(run_id=self._run_dir.name)
        waiting = self._gate.call("gate", "pending", asked, Pending).signoffs
        return tuple(state for state in waiting if "person" in state.unsigned_by)

    def one(self, waiting: SignoffState) -> SignoffState | None:
        """Show it whole, ask for its code, sign and hand in; None when the code was not given."""
        shown = self._gate.call("gate", "show_change", SignoffRef(signoff=waiting.signoff), ShownChange)
        what = as_signed(shown, trust_file.read(self._config.state_dir), datetime.now(UTC))
        for line in change_lines(shown):
            self._say(line)
        self._say(
            f"asked for by key {what.predicate.requester[:12]}, you sign with {self._signer.public_key.keyid[:12]}"
        )
        code = waiting.signoff[_CODE]
        if (
            self._typed(f"This sign-off is valid until {waiting.expires}. Type its code {code} to sign it: ")
            != code
        ):
            return None
        bundle = signoff.sign(what, self._signer)
        signed = self._gate.call(
            "gate", "cosign", Cosign(signoff=waiting.signoff, bundle=bundle), SignoffState
        )
        self._keep(waiting.phase, bundle)
        return signed

    def _keep(self, phase: str, bundle: str) -> None:
        """Beside the notary's own, where `countersign verify` looks for it."""
        folder = self._run_dir / "changesets" / phase
        if folder.is_dir():
            (folder / f"person-{self._signer.public_key.keyid[:12]}.sigstore.json").write_text(
                bundle, encoding="utf-8"
            )

    def _typed(self, question: str) -> str:
        if self._answers is None:
            raise ConfigFaultError(
                "nobody is at a terminal to type the code: run `countersign sign` where you can read and type"
            )
        self._out.write(question)
        self._out.flush()
        return self._answers.readline().strip().lower()

    def _say(self, line: str) -> None:
        self._out.write(line + "\n")


def as_signed(shown: ShownChange, trust: Trust, now: datetime) -> SignoffStatement:
    """What the notary signed, when what is shown is exactly that: the same files, calls and place. Raises GateError, ConfigFaultError."""
    found = signoff.verify(shown.bundle, trust=trust, now=now, required_roles=("security",))
    content = {digest_of(data): bytes(data) for data in _contents(shown)}
    change = whole(found, bytes(shown.manifest), content)
    files = {
        (file.path, str(file.operation), None if file.after is None else digest_of(file.after))
        for file in shown.files
    }
    signed = {
        (a.path, str(a.operation), None if a.operation == "delete" else a.digest) for a in change.artifacts
    }
    if (shown.signoff, shown.destination, shown.grants, files) != (
        found.digest,
        change.destination,
        change.grants,
        signed,
    ):
        raise ConfigFaultError(
            "the gate showed something else than was signed: sign nothing, and look at the gate"
        )
    return SignoffStatement(subject=found.subjects, predicate=found.predicate)


def _contents(shown: ShownChange) -> Iterator[bytes]:
    return (bytes(file.after) for file in shown.files if file.after is not None)


def _said(waiting: SignoffState, state: SignoffState | None) -> str:
    if state is None:
        return f"not signed: {waiting.phase} {waiting.signoff}"
    rest = f", still lacks {', '.join(state.unsigned_by)}" if state.unsigned_by else ""
    return f"signed: {waiting.phase} {waiting.signoff}{rest}"
