"""A taken crew process, confined as the crew is, against a real gate process: each way in stays shut.

The attacker runs arbitrary code. It is given what the crew has: a run folder, the interpreter, one pipe.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from policies.trust import Trust
from tools import confine
from tools.gate.journal import Journal
from tools.settings import GateSettings

pytestmark = pytest.mark.skipif(not confine.landlock_abi(), reason="this kernel has no Landlock")
ROOT = Path(__file__).resolve().parents[3]
SECRET = "MARKED-SECRET-7f3a"
ATTACKER = """
import json, os, sys
sys.path.insert(0, {root!r})
from tools import confine
told = json.loads(sys.argv[1])
confine.restrict(readable=[*confine.SYSTEM, *confine.python_paths()], writable=[told["run"]], hidden=[told["gate"]], connect_ports=told["ports"])
import ctypes, socket
libc = ctypes.CDLL(None, use_errno=True)
def must(answer):
    if answer < 0:
        raise OSError(ctypes.get_errno(), "refused by the kernel")
    return answer
gate, pid, port, source = told["gate"], told["pid"], told["closed"], told["source"]
try:
{code}
except OSError as fault:
    print("denied", type(fault).__name__)
else:
    print("ALLOWED")
"""


@contextmanager
def gate_process(home: Path) -> Iterator[dict[str, object]]:
    """A gate of its own below `home`, with marked secrets, and what a crew is told of it."""
    home.mkdir(exist_ok=True)
    folder, run = home / "gate", home / "run"
    for path in (folder / "keys", folder / "credentials", run):
        path.mkdir(parents=True, mode=0o700)
    (folder / "keys/notary.pem").write_text(SECRET)
    (folder / "credentials/github.token").write_text(SECRET)
    (folder / "trust.json").write_bytes(Trust().canonical())
    (folder / "keys/journal.pem").touch(mode=0o600)
    (folder / "keys/journal.pem").write_bytes(CryptoSigner.generate_ed25519().private_bytes)
    ours, theirs = socket.socketpair()
    line, other = socket.socketpair()
    reader, writer = os.pipe()
    command = [sys.executable, "-P", "-m", "tools.gate", "--settings-fd", str(reader)]
    fds = (reader, theirs.fileno(), other.fileno())
    process = subprocess.Popen(
        command, pass_fds=fds, env={"MARKED": SECRET, "PYTHONPATH": str(ROOT)}, cwd=home
    )
    settings = GateSettings(
        state_dir=folder, run_id="run-1", profile=ROOT / "policies/profiles/sandbox.toml", rehearsal=True, isolation=confine.isolation(),
        ask_person=False, roles={"devops": theirs.fileno()}, notary_fd=other.fileno(),
    )  # fmt: skip
    with os.fdopen(writer, "wb") as pipe:
        pipe.write(settings.model_dump_json().encode())
    for fd in (reader,):
        os.close(fd)
    for _ in range(400):
        if (folder / "journal.head").exists():
            break
        assert process.poll() is None, "the gate ended"
        time.sleep(0.05)
    with socket.create_server(("127.0.0.1", 0)) as server, ours, line, theirs, other:
        port = server.getsockname()[1]
        yield {
            "gate": str(folder),
            "run": str(run),
            "pid": process.pid,
            "closed": port,
            "ports": [],
            "source": str(ROOT),
        }
        assert process.poll() is None, "the gate did not survive"
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    with gate_process(tmp_path_factory.mktemp("home")) as running:
        yield running


def attempt(gate: dict[str, object], code: str) -> str:
    """What the attacker's program said, after it gave up what the crew gives up."""
    program = ATTACKER.format(root=str(ROOT), code=textwrap.indent(code, "    "))
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, json.dumps(gate)],
        capture_output=True,
        text=True,
        timeout=30,
        env={},
        check=False,
    )
    return done.stdout + done.stderr


ATTACKS = [
    ("read the signing key", "open(gate + '/keys/notary.pem').read()"),
    ("read a credential", "open(gate + '/credentials/github.token').read()"),
    ("read the journal", "open(gate + '/journal.sqlite3', 'rb').read()"),
    ("list the gate's folder", "os.listdir(gate)"),
    ("write the trust file", "open(gate + '/trust.json', 'w')"),
    ("replace the journal", "os.rename(told['run'], gate + '/journal.sqlite3')"),
    ("link the key into the run folder", "os.link(gate + '/keys/notary.pem', told['run'] + '/key')"),
    ("reach it by a symbolic link", "os.symlink(gate, told['run'] + '/way'); open(told['run'] + '/way/trust.json').read()"),
    ("reach it through its working directory", "open(f'/proc/{pid}/cwd/gate/trust.json').read()"),
    ("reach it through its root", "open(f'/proc/{pid}/root' + gate + '/trust.json').read()"),
    ("read the gate's memory", "open(f'/proc/{pid}/mem', 'rb')"),
    ("read the gate's environment", "open(f'/proc/{pid}/environ', 'rb').read()"),
    ("read the gate's maps", "open(f'/proc/{pid}/maps').read()"),
    ("open the gate's descriptors", "[open(f'/proc/{pid}/fd/{n}') for n in range(3, 20)]"),
    ("take a descriptor by pidfd_getfd", "must(libc.syscall(438, must(libc.syscall(434, pid, 0)), 3, 0))"),
    ("read its memory by process_vm_readv", "must(libc.syscall(310, pid, 0, 0, 0, 0, 0)) or must(-1)"),
    ("trace the gate", "must(libc.ptrace(16, pid, 0, 0))"),
    ("stop the gate", "os.kill(pid, 19)"),
    ("kill the gate", "os.kill(pid, 9)"),
    ("change the gate's program", "open(source + '/tools/gate/submit.py', 'a')"),
    ("replace the gate's interpreter", "open(told['run'] + '/python', 'w').close(); os.replace(told['run'] + '/python', sys.prefix + '/bin/python')"),
    ("replace the launcher's command", "open(source + '/tools/launch/wiring.py', 'a')"),
    ("replace the command on the path", "open(told['run'] + '/countersign', 'w').close(); os.replace(told['run'] + '/countersign', sys.prefix + '/bin/countersign')"),
    ("plant a module in the crew's environment", "open(source + '/.venv-crew/lib/planted.pth', 'w')"),
    ("plant a module in the scanner's environment", "open(source + '/.venv-scanner/planted.pth', 'w')"),
    ("open the gate's other pipes", "[open(f'/proc/{pid}/fd/{n}', 'rb') for n in range(3, 40)]"),
    ("reach the cluster by itself", "socket.create_connection(('127.0.0.1', port), 2).sendall(b'GET /api HTTP/1.1\\r\\n\\r\\n')"),
    ("reach GitHub by itself", "socket.create_connection(('140.82.112.5', 443), 2)"),
    ("plant a module in the source", "open(source + '/tools/gate/planted.py', 'w')"),
    ("plant a module in the environment", "open(sys.prefix + '/planted.pth', 'w')"),
    ("plant a byte-compiled module", "os.makedirs(source + '/policies/__pycache__/planted')"),
    ("change the toolbelts", "open(source + '/tools/toolbelts.toml', 'a')"),
    ("change a profile", "open(source + '/policies/profiles/sandbox.toml', 'a')"),
    ("reach a port that is not listed", "socket.create_connection(('127.0.0.1', port), 2)"),
    ("serve a port", "socket.create_server(('127.0.0.1', 0))"),
    ("speak to a container engine's socket", "socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')"),
    ("send on a raw socket", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"),
    ("open kernel keyrings", "must(libc.syscall(250, 0, -3, 0)) if os.uname().machine == 'x86_64' else must(libc.syscall(219, 0, -3, 0))"),
    ("mount over the gate's folder", "must(libc.mount(b'none', gate.encode(), b'tmpfs', 0, None))"),
    ("leave by a new mount namespace", "must(libc.unshare(0x10000000 | 0x00020000)); must(libc.mount(b'/', b'/mnt', None, 4096, None))"),
    ("leave by chroot", "os.makedirs(told['run'] + '/x', exist_ok=True); os.chroot(told['run'] + '/x'); [os.chdir('..') for _ in range(20)]; open('.' + gate + '/trust.json')"),
    ("load a kernel module", "must(libc.syscall(175 if os.uname().machine == 'x86_64' else 105, b'x', 1, b'')) or must(-1)"),
    ("set the clock", "import time; time.clock_settime(time.CLOCK_REALTIME, time.time())"),
    ("read the home folder", "os.listdir(os.path.dirname(gate))"),
    ("write outside of the run folder", "open(os.path.dirname(gate) + '/x', 'w')"),
    ("use a program that may do more", "import subprocess\nif subprocess.run(['/bin/cat', gate + '/trust.json'], capture_output=True).returncode: must(-1)"),
]  # fmt: skip


@pytest.mark.parametrize("code", [row[1] for row in ATTACKS], ids=[row[0] for row in ATTACKS])
def test_a_taken_crew_cannot(gate: dict[str, object], code: str) -> None:
    said = attempt(gate, code)
    assert said.startswith("denied"), said
    assert SECRET not in said


def test_the_walls_are_what_stops_it(gate: dict[str, object]) -> None:
    """Without confinement the same code finds the same secrets, so the rows above prove something."""
    program = ATTACKER.format(
        root=str(ROOT), code="    print(open(gate + '/keys/notary.pem').read())"
    ).replace("confine.restrict(", "(lambda **_: None)(")
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, json.dumps(gate)],
        capture_output=True,
        text=True,
        timeout=30,
        env={},
        check=False,
    )
    assert SECRET in done.stdout


def test_the_gate_says_it_is_not_dumpable(gate: dict[str, object]) -> None:
    status = Path(f"/proc/{gate['pid']}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert Path(f"/proc/{gate['pid']}/environ").stat().st_uid == 0
    limits = Path(f"/proc/{gate['pid']}/limits").read_text()
    assert limits.split("Max core file size")[1].split()[:2] == ["0", "0"]


def test_the_gate_has_no_descriptor_but_its_pipes_and_files(gate: dict[str, object]) -> None:
    links = {str(path.readlink()) for path in Path(f"/proc/{gate['pid']}/fd").iterdir()}
    allowed = ("socket:", "pipe:", "anon_inode:", "/dev/null", str(gate["gate"]))
    inherited = {str(Path(f"/proc/self/fd/{n}").readlink()) for n in (0, 1, 2)}
    assert not [link for link in links - inherited if not link.startswith(allowed)]


def test_the_gate_dies_with_the_launcher_also_when_that_is_killed() -> None:
    settings, never = os.pipe()
    life, held = os.pipe()
    start = f"import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-P', '-m', 'tools.gate', '--settings-fd', '{settings}'], pass_fds=({settings}, {held})); print(p.pid, flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-P", "-c", start],
        pass_fds=(settings, held),
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT)},
    ) as launcher:
        os.close(held)
        pid = int(launcher.stdout.readline())
        status = Path(f"/proc/{pid}/status")
        for _ in range(400):
            if "NoNewPrivs:\t1" in status.read_text():
                break
            time.sleep(0.05)
        launcher.kill()
    ended, _, _ = select.select([life], [], [], 5)
    if not ended:
        os.kill(pid, 9)
    for fd in (settings, never, life):
        os.close(fd)
    assert ended, "the gate outlived its launcher"


def test_the_journal_is_whole_afterwards(gate: dict[str, object]) -> None:
    Journal(Path(str(gate["gate"])), lambda: datetime.now(UTC)).close()
