"""`countersign.toml` and the command line, merged once into a frozen value."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator

from policies.change import Digest, Word
from policies.profile import Profile, ProfileFaultError, load

SOURCE = Path(__file__).resolve().parents[2]
FILE = "countersign.toml"
ServerName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,19}$")]


class ConfigFaultError(Exception):
    """Something the person configured cannot be used; the message says what to change. Exit code 2."""


class GitHubConfig(Word):
    """Where the repository is. The token lies in the gate's own folder unless `token_file` says otherwise."""

    kind: Literal["sandbox", "github"] = "sandbox"
    api_url: str = "https://api.github.com"
    repository: str = Field(default="acme/platform", pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")
    base_branch: str = "main"
    token_file: Path | None = None
    review_minutes: float = Field(
        default=10,
        ge=0,
        le=1440,
        description="how long a run waits for a review before it ends, to be resumed",
    )


class KubernetesConfig(Word):
    """Where the cluster is."""

    kind: Literal["sandbox", "kubeconfig", "in-cluster"] = "sandbox"
    kubeconfig: Path | None = None
    context: str | None = None


class GateConfig(Word):
    """A gate that runs elsewhere, under another user: its address, and a folder with ROLE.token for each role."""

    url: str | None = None
    bearers: Path | None = None

    @field_validator("url")
    @classmethod
    def _no_bearer_in_the_clear(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "")
        near = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost"}
        if url is not None and not ((near or parts.scheme == "https") and parts.netloc and not parts.query):
            raise ValueError("a bearer goes to http://127.0.0.1:PORT, or over https, and nowhere else")
        return url if url is None else url.rstrip("/").removesuffix("/mcp")

    @model_validator(mode="after")
    def _both(self) -> GateConfig:
        if (self.url is None) != (self.bearers is None):
            raise ValueError("url and bearers belong together")
        return self


class GraphConfig(Word):
    """Where the memory is: a Neo4j by URI, or the embedded Bolt server."""

    kind: Literal["embedded", "neo4j", "none"] = "embedded"
    uri: str | None = None
    user: str = "neo4j"
    password_file: Path | None = None


class ModelConfig(Word):
    """`offline`, or a CrewAI model id. The key is named by its environment variable, never written down."""

    model: str = "offline"
    base_url: str | None = None
    api_key_env: str | None = None
    timeout_seconds: float = Field(default=60.0, gt=0, le=3600)


class ServerConfig(Word):
    """Another's MCP server behind the gate. A credential is named by its file, never written down."""

    adapter: str = Field(description="the name of an adapter of ours, or the path of a .toml file")
    argv: tuple[str, ...] = Field(min_length=1, description="an absolute program and its arguments")
    program_sha256: Digest | None = None
    env: Mapping[str, str] = {}
    credentials: Mapping[str, Path] = {}
    readable: tuple[Path, ...] = ()
    performs: tuple[str, ...] = ()

    @field_validator("argv")
    @classmethod
    def _absolute(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if not Path(argv[0]).is_absolute():
            raise ValueError(f"{argv[0]!r} is no absolute path: a search path is no pinned program")
        return argv


class TracesConfig(Word):
    """A collector that gets the spans besides the run's own file."""

    otlp_endpoint: str | None = None


class File(Word):
    """The whole of `countersign.toml`."""

    profile: str = "sandbox"
    gate: GateConfig = GateConfig()
    github: GitHubConfig = GitHubConfig()
    kubernetes: KubernetesConfig = KubernetesConfig()
    graph: GraphConfig = GraphConfig()
    model: ModelConfig = ModelConfig()
    traces: TracesConfig = TracesConfig()
    servers: Mapping[ServerName, ServerConfig] = Field(default={}, description="other people's MCP servers")


class Config(Word):
    """What one command works with."""

    file: File
    profile: Profile
    profile_path: Path
    state_dir: Path = Field(description="the gate's folder, 0700, per user")
    runs_dir: Path = Field(description="one folder per run")
    api_key: str | None = Field(default=None, repr=False)
    terraform: Path | None = None
    provider_mirror: Path | None = None

    @property
    def rehearsal(self) -> bool:
        """True when nothing real can be touched: both targets are the sandbox, or a gate elsewhere holds them for rehearsals."""
        if self.file.gate.url is not None:
            return self.profile.rehearsal
        return self.file.github.kind == "sandbox" and self.file.kubernetes.kind == "sandbox"


def read(
    environ: Mapping[str, str],
    *,
    cwd: Path,
    profile: str | None = None,
    model: str | None = None,
    state_dir: Path | None = None,
) -> Config:
    """Merge the file in `cwd`, the command line and the environment. Raises ConfigFaultError."""
    file = _file(cwd / FILE)
    if model is not None:
        file = file.model_copy(update={"model": file.model.model_copy(update={"model": model})})
    endpoint = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if endpoint and file.traces.otlp_endpoint is None:
        file = file.model_copy(update={"traces": TracesConfig(otlp_endpoint=endpoint)})
    wanted = profile or file.profile
    path = (
        Path(wanted).absolute()
        if wanted.endswith(".toml")
        else SOURCE / "policies" / "profiles" / f"{wanted}.toml"
    )
    try:
        chosen = load(path)
    except ProfileFaultError as fault:
        raise ConfigFaultError(str(fault)) from fault
    home = Path(
        environ.get("XDG_STATE_HOME") or Path(environ.get("HOME", "~")).expanduser() / ".local" / "state"
    )
    config = Config(
        file=file,
        profile=chosen,
        profile_path=path,
        state_dir=(state_dir.absolute() / "gate") if state_dir else home / "countersign",
        runs_dir=(state_dir.absolute() if state_dir else cwd.absolute() / ".countersign") / "runs",
        api_key=_api_key(file.model, environ),
        terraform=_which("terraform", environ),
        provider_mirror=provider_mirror(environ),
    )
    if chosen.rehearsal and not config.rehearsal:
        raise ConfigFaultError(
            f"profile {chosen.name!r} is for the sandbox, and {FILE} names a real target: choose --profile default or production"
        )
    if config.rehearsal and not chosen.rehearsal:
        raise ConfigFaultError(
            f"profile {chosen.name!r} is for real targets, and none is configured: run `countersign init`, or use --profile sandbox"
        )
    return config


def _file(path: Path) -> File:
    if not path.exists():
        return File()
    try:
        return File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise ConfigFaultError(f"{path} cannot be read: {fault}") from fault
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigFaultError(f"{path}: {where}: {first['msg']}") from fault


def _api_key(model: ModelConfig, environ: Mapping[str, str]) -> str | None:
    if model.model == "offline":
        return None
    if "/" not in model.model:
        raise ConfigFaultError(
            f"unknown model {model.model!r}: use `offline`, or a provider and a name such as openai/gpt-4.1 or ollama/llama3"
        )
    name = model.api_key_env or model.model.split("/")[0].upper().replace("-", "_") + "_API_KEY"
    return environ.get(name)


def _which(program: str, environ: Mapping[str, str]) -> Path | None:
    for folder in environ.get("PATH", "").split(os.pathsep):
        candidate = Path(folder) / program
        if folder and candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    return None


def provider_mirror(environ: Mapping[str, str]) -> Path | None:
    """A folder of Terraform providers: `COUNTERSIGN_PROVIDER_MIRROR`, or one where administrators keep them."""
    named = environ.get("COUNTERSIGN_PROVIDER_MIRROR")
    if named:
        return Path(named) if Path(named).is_dir() else None
    home = Path(environ.get("HOME", "/"))
    roots = (home / ".terraform.d", Path("/usr/local/share/terraform"), Path("/opt"))
    found = (host.parent for root in roots for host in sorted(root.glob("*/registry.terraform.io")))
    return next(found, None)
