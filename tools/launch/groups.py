"""The commands that come in groups: `sandbox up`, `servers pin`, `keys rotate`, `audit verify`, `bearer make` and their like."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tools.launch.terminal import Json, StateDir, answer, leave

sandbox = typer.Typer(
    help="The rehearsal GitHub and cluster, kept running between runs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
servers = typer.Typer(
    help="Other people's MCP servers behind the gate.", no_args_is_help=True, rich_markup_mode=None
)
keys = typer.Typer(
    help="The keys that the gate trusts: notary, person, waiver, journal; real ones and the sandbox's apart.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
audit = typer.Typer(
    help="The gate's journal: whether it is as it was written, and what it says.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
bearer = typer.Typer(
    help="Who may speak to `serve gate --http`, and as which role.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Sandbox = Annotated[
    bool, typer.Option("--sandbox", help="The sandbox's key, which counts on no real target.")
]
P256 = Annotated[bool, typer.Option("--p256", help="ECDSA on P-256 instead of ed25519.")]
GROUPS = {"sandbox": sandbox, "servers": servers, "keys": keys, "audit": audit, "bearer": bearer}
"""By the name of each on the command line."""


@sandbox.command()
def up(*, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Start the rehearsal GitHub and cluster and keep them running."""
    from tools.launch import rehearsal  # noqa: PLC0415

    document, text = rehearsal.sandbox_up(state_dir)
    answer(document, text, as_json=as_json)


@sandbox.command()
def down(*, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Stop them; what they hold stays for the next `up`."""
    from tools.launch import rehearsal  # noqa: PLC0415

    document, text = rehearsal.sandbox_down(state_dir)
    answer(document, text, as_json=as_json)


@sandbox.command()
def status(*, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Say whether they run, and where."""
    from tools.launch import rehearsal  # noqa: PLC0415

    document, text = rehearsal.sandbox_status(state_dir)
    answer(document, text, as_json=as_json)


@servers.command("list")
def servers_list(*, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Name each one, who pinned its tools, and why it is shut out if it is."""
    from tools.launch import servers  # noqa: PLC0415

    document, text = servers.listed(state_dir)
    answer(document, text, as_json=as_json)


@servers.command("pin")
def servers_pin(
    name: Annotated[str, typer.Argument(help="A server of countersign.toml.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="You have read what changed.")] = False,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Show what its tools are now against what was pinned, ask, and pin that; it lets a shut-out server in again."""
    from tools.launch import servers  # noqa: PLC0415

    document, text = servers.pin(name, yes=yes, state_dir=state_dir)
    answer(document, text, as_json=as_json)
    leave(0 if document["pinned"] else 3)


@keys.command("init")
def keys_init(
    role: Annotated[
        str | None,
        typer.Argument(help="notary, person, waiver or journal. Without it: all that a run needs."),
    ] = None,
    *,
    sandbox: Sandbox = False,
    p256: P256 = False,
    owner: Annotated[str | None, typer.Option(help="Whose key it is.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the private key here, not into the gate's folder.")
    ] = None,
    public: Annotated[
        Path | None, typer.Option(help="Trust this public key (PEM); its private half is elsewhere.")
    ] = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Make the keys that are missing, or trust somebody else's public key."""
    from tools.launch import keys as own  # noqa: PLC0415

    document, text = own.init(
        role, sandbox=sandbox, p256=p256, owner=owner, out=out, public=public, state_dir=state_dir
    )
    answer(document, text, as_json=as_json)


@keys.command("show")
def keys_show(*, as_json: Json = False, state_dir: StateDir = None) -> None:
    """List every key, whose it is, what it may sign, until when."""
    from tools.launch import keys as own  # noqa: PLC0415

    document, text = own.show(state_dir)
    answer(document, text, as_json=as_json)


@keys.command("rotate")
def keys_rotate(
    role: Annotated[str, typer.Argument(help="notary, person, waiver or journal.")],
    *,
    sandbox: Sandbox = False,
    p256: P256 = False,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Make a new key in the old one's place; the old one still verifies what it signed."""
    from tools.launch import keys as own  # noqa: PLC0415

    document, text = own.rotate(role, sandbox=sandbox, p256=p256, state_dir=state_dir)
    answer(document, text, as_json=as_json)


@keys.command("revoke")
def keys_revoke(
    what: Annotated[
        str, typer.Argument(help="The beginning of a key id, or the whole digest of a sign-off.")
    ],
    *,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Take back a key or one sign-off: it counts for nothing from the next call on."""
    from tools.launch import keys as own  # noqa: PLC0415

    document, text = own.revoke(what, state_dir)
    answer(document, text, as_json=as_json)


@audit.command("verify")
def audit_verify(
    *,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="A checkpoint that was kept elsewhere, or a run's document that holds one."),
    ] = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Check every entry of the journal; exit 3 when one was edited, removed, reordered, cut off, forked or rolled back."""
    from tools.launch import audit as auditing  # noqa: PLC0415

    document, text = auditing.verify(state_dir, checkpoint)
    answer(document, text, as_json=as_json)
    leave(0 if document["valid"] else 3)


@audit.command("replay")
def audit_replay(*, as_json: Json = False, state_dir: StateDir = None) -> None:
    """Make the graph again from the journal; what stands in it already is not doubled."""
    from tools.launch import replaying  # noqa: PLC0415

    document, text = replaying.replay(state_dir, os.environ)
    answer(document, text, as_json=as_json)


@bearer.command("make")
def bearer_make(
    role: Annotated[str, typer.Argument(help="planner, devops, security, sre, person, notary or gate.")],
    *,
    name: Annotated[str | None, typer.Option(help="The client's name. Default: the role.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="Take the token from this file, or write a new one into it.")
    ] = None,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Make a bearer for one client of `serve gate --http`. The token is shown once; only its digest is kept."""
    from tools.launch import serving  # noqa: PLC0415

    document, text = serving.bearer_make(role, name, file, state_dir)
    answer(document, text, as_json=as_json)


@bearer.command("list")
def bearer_list(*, as_json: Json = False, state_dir: StateDir = None) -> None:
    """List the bearers: name, role, since when."""
    from tools.launch import serving  # noqa: PLC0415

    document, text = serving.bearer_list(state_dir)
    answer(document, text, as_json=as_json)


@bearer.command("revoke")
def bearer_revoke(
    name: Annotated[str, typer.Argument(help="As `bearer list` shows it.")],
    *,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Forget a bearer; its next request is turned away."""
    from tools.launch import serving  # noqa: PLC0415

    document, text = serving.bearer_revoke(name, state_dir)
    answer(document, text, as_json=as_json)
