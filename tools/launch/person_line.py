"""A gate of its own on the person's pipe alone: it resolves, shows and takes the person's word, and submits nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tools import confine, environments
from tools.launch.config import Config
from tools.launch.processes import House, pair
from tools.launch.rehearsal import Rehearsal
from tools.launch.wiring import github_settings, kubernetes_settings
from tools.session import BackgroundSessions
from tools.settings import GateSettings


@contextmanager
def person_line(
    house: House, config: Config, run_id: str, *, request: str | None, sandbox: Rehearsal | None
) -> Iterator[BackgroundSessions]:
    """Sessions whose `gate` is that gate. Raises SessionFaultError when it cannot be asked."""
    person, gate_end = pair()
    unused, notary_end = pair()
    base = environments.environment("base").python
    child = house.start("gate", [base, "-P", "-m", "tools.gate"], [gate_end, notary_end])
    child.tell(
        GateSettings(
            state_dir=config.state_dir,
            run_id=run_id,
            profile=config.profile_path,
            rehearsal=config.rehearsal,
            isolation=confine.isolation(),
            github=github_settings(config, sandbox),
            kubernetes=kubernetes_settings(config, sandbox),
            ask_person=False,
            dry_run=True,
            roles={"person": gate_end},
            notary_fd=notary_end,
            request=request,
        )
    )
    try:
        with BackgroundSessions({"gate": person}) as sessions:
            yield sessions
    finally:
        os.close(unused)
