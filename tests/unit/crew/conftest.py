"""Vendors' own warnings at their import are not ours; and no framework may call home from a test."""

import os
import tempfile
import warnings

os.environ |= {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_STORAGE_DIR": tempfile.mkdtemp(prefix="crewai-"),
    "AUTOGEN_DISABLE_RUNTIME_TRACING": "true",
}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import autogen_agentchat.teams
    import crewai

    import crew.durable

    crew.durable.modern_sqlite()
    import dbos

__all__ = ["autogen_agentchat", "crewai", "dbos"]


def pytest_configure(config: object) -> None:
    """Deprecations inside the vendors' own code."""
    for line in (
        "ignore::DeprecationWarning:crewai",
        "ignore::DeprecationWarning:autogen_.*",
        "ignore::DeprecationWarning:dbos.*",
    ):
        config.addinivalue_line("filterwarnings", line)  # type: ignore[attr-defined]
