"""The gate's settings -> its live targets. The one place that knows both vendors' doors."""

from __future__ import annotations

from collections.abc import Callable

from tools.gate.targets import Targets
from tools.github.target import open_target as open_repository
from tools.kubernetes.target import open_target as open_cluster
from tools.settings import GateSettings


def open_targets(told: GateSettings, before_write: Callable[[], None]) -> Targets:
    """Targets for what the settings name; nothing is called before it is asked. Raises TargetError.

    `before_write` is called before each request that would change one, and may raise.
    """
    return Targets(
        repository=open_repository(told.github, before_write) if told.github else None,
        cluster=open_cluster(told.kubernetes, before_write) if told.kubernetes else None,
    )
