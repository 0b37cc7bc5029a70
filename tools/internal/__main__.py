"""`python -m tools.internal`: the crew's tools by themselves, for any MCP client, without a graph and a target."""

from __future__ import annotations

import argparse
import functools
import shutil
from pathlib import Path

import anyio

from knowledge.blueprint import load_all
from knowledge.inventory import Inventory
from knowledge.pins import PINS
from knowledge.pins import load as load_pins
from knowledge.retrieval import Memory
from knowledge.sources import blueprint_sources, rule_sources
from policies import profile as profiles
from policies.change import Destination
from policies.rules import RULES
from tools import serve
from tools.internal.server import Parts, tools
from tools.terraform import Terraform
from tools.tool import Role

PROFILES = Path(profiles.__file__).with_name("profiles")


def parts(profile: Path, terraform: Path | None, mirror: Path | None) -> Parts:
    """Parts without a target: an empty inventory and no graph. Raises the fault of whatever cannot be read."""
    blueprints = load_all()
    memory = functools.cache(lambda: Memory((*blueprint_sources(blueprints), *rule_sources(RULES))))
    return Parts(
        blueprints=blueprints,
        pins=load_pins(PINS),
        profile=profiles.load(profile),
        terraform=Terraform(terraform, mirror),
        memory=memory,
        inventory=lambda: Inventory(destination=Destination(), gaps=("no target is connected",)),
        graph=lambda: None,
    )


def main(argv: list[str] | None = None) -> None:
    """Serve stdio, or streamable HTTP on a loopback port, as one role until the client leaves."""
    parser = argparse.ArgumentParser(prog="tools.internal")
    parser.add_argument("--profile", type=Path, default=PROFILES / "default.toml")
    parser.add_argument(
        "--role", type=Role, choices=[Role.PLANNER, Role.DEVOPS, Role.SECURITY, Role.SRE], default=Role.DEVOPS
    )
    parser.add_argument("--http", type=int, metavar="PORT")
    parser.add_argument("--mirror", type=Path, help="filesystem mirror of Terraform providers")
    given = parser.parse_args(argv)
    found = shutil.which("terraform")
    mounted = tools(parts(given.profile, Path(found) if found else None, given.mirror))
    if given.http is None:
        anyio.run(functools.partial(serve.serve_stdio, mounted, name="internal", role=given.role))
    else:
        anyio.run(
            functools.partial(serve.serve_http, mounted, name="internal", role=given.role, port=given.http)
        )


if __name__ == "__main__":
    main()
