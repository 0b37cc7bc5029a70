"""The person's key on the goal: made once per run, before anything starts, and kept where the crew can neither read nor write."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner

from policies import request
from policies.change import digest_of
from policies.request import Request
from policies.trust import instant
from tools.launch import folders
from tools.launch.config import Config, ConfigFaultError
from tools.notary import trust_file
from tools.notary.keys import ensure_keys, key_path, load_signer, make_key


def prepared(config: Config) -> None:
    """The folder and the keys that a run needs here: with a gate elsewhere the person's alone. Raises ConfigFaultError, KeyFaultError."""
    folder = folders.private(config.state_dir)
    if config.file.gate.url is None:
        ensure_keys(folder, config.rehearsal)
    elif config.rehearsal:
        make_key(folder, "person", rehearsal=True)


def requester(config: Config) -> CryptoSigner:
    """This person's own key. Raises KeyFaultError saying how to make one."""
    return load_signer(key_path(config.state_dir, config.rehearsal, "person"))


def ask(config: Config, run_id: str, goal: str, signer: CryptoSigner, now: datetime) -> str:
    """Sign the goal of a new run; the bundle, which is kept for `--resume`. Raises ConfigFaultError, OSError."""
    asked = Request(
        goal_digest=digest_of(goal.encode()),
        run_id=run_id,
        profile=config.profile.name,
        rehearsal=config.rehearsal,
        requested_at=instant(now),
    )
    bundle = request.sign(asked, signer)
    keep(config, run_id, bundle)
    return bundle


def keep(config: Config, run_id: str, bundle: str) -> None:
    """Raises ConfigFaultError, OSError."""
    folders.private(_folder(config))
    trust_file.write(_path(config, run_id), bundle.encode())


def kept(config: Config, run_id: str) -> str:
    """The bundle of a run that began before. Raises ConfigFaultError where there is none."""
    try:
        return _path(config, run_id).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigFaultError(
            f"the signed goal of {run_id} cannot be read ({fault}): start the goal again with `countersign run`"
        ) from None


def _folder(config: Config) -> Path:
    return config.state_dir / "requests"


def _path(config: Config, run_id: str) -> Path:
    return _folder(config) / f"{run_id}.sigstore.json"
