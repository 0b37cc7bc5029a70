"""`countersign verify SIGNOFF`: the envelope, the manifest, and the folder beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.launch.commands import read_config
from tools.launch.config import ConfigFaultError
