"""The gate's settings -> its live targets. The one place that knows both vendors' doors."""

from __future__ import annotations

from tools.gate.targets import Targets
from tools.github.target import open_target as open_repository
from tools.kubernetes.target import open_target as open_cluster
from tools.settings import GateSettings


def open_targets(told: GateSettings) -> Targets:
    """Targets for what the settings name; nothing is called before it is asked. Raises TargetError."""
    return Targets(
        repository=open_repository(told.github) if told.github else None,
        cluster=open_cluster(told.kubernetes) if told.kubernetes else None,
    )
