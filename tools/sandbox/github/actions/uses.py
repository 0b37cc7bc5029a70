"""The actions that a rehearsal knows. Checkout and artifacts are done for real; the others say what they did not do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from policies.change import digest_of
from tools.confine import python_paths
from tools.sandbox.github import views
from tools.sandbox.github.actions.archive import NOTHING
from tools.sandbox.github.actions.child import Place
from tools.sandbox.github.bare import NoSuchObjectError, environment
from tools.sandbox.github.hub import Hub
from tools.sandbox.github.records import Artifact, Job, Run

ARCHIVE = Path(__file__).with_name("archive.py")
_IGNORED = {
    "fetch-depth",
    "persist-credentials",
    "clean",
    "token",
    "github-token",
    "repository",
    "retention-days",
    "overwrite",
}


@dataclass
class Done:
    """How a step ended. `rehearsed` says why it was not really done; `environment` goes to the steps after it.

    `hollow`: what later steps would need of it is not there, so that their failure says nothing.
    """

    conclusion: Literal["success", "failure"] = "success"
    rehearsed: str = ""
    hollow: bool = False
    outputs: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Use:
    """One `uses:` step: where it works, what it was told, where it logs."""

    hub: Hub
    run: Run
    place: Place
    path: str
    arguments: Mapping[str, str]
    say: Callable[[str], None]

    def unknown(self, *known: str) -> str:
        """The inputs that the rehearsal does not honour, as a sentence; empty when there are none."""
        left = {key for key, value in self.arguments.items() if value} - {*known} - _IGNORED
        return f"the sandbox does not rehearse these inputs: {', '.join(sorted(left))}" if left else ""


def perform(action: str, use: Use) -> Done:
    """Do what `owner/name@ref` does, as far as a rehearsal can."""
    done = _ACTIONS.get(action.partition("@")[0].lower())
    if done is None:
        return Done(
            rehearsed=f"the sandbox has no network and does not know the action {action}", hollow=True
        )
    return done(use)


def _failed(use: Use, why: str) -> Done:
    use.say(f"##[error]{why}")
    return Done("failure")


def _checkout(use: Use) -> Done:
    if fault := use.unknown("ref", "path"):
        return _failed(use, fault)
    if use.arguments.get("repository", use.hub.settings.full_name) != use.hub.settings.full_name:
        return _failed(use, "the sandbox holds no other repository")
    try:
        commit = use.hub.git.resolve(use.arguments.get("ref") or use.run.commit)
    except NoSuchObjectError as missing:
        return _failed(use, str(missing))
    script = (
        'git init -q "$2" && cd "$2" && git -c protocol.file.allow=always fetch -q --depth=1 "$0" "$1"'
        " && git -c advice.detachedHead=false checkout -q --detach FETCH_HEAD && git log -1 --oneline"
    )
    bare = str(use.hub.git.path)
    argv = ["/bin/sh", "-c", script, bare, commit, use.arguments.get("path") or "."]
    env = environment(use.path) | {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    code = use.place.lines(argv, cwd=use.place.workspace, env=env, say=use.say, deadline=120)
    return (
        Done(outputs={"commit": commit, "ref": use.run.ref})
        if code == 0
        else _failed(use, f"git exit {code}")
    )


def _upload(use: Use) -> Done:
    if fault := use.unknown("name", "path", "if-no-files-found", "compression-level", "include-hidden-files"):
        return _failed(use, fault)
    name = use.arguments.get("name") or "artifact"
    patterns = [line.strip() for line in use.arguments.get("path", "").splitlines() if line.strip()]
    if not patterns or any(pattern.startswith("!") for pattern in patterns):
        return _failed(use, "path must name files or folders; exclusions are not rehearsed")
    if any(a.run == use.run.id and a.name == name for a in use.hub.records.all(Artifact)):
        return _failed(use, f"an artifact with the name {name} already exists on this run")
    code, data, complaint = use.place.data(_python("pack", *patterns), env={})
    if code == NOTHING:
        use.say(f"No files were found with the provided path: {' '.join(patterns)}")
        return Done("failure" if use.arguments.get("if-no-files-found") == "error" else "success")
    if code != 0:
        return _failed(use, complaint or f"exit {code}")
    artifact = keep(use.hub, use.run, name, data, _days(use.arguments.get("retention-days")))
    use.say(f"Artifact {name} has been uploaded: {len(data)} bytes, {artifact.digest}")
    return Done(
        outputs={"artifact-id": str(artifact.id), "artifact-digest": artifact.digest.removeprefix("sha256:")}
    )


def keep(hub: Hub, run: Run, name: str, data: bytes, days: int = 90) -> Artifact:
    """File an artifact's zip."""
    with hub.lock:
        artifact = Artifact(
            id=hub.records.next_id(Artifact),
            run=run.id,
            name=name,
            size=len(data),
            digest=digest_of(data),
            created_at=hub.timestamp(),
            expires_at=views.later(hub, days),
        )
        path = zip_of(hub, artifact.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return hub.records.put(artifact)


def zip_of(hub: Hub, number: int) -> Path:
    """Where an artifact's bytes lie."""
    return hub.state / "artifacts" / f"{number}.zip"


def _download(use: Use) -> Done:
    if fault := use.unknown("name", "path", "run-id"):
        return _failed(use, fault)
    wanted, name = use.arguments.get("run-id") or str(use.run.id), use.arguments.get("name", "")
    held = [a for a in use.hub.records.all(Artifact) if str(a.run) == wanted and a.name == name]
    if not held and any(j.hollow for j in use.hub.records.all(Job) if str(j.run) == wanted):
        return Done(
            rehearsed=f"run {wanted} only rehearsed what would have made the artifact {name}", hollow=True
        )
    if not held:
        return _failed(
            use, f"Unable to download artifact(s): Artifact not found for name: {name} (run {wanted})"
        )
    folder = use.arguments.get("path") or "."
    data = zip_of(use.hub, held[-1].id).read_bytes()
    code, names, complaint = use.place.data(_python("unpack", folder), env={}, stdin=data)
    if code != 0:
        return _failed(use, complaint or f"exit {code}")
    use.say(
        f"Artifact {name} of run {wanted} ({held[-1].digest}) downloaded to {folder}: {names.decode(errors='replace').split()}"
    )
    return Done(outputs={"download-path": str(use.place.workspace / folder)})


def _setup_terraform(use: Use) -> Done:
    wanted = use.arguments.get("terraform_version", "latest")
    return Done(
        rehearsed=f"nothing was installed (asked: {wanted}); the machine's own terraform, if any, is used"
    )


def _credentials(use: Use) -> Done:
    region = use.arguments.get("aws-region", "")
    return Done(
        rehearsed="there is no cloud and no identity provider in the sandbox: no role was taken",
        environment={"AWS_REGION": region, "AWS_DEFAULT_REGION": region},
    )


def _python(*arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(ARCHIVE), *arguments]


def readable() -> tuple[Path, ...]:
    """What the archive program needs."""
    return (ARCHIVE, *(Path(path) for path in python_paths()))


def _days(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and int(text) > 0 else 90


_ACTIONS: Mapping[str, Callable[[Use], Done]] = {
    "actions/checkout": _checkout,
    "actions/upload-artifact": _upload,
    "actions/download-artifact": _download,
    "hashicorp/setup-terraform": _setup_terraform,
    "aws-actions/configure-aws-credentials": _credentials,
}
