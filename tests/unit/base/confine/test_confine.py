"""What a confined process cannot do. Each way is tried for real, by arbitrary code in a child."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools import confine

pytestmark = pytest.mark.skipif(not confine.landlock_abi(), reason="this kernel has no Landlock")
SOURCE = Path(confine.__file__).resolve().parent.parent

TRY = """
import json, os, socket, sys
sys.path.insert(0, {source!r})
from tools import confine
spec = json.loads(sys.argv[1])
word = confine.restrict(readable=[*confine.SYSTEM, *confine.python_paths(), *spec["readable"]], writable=spec["writable"],
                        hidden=spec["hidden"], connect_ports=spec["ports"])
def attempt():
{code}
try:
    answer = attempt()
except OSError as fault:
    answer = "denied: " + type(fault).__name__
print(json.dumps([word, answer]))
"""


Paths = Sequence[str | Path]


def attempt(
    code: str, *, readable: Paths = (), writable: Paths = (), hidden: Paths = (), ports: Sequence[int] = ()
) -> object:
    program = TRY.format(source=str(SOURCE), code=textwrap.indent(textwrap.dedent(code).strip(), "    "))
    spec = {
        "readable": [str(p) for p in readable],
        "writable": [str(p) for p in writable],
        "hidden": [str(p) for p in hidden],
        "ports": ports,
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, json.dumps(spec)],
        capture_output=True,
        text=True,
        timeout=30,
        env={},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    word, answer = json.loads(done.stdout.splitlines()[-1])
    assert word == confine.isolation() != "none"
    return answer


def denied(answer: object) -> bool:
    return isinstance(answer, str) and answer.startswith("denied: ")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in (
        ".kube/config",
        ".ssh/id_ed25519",
        ".config/gh/hosts.yml",
        "project/main.tf",
        "run/work.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("MARKED")
    return tmp_path


def test_what_is_listed_stays_readable_and_writable(home: Path) -> None:
    code = f"""
    open({str(home / "run" / "new")!r}, "w").write("x")
    os.rename({str(home / "run" / "new")!r}, {str(home / "run" / "newer")!r})
    open("/dev/null", "w").write("x")
    return open({str(home / "project/main.tf")!r}).read() + open({str(home / "run/newer")!r}).read()
    """
    assert attempt(code, readable=[home / "project"], writable=[home / "run"]) == "MARKEDx"


@pytest.mark.parametrize("secret", [".kube/config", ".ssh/id_ed25519", ".config/gh/hosts.yml"])
def test_what_is_not_listed_cannot_be_read(home: Path, secret: str) -> None:
    assert denied(attempt(f"return open({str(home / secret)!r}).read()", readable=[home / "project"]))


@pytest.mark.parametrize("secret", [".kube/config", ".ssh/id_ed25519"])
def test_hidden_folders_stay_shut_when_home_lies_inside_a_readable_prefix(home: Path, secret: str) -> None:
    hidden = [home / ".kube", home / ".ssh"]
    assert denied(attempt(f"return open({str(home / secret)!r}).read()", readable=[home], hidden=hidden))
    assert (
        attempt(f"return open({str(home / 'project/main.tf')!r}).read()", readable=[home], hidden=hidden)
        == "MARKED"
    )


def test_a_link_beside_a_hidden_folder_does_not_open_it(home: Path) -> None:
    (home / "way").symlink_to(home / ".ssh")
    assert denied(
        attempt(
            f"return open({str(home / 'way/id_ed25519')!r}).read()", readable=[home], hidden=[home / ".ssh"]
        )
    )


def test_a_link_made_inside_does_not_reach_outside(home: Path) -> None:
    code = f"""
    os.symlink({str(home / ".ssh")!r}, {str(home / "run/way")!r})
    return open({str(home / "run/way/id_ed25519")!r}).read()
    """
    assert denied(attempt(code, writable=[home / "run"]))


@pytest.mark.parametrize(
    "act",
    [
        "open({0!r}, 'w')",
        "os.unlink({0!r})",
        "os.truncate({0!r}, 0)",
        "os.rename({0!r}, {0!r} + 'x')",
        "os.link({0!r}, {1!r})",
    ],
)
def test_what_is_only_readable_cannot_be_changed(home: Path, act: str) -> None:
    code = "return str(" + act.format(str(home / "project/main.tf"), str(home / "run/link")) + ")"
    assert denied(attempt(code, readable=[home / "project"], writable=[home / "run"]))
    assert (home / "project/main.tf").read_text() == "MARKED"


def test_the_interpreter_and_the_source_cannot_be_changed() -> None:
    for folder in (Path(sys.prefix), SOURCE / "tools"):
        assert denied(attempt(f"return str(open({str(folder / 'planted.py')!r}, 'w'))"))


def test_a_hidden_folder_inside_a_writable_one_is_a_fault(home: Path) -> None:
    code = f"""
    import subprocess
    try:
        confine.restrict(readable=(), writable=[{str(home)!r}], hidden=[{str(home / ".ssh")!r}])
    except confine.ConfineFaultError as fault:
        return str(fault)
    """
    assert "hidden" in str(attempt(code, readable=[home]))


def test_restrict_refuses_to_pretend_once_threads_run() -> None:
    code = """
    import threading
    stop = threading.Event()
    other = threading.Thread(target=stop.wait, daemon=True); other.start()
    try:
        confine.restrict(readable=(), writable=())
    except confine.ConfineFaultError as fault:
        return str(fault)
    finally:
        stop.set()
    """
    assert "before a second one" in str(attempt(code))


def test_tcp_reaches_only_the_ports_that_are_listed() -> None:
    if confine.landlock_abi() < 4:
        pytest.skip("Landlock ABI 4 brings TCP rules")
    with socket.create_server(("127.0.0.1", 0)) as yes, socket.create_server(("127.0.0.1", 0)) as no:
        ports = [yes.getsockname()[1]]
        assert (
            attempt(f"return bool(socket.create_connection(('127.0.0.1', {ports[0]})))", ports=ports) is True
        )
        assert denied(
            attempt(
                f"return bool(socket.create_connection(('127.0.0.1', {no.getsockname()[1]})))", ports=ports
            )
        )
    assert denied(attempt("return bool(socket.create_server(('127.0.0.1', 0)))", ports=ports))


@pytest.mark.parametrize(
    "code",
    [
        "s = socket.socket(socket.AF_UNIX); s.connect({path!r}); return 'in'",
        "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); return 'in'",
        "s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW); return 'in'",
        "s = socket.socket(socket.AF_VSOCK); return 'in'",
        "import ctypes; n = ctypes.CDLL(None, use_errno=True).syscall(425, 1, 0)\nif n < 0: raise OSError(ctypes.get_errno(), 'io_uring')\nreturn 'in'",
    ],
)
def test_sockets_that_landlock_cannot_see_are_denied(home: Path, code: str) -> None:
    if "seccomp" not in confine.isolation():
        pytest.skip("no seccomp filter on this architecture")
    path = str(home / "engine.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        answer = attempt(code.format(path=path), readable=[home], writable=[home / "run"])
        assert answer == "denied: PermissionError"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)  # it was there to be had


def test_a_confined_root_has_no_capability_left_nor_gets_one_back() -> None:
    if "seccomp" not in confine.isolation():
        pytest.skip("unknown architecture")
    code = """
    import subprocess
    status = open("/proc/self/status").read() + subprocess.check_output(["/bin/cat", "/proc/self/status"], text=True)
    return [line.split()[1] for line in status.splitlines() if line.startswith(("CapEff", "CapPrm"))]
    """
    assert attempt(code, readable=["/proc"]) == ["0" * 16] * 4


def test_a_stream_pair_still_works() -> None:
    assert attempt("a, b = socket.socketpair(); a.send(b'x'); return b.recv(1).decode()") == "x"


def test_another_process_cannot_be_read_traced_or_signalled() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as other:
        for code in (
            f"return str(open('/proc/{other.pid}/mem', 'rb'))",
            f"return str(open('/proc/{other.pid}/environ', 'rb').read())",
            f"return os.readlink('/proc/{other.pid}/fd/0')",
            f"os.kill({other.pid}, 9)",
            f"import ctypes; n = ctypes.CDLL(None, use_errno=True).ptrace(16, {other.pid}, 0, 0)\nif n < 0: raise OSError(ctypes.get_errno(), 'ptrace')",
        ):
            if "kill" in code and confine.landlock_abi() < 6:
                continue
            assert denied(attempt(code)), code
        assert other.poll() is None
        other.stdin.close()


def test_confinement_is_inherited_by_whatever_is_started(home: Path) -> None:
    code = f"""
    import subprocess
    return subprocess.run(["/bin/cat", {str(home / ".ssh/id_ed25519")!r}], capture_output=True, text=True).stdout
    """
    assert attempt(code, readable=[home / "project"]) == ""


def _run(argv: list[str], **kept: object) -> subprocess.CompletedProcess[str]:
    made = confine.command(argv, env={"PATH": "/usr/bin:/bin", "ONLY": "this"}, **kept)
    return subprocess.run(
        made.argv, cwd=made.cwd, env=made.env, capture_output=True, text=True, timeout=30, check=False
    )


def test_a_foreign_program_runs_in_its_folder_and_nowhere_else(home: Path) -> None:
    script = f"echo made > made; cat made; cat {home}/.ssh/id_ed25519; env"
    done = _run(["/bin/sh", "-c", script], cwd=home / "run", writable=[home / "run"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("made\n")
    assert "MARKED" not in done.stdout
    assert "ONLY=this" in done.stdout
    assert "denied" in done.stderr


def test_a_foreign_program_without_network_has_no_internet_socket(home: Path) -> None:
    if "seccomp" not in confine.isolation():
        pytest.skip("no seccomp filter on this architecture")
    code = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
    readable = confine.python_paths()
    assert (
        _run([sys.executable, "-c", code], cwd=home / "run", readable=readable, network=True).returncode == 0
    )
    done = _run([sys.executable, "-c", code], cwd=home / "run", readable=readable, network=False)
    assert "PermissionError" in done.stderr


def test_a_missing_program_is_named(home: Path) -> None:
    done = _run(["no-such-program"], cwd=home / "run")
    assert (done.returncode, done.stderr) == (127, "no-such-program: No such file or directory\n")


def test_only_the_named_variables_survive() -> None:
    assert confine.scrubbed({"PATH": "/bin", "GITHUB_TOKEN": "MARKED", "LANG": "C"}) == {
        "PATH": "/bin",
        "LANG": "C",
    }


def test_a_process_that_is_not_dumpable_says_so() -> None:
    code = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); from tools import confine; confine.not_dumpable(); import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    assert subprocess.check_output([sys.executable, "-P", "-c", code], text=True).strip() == "0"


def test_a_child_dies_with_its_parent() -> None:
    reader, writer = os.pipe()
    child = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); from tools import confine; confine.die_with_parent(); print('up', flush=True); sys.stdin.read()"
    parent = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-P', '-c', {child!r}], stdin=subprocess.PIPE, pass_fds=({writer},), stdout=subprocess.PIPE); p.stdout.readline(); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-P", "-c", parent],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=(writer,),
    ) as middle:
        os.close(writer)
        assert middle.stdout.readline() == b"ready\n"
        middle.kill()
        assert os.read(reader, 1) == b""  # the grandchild held the other end until it died
    os.close(reader)
