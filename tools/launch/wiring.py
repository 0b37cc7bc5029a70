"""Config -> the settings of each process, and the processes of a run."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from tools import environments
from tools.launch.config import Config, ConfigFaultError
from tools.launch.processes import House, lines_pipe, pair
from tools.launch.rehearsal import Rehearsal
from tools.settings import (
    CrewSettings,
    GateSettings,
    GitHubSettings,
    GraphSettings,
    KubernetesSettings,
    ModelSettings,
    NotarySettings,
    RemoteSettings,
    ServerSettings,
    TraceSettings,
)

CREW_ROLES = ("planner", "devops", "security", "sre")


@dataclass(frozen=True)
class RunSettings:
    """What every process of one run is told alike."""

    run_id: str
    run_dir: Path
    goal: str
    language: Literal["ko", "en"] | None
    dry_run: bool
    ask_person: bool
    isolation: str
    traceparent: str | None
    request: str | None
    waiting: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Started:
    """The launcher's own ends."""

    person_fd: int
    progress: IO[str]
    crew: Any


@dataclass(frozen=True)
class Guard:
    """A gate with its notary: our ends of the pipes, and what the gate still waits to be told."""

    roles: Mapping[str, int]
    security: int
    tell: Callable[[Rehearsal | None], None]


def start(
    house: House, config: Config, run: RunSettings, rehearsal: Callable[[], Rehearsal | None]
) -> Started:
    """Start notary, gate, graph and crew; all import at once, each works as soon as it is told.

    `rehearsal` is asked for the sandbox's addresses after everything else is under way.
    """
    crew_python = environments.environment("crew").python
    begin = start_guard if config.file.gate.url is None else start_remote
    guard = begin(house, config, run, (*CREW_ROLES, "person"))
    progress, progress_fd = lines_pipe()
    crew_roles = {role: guard.roles[role] for role in CREW_ROLES}
    crew = house.start(
        "crew", [crew_python, "-P", "-m", "crew"], [*crew_roles.values(), guard.security, progress_fd]
    )
    graph = graph_settings(house, config, crew_python)
    crew.tell(_crew(config, run, _trace(config, run), crew_roles, guard.security, progress_fd, graph))
    guard.tell(rehearsal())
    return Started(guard.roles["person"], progress, crew)


def start_guard(house: House, config: Config, run: RunSettings, roles: Sequence[str]) -> Guard:
    """Start notary and gate with a pipe for each role; the notary works already, the gate once it is told its targets."""
    base = environments.environment("base").python
    trace = _trace(config, run)
    security, notary_security = pair()
    notary_to_gate, gate_from_notary = pair()
    gate_to_notary, notary_from_gate = pair()
    notary = house.start(
        "notary", [base, "-P", "-m", "tools.notary"], [notary_security, notary_to_gate, notary_from_gate]
    )
    ends = {role: pair() for role in roles}
    gate_roles = {role: gate_end for role, (_, gate_end) in ends.items()} | {"notary": gate_from_notary}
    gate = house.start("gate", [base, "-P", "-m", "tools.gate"], [*gate_roles.values(), gate_to_notary])
    notary.tell(
        NotarySettings(
            state_dir=config.state_dir,
            profile=config.profile_path,
            pins=environments.SOURCE / "knowledge" / "pins.toml",
            scanner_python=environments.environment("scanner").python,
            rehearsal=config.rehearsal,
            isolation=run.isolation,
            security_fd=notary_security,
            gate_fd=notary_to_gate,
            plan_fd=notary_from_gate,
            request=run.request,
            trace=trace,
        )
    )

    def tell(sandbox: Rehearsal | None) -> None:
        gate.tell(
            GateSettings(
                state_dir=config.state_dir,
                run_id=run.run_id,
                profile=config.profile_path,
                rehearsal=config.rehearsal,
                isolation=run.isolation,
                github=github_settings(config, sandbox),
                kubernetes=kubernetes_settings(config, sandbox),
                servers=server_settings(config),
                ask_person=run.ask_person,
                dry_run=run.dry_run,
                roles=gate_roles,
                notary_fd=gate_to_notary,
                request=run.request,
                trace=trace,
            )
        )

    return Guard({role: ours for role, (ours, _) in ends.items()}, security, tell)


def start_remote(house: House, config: Config, run: RunSettings, roles: Sequence[str]) -> Guard:
    """The same pipes to a gate that stands elsewhere; its bearers stay with the process that is started here."""
    told = config.file.gate
    if told.url is None or told.bearers is None or run.request is None:
        raise ConfigFaultError("[gate] url and bearers belong together, and a run there has a signed goal")
    ends, (security, from_security) = {role: pair() for role in roles}, pair()
    theirs = {role: far for role, (_, far) in ends.items()}
    base = environments.environment("base").python
    child = house.start("gate", [base, "-P", "-m", "tools.gateway"], [*theirs.values(), from_security])
    child.tell(
        RemoteSettings(
            url=told.url,
            bearers=told.bearers.expanduser(),
            run_id=run.run_id,
            request=run.request,
            dry_run=run.dry_run,
            gate=theirs,
            notary={"security": from_security},
            trace=_trace(config, run),
        )
    )
    return Guard({role: ours for role, (ours, _) in ends.items()}, security, lambda _: None)


def _trace(config: Config, run: RunSettings) -> TraceSettings:
    return TraceSettings(
        traceparent=run.traceparent,
        file=run.run_dir / "trace.jsonl",
        otlp_endpoint=config.file.traces.otlp_endpoint,
    )


def _crew(
    config: Config,
    run: RunSettings,
    trace: TraceSettings,
    roles: Mapping[str, int],
    notary_fd: int,
    progress_fd: int,
    graph: GraphSettings | None,
) -> CrewSettings:
    model = config.file.model
    return CrewSettings(
        run_id=run.run_id,
        run_dir=run.run_dir,
        goal=run.goal,
        language=run.language,
        profile=config.profile_path,
        dry_run=run.dry_run,
        review_patience=config.file.github.review_minutes * 60,
        model=ModelSettings(
            model=model.model,
            base_url=model.base_url,
            api_key=config.api_key,
            timeout_seconds=model.timeout_seconds,
        ),
        graph=graph,
        waiting=run.waiting,
        gate=roles,
        notary_fd=notary_fd,
        progress_fd=progress_fd,
        terraform=config.terraform,
        provider_mirror=config.provider_mirror,
        trace=trace,
        readable=(config.profile_path, *run.waiting),
        hidden=(
            config.state_dir,
            *([told.bearers.expanduser()] if (told := config.file.gate).bearers else ()),
        ),
    )


def graph_settings(house: House, config: Config, crew_python: Path) -> GraphSettings | None:
    """The memory's address: the configured Neo4j, or an embedded server that this run starts or finds."""
    graph = config.file.graph
    if graph.kind == "neo4j":
        if graph.uri is None or graph.password_file is None:
            raise ConfigFaultError('[graph] kind = "neo4j" needs uri and password_file')
        return GraphSettings(uri=graph.uri, user=graph.user, password=_secret(graph.password_file))
    if graph.kind == "none":
        return None
    folder = config.runs_dir.parent / "graph"
    from tools.launch.embedded import settings_of  # noqa: PLC0415 - only for the embedded server

    return settings_of(house, folder, crew_python)


def github_settings(config: Config, sandbox: Rehearsal | None) -> GitHubSettings:
    """The repository that is configured. Raises ConfigFaultError when it is the sandbox's and that is not there."""
    github = config.file.github
    if github.kind == "sandbox":
        if sandbox is None:
            raise ConfigFaultError("the sandbox is configured and was not started")
        return GitHubSettings(
            api_url=sandbox.github_api,
            repository=sandbox.repository,
            base_branch=github.base_branch,
            token_file=sandbox.github_token_file,
        )
    token = github.token_file or config.state_dir / "credentials" / "github.token"
    return GitHubSettings(
        api_url=github.api_url, repository=github.repository, base_branch=github.base_branch, token_file=token
    )


def kubernetes_settings(config: Config, sandbox: Rehearsal | None) -> KubernetesSettings:
    """The cluster that is configured. Raises ConfigFaultError when it is the sandbox's and that is not there."""
    cluster = config.file.kubernetes
    if cluster.kind == "sandbox":
        if sandbox is None:
            raise ConfigFaultError("the sandbox is configured and was not started")
        return KubernetesSettings(kubeconfig=sandbox.kubeconfig)
    if cluster.kind == "in-cluster":
        return KubernetesSettings(in_cluster=True)
    return KubernetesSettings(kubeconfig=cluster.kubeconfig, context=cluster.context)


def server_settings(config: Config) -> Mapping[str, ServerSettings]:
    """Other people's servers as they are configured; a name without `.toml` is an adapter of ours."""
    adapters = environments.SOURCE / "tools" / "gate" / "adapters"
    return {
        name: ServerSettings(
            adapter=Path(told.adapter).expanduser()
            if told.adapter.endswith(".toml")
            else adapters / f"{told.adapter}.toml",
            argv=told.argv,
            program_sha256=told.program_sha256,
            env=told.env,
            credentials=told.credentials,
            readable=told.readable,
            performs=told.performs,
        )
        for name, told in config.file.servers.items()
    }


def _secret(path: Path) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8").strip()
    except OSError as fault:
        raise ConfigFaultError(f"cannot read {path}: {fault.strerror}") from fault


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fresh_password() -> str:
    """For a server of our own that lives as long as a run."""
    return secrets.token_urlsafe(24)
