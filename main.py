"""The launcher: the command line and the composition root.

Exit codes: 0 applied (with --dry-run: signed), 3 refused or escalated, 4 waiting for a person, 2 usage,
configuration or a goal not understood, 1 fault. Imports stand inside the commands so that `--help` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from tools.launch.groups import GROUPS
from tools.launch.terminal import Json, StateDir, answer, fail, leave, say

REFUSED, INTERRUPTED = 3, 130
"""Exit codes: a refusal, and what shells say of Ctrl-C."""

app = typer.Typer(
    name="countersign",
    help="A crew of agents that changes infrastructure, and cannot change a byte that Security has not signed.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

for _name, _group in GROUPS.items():
    app.add_typer(_group, name=_name)
Profile = Annotated[str | None, typer.Option(help="sandbox, default, production, or a profile's .toml file.")]
RunName = Annotated[str, typer.Argument(help="A run id, a unique beginning of one, or `last`.")]


@app.command()
def run(
    goal: Annotated[
        str | None, typer.Argument(help="What you want, in Korean or English. Without it: $GOAL.")
    ] = None,
    profile: Profile = None,
    model: Annotated[
        str | None, typer.Option(help="offline, or a CrewAI model id such as openai/gpt-4.1.")
    ] = None,
    lang: Annotated[
        str | None, typer.Option(help="Language of the report: ko or en. Default: the goal's.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Up to the first sign-off; no effect anywhere.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Answer yes, where the profile says unattended = true.")
    ] = False,
    as_json: Json = False,
    state_dir: StateDir = None,
    resume: Annotated[str | None, typer.Option(help="Go on with this run.")] = None,
) -> None:
    """Bring a goal to GitHub and the cluster, signed."""
    from tools.launch import commands  # noqa: PLC0415

    if lang not in {None, "ko", "en"}:
        fail(f"--lang is ko or en, not {lang!r}")
    text = goal if goal is not None else os.environ.get("GOAL", "")
    document, code = commands.run(
        text,
        profile=profile,
        model=model,
        lang=lang,
        dry_run=dry_run,
        yes=yes,
        state_dir=state_dir,
        resume=resume,
        quiet=as_json,
    )
    answer(document, document["report"], as_json=as_json)
    leave(code)


@app.command()
def stop(
    run_id: Annotated[str, typer.Argument(metavar="[RUN|all]", help="A run, or all of them.")] = "all",
    *,
    lift: Annotated[bool, typer.Option("--lift", help="Let it go on.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for the journal.")] = "",
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Halt every call that would change something, at once and until it is lifted; reads go on."""
    from tools.launch import stopping  # noqa: PLC0415

    document, text = stopping.stop(run_id, lift=lift, reason=reason, state_dir=state_dir)
    answer(document, text, as_json=as_json)


@app.command()
def runs(*, as_json: Json = False, state_dir: StateDir = None) -> None:
    """List the runs."""
    from tools.launch import commands  # noqa: PLC0415

    found = commands.runs(state_dir)
    lines = [f"{r['run_id']}  {r['status']:14}  {r['goal'][:80]}" for r in found]
    answer({"runs": found}, "\n".join(lines) or "no runs yet", as_json=as_json)


@app.command()
def show(run_id: RunName = "last", *, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Show a run: plan, negotiation, sign-offs, receipts, report."""
    from tools.launch import commands  # noqa: PLC0415

    document, text = commands.show(run_id, state_dir)
    answer(document, text, as_json=as_json)


@app.command()
def trace(run_id: RunName = "last", *, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Draw a run's trace as a waterfall."""
    from tools.launch import commands  # noqa: PLC0415

    document, text = commands.trace(run_id, state_dir)
    answer(document, text, as_json=as_json)


@app.command()
def verify(
    signoff: Annotated[Path, typer.Argument(help="signoff.sigstore.json of a changeset folder.")],
    *,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Check a sign-off: envelope, manifest, and that the folder holds exactly the signed bytes."""
    from tools.launch import verifying  # noqa: PLC0415

    document, text = verifying.verify(signoff, state_dir)
    answer(document, text, as_json=as_json)
    leave(0 if document["valid"] else 3)


@app.command()
def drift(
    run_id: Annotated[str | None, typer.Argument(help="One run. Default: every run.")] = None,
    *,
    profile: Profile = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Compare what was signed and done with what stands at the targets now; exit 3 when something differs."""
    from tools.launch import drift  # noqa: PLC0415

    document, text = drift.drift(run_id, profile, state_dir, os.environ)
    answer(document, text, as_json=as_json)
    leave(3 if document["differences"] else 0)


@app.command()
def sign(
    run_id: RunName = "last",
    *,
    key: Annotated[Path, typer.Option(help="Your own private key, which did not ask for the run.")],
    profile: Profile = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Read the whole of what waits for a second person's signature, and sign it; exit 3 when something was not."""
    from tools.launch import signing  # noqa: PLC0415

    answers = sys.stdin if sys.stdin.isatty() else None
    document, text, whole = signing.sign(
        run_id, key, profile=profile, state_dir=state_dir, answers=answers, out=sys.stderr, environ=os.environ
    )
    answer(document, text, as_json=as_json)
    leave(0 if whole else 3)


@app.command()
def review(
    path: Annotated[Path, typer.Argument(help="A file or folder with Terraform, manifests or workflows.")],
    *,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Judge files by the profile's policies; exit 3 when something blocks."""
    from tools.launch import reviewing  # noqa: PLC0415

    document, text = reviewing.review(path, profile, say)
    answer(document, text, as_json=as_json)
    leave(0 if document["decision"] == "approve" else 3)


@app.command()
def blueprints(*, as_json: Json = False) -> None:
    """List what the offline model knows how to build."""
    from tools.launch import commands  # noqa: PLC0415

    document, text = commands.blueprints()
    answer(document, text, as_json=as_json)


@app.command()
def doctor(*, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Say what this machine has, what is missing, what that costs and how to get it."""
    from tools.launch import doctor  # noqa: PLC0415

    document, text = doctor.doctor(state_dir)
    answer(document, text, as_json=as_json)
    leave(0 if document["ready"] else 2)


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="gate: the attack corpus; needs the source tree.")],
    *,
    as_json: Json = False,
) -> None:
    """Run the attack corpus: blocked and falsely blocked rates, effects counted at the sandbox; exit 3 unless all held."""
    if name != "gate":
        fail(f"there is no bench {name!r}; there is: gate")
    from tools.launch import benching  # noqa: PLC0415

    document = benching.gate()
    answer(document, benching.text(document), as_json=as_json)
    leave(3 if document["open"] else 0)


@app.command()
def init(
    *,
    repository: Annotated[str | None, typer.Option(help="OWNER/NAME")] = None,
    api_url: Annotated[
        str, typer.Option(help="GitHub's API; a GHES address works too.")
    ] = "https://api.github.com",
    kubeconfig: Annotated[Path | None, typer.Option()] = None,
    context: Annotated[str | None, typer.Option()] = None,
    profile: Annotated[str, typer.Option()] = "default",
    model: Annotated[str, typer.Option()] = "offline",
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Ask for repository, cluster, profile and model, check access through the gate, write countersign.toml."""
    from tools.launch import setting_up  # noqa: PLC0415

    document, text = setting_up.init(
        repository=repository,
        api_url=api_url,
        kubeconfig=kubeconfig,
        context=context,
        profile=profile,
        model=model,
        state_dir=state_dir,
    )
    answer(document, text, as_json=as_json)
    leave(0 if document["written"] else 2)


@app.command()
def serve(
    name: Annotated[str, typer.Argument(help="gate, github, kubernetes, internal, or webhooks.")],
    *,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="webhooks: the loopback port that GitHub's deliveries reach."),
    ] = None,
    http: Annotated[
        int | None, typer.Option(help="Streamable HTTP on this loopback port instead of stdio.")
    ] = None,
    role: Annotated[
        str, typer.Option(help="gate over stdio: whose tools. Over HTTP the bearer says it.")
    ] = "devops",
    separate_user: Annotated[
        bool, typer.Option("--separate-user", help="gate over HTTP: turn away processes of this very user.")
    ] = False,
    profile: Profile = None,
    state_dir: StateDir = None,
) -> None:
    """Serve one MCP server to any MCP client: the gate with propose_change, or another one's read tools. Or webhooks."""
    if name == "webhooks":
        from tools.launch import webhooks  # noqa: PLC0415

        leave(
            webhooks.serve(port if port is not None else fail("serve webhooks needs --port"), state_dir, say)
        )
    from tools.launch import serving  # noqa: PLC0415

    leave(serving.serve(name, http, profile, state_dir, role=role, separate_user=separate_user, say=say))


@app.command()
def request(
    goal: Annotated[
        str, typer.Argument(help="What agents behind `serve gate` may work on, in exactly these words.")
    ],
    *,
    profile: Profile = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Sign a goal with your key for agents behind `serve gate`; the sandbox needs none."""
    from tools.launch import goals  # noqa: PLC0415

    document, text = goals.sign_goal(goal, profile, state_dir)
    answer(document, text, as_json=as_json)


def entry() -> None:
    """The console command. A fault is one sentence on stderr, and with --json the one document on stdout as well."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        code, sentence = _ended()
        if sentence and "--json" in sys.argv:
            status = "refused" if code == REFUSED else "failed"
            answer({"status": status, "exit_code": code, "error": sentence}, "", as_json=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def _ended() -> tuple[int, str]:
    """The exit code of the command that was asked for, and what was said on stderr when it ended in a fault."""
    try:
        code, sentence = app(standalone_mode=False) or 0, ""
    except BrokenPipeError:
        raise  # nobody reads any more, which is no fault
    except TyperException as fault:  # an unknown option or a missing argument
        bad: Any = fault  # typer keeps what its faults can say to itself
        bad.show()
        return bad.exit_code, bad.format_message()
    except typer.Abort:
        code, sentence = 1, "stopped: a question was not answered"
    except _known_faults() as fault:
        from tools.launch.faults import explained  # noqa: PLC0415

        code, sentence = explained(fault)
    if code == INTERRUPTED:
        sentence = "stopped; `countersign run --resume last` goes on from here"
    if sentence:
        say(sentence)
    return code, sentence


def _known_faults() -> tuple[type[BaseException], ...]:
    """Evaluated only when something was raised, so that `--help` imports none of it."""
    from tools.launch.faults import KNOWN  # noqa: PLC0415

    return KNOWN


if __name__ == "__main__":
    entry()
