"""Every fault that a command may end with, in one sentence and with its exit code."""

from __future__ import annotations

from policies.profile import ProfileFaultError
from policies.refusal import GateError
from policies.trust import TrustFaultError
from tools.environments import EnvironmentFaultError
from tools.gate.journal import JournalFaultError
from tools.gate.servers.adapter import AdapterFaultError
from tools.gate.servers.pinning import PinFaultError
from tools.gateway.bearers import BearerFaultError
from tools.launch.config import ConfigFaultError
from tools.launch.goal_text import GoalFaultError
from tools.notary.keys import KeyFaultError
from tools.session import SessionFaultError
from tools.tool import ToolRefusedError
from tools.verbs import TargetError

USAGE: tuple[type[Exception], ...] = (
    AdapterFaultError,
    BearerFaultError,
    ConfigFaultError,
    GoalFaultError,
    KeyFaultError,
    PinFaultError,
    ProfileFaultError,
    TrustFaultError,
)
REFUSALS: tuple[type[Exception], ...] = (ToolRefusedError, GateError)
FAULTS: tuple[type[Exception], ...] = (
    EnvironmentFaultError,
    JournalFaultError,
    SessionFaultError,
    TargetError,
    OSError,
)
KNOWN = (*USAGE, *REFUSALS, *FAULTS)


def explained(fault: BaseException) -> tuple[int, str]:
    """Exit code and sentence."""
    if isinstance(fault, USAGE):
        return 2, str(fault)
    if isinstance(fault, REFUSALS):
        return 3, str(fault)
    return 1, str(fault)
