"""How another's server is started: its own empty folder, its own one credential, confined, and dead when the gate is."""

from __future__ import annotations

import errno
import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

from tools import confine
from tools.settings import ServerSettings

SEARCH = "/usr/local/bin:/usr/bin:/bin"


def starter(told: ServerSettings, home: Path) -> Callable[[], subprocess.Popen[bytes]]:
    """Starts the configured command; `home` is the one folder that it may write.

    The returned call raises OSError when a file is missing or the program is not the pinned one.
    """

    def start() -> subprocess.Popen[bytes]:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        _as_pinned(told)
        secrets = {name: path.expanduser().read_text().strip() for name, path in told.credentials.items()}
        environment = {"PATH": SEARCH, "HOME": str(home), "TMPDIR": str(home), **told.env, **secrets}
        program = Path(told.argv[0])
        command = confine.Command(told.argv, str(home), environment)
        if confine.isolation() != "none":
            command = confine.command(
                told.argv,
                cwd=home,
                readable=[program, program.resolve(), *told.readable],
                writable=[home],
                network=True,
                env=environment,
            )
        return subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env=dict(command.env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a signal from a terminal is for the launcher
        )

    return start


def _as_pinned(told: ServerSettings) -> None:
    if told.program_sha256 is None:
        return
    with Path(told.argv[0]).open("rb") as program:
        found = hashlib.file_digest(program, "sha256").hexdigest()
    if found != told.program_sha256.removeprefix("sha256:"):
        raise OSError(errno.EPERM, f"{told.argv[0]} has sha256 {found}, pinned is another")
