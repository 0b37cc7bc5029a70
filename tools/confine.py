"""What a process gives up before it meets foreign code: Linux Landlock, seccomp and prctl. Standard library alone.

A process that calls `restrict` keeps what is listed and nothing else, and so do its children, for ever:
files by Landlock (deny unless a rule allows), TCP ports by Landlock ABI 4, abstract sockets and signals to
outside by ABI 6, ptrace and /proc/PID/mem of others by being in a domain of its own. seccomp takes what
Landlock cannot see: sockets with a path (a container engine's, an ssh agent's), io_uring, kernel keyrings.

    python -I -S tools/confine.py --spec JSON -- PROGRAM ARGUMENT...    run a program so confined
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

SYSTEM = (
    "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
    "/proc/loadavg", "/proc/version", "/proc/filesystems", "/proc/sys/kernel/osrelease", "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu", "/sys/kernel/mm/transparent_hugepage", "/dev/urandom", "/dev/random", "/dev/zero",
    "/etc/alternatives", "/etc/ca-certificates", "/etc/ca-certificates.conf", "/etc/crypto-policies", "/etc/gai.conf",
    "/etc/group", "/etc/host.conf", "/etc/hosts", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime",
    "/etc/mime.types", "/etc/nsswitch.conf", "/etc/os-release", "/etc/passwd", "/etc/pki/tls/certs", "/etc/protocols",
    "/etc/resolv.conf", "/etc/services", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/timezone",
)  # fmt: skip
"""Read by most programs and secret to nobody."""
KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
"""Environment variables that say how to run and hold no secret."""
NO_CONFINEMENT = 125
"""Exit code of the program runner when this platform cannot confine; the program was not started."""

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the Landlock system calls, the same on every architecture
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _PR_GET_SECCOMP = 1, 4, 22, 38, 21
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REFER, _TRUNCATE, _IOCTL_DEV = (
    1 << n for n in (0, 1, 2, 3, 13, 14, 15)
)
_CHANGE_TREE = sum(1 << n for n in range(4, 13))  # remove and make everything that a folder can hold
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPES = 1 | 2  # abstract sockets, signals
_PATH_BENEATH, _NET_PORT = 1, 2


class ConfineFaultError(Exception):
    """A confinement that was asked for cannot be had; the message says which and why."""


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, *arguments: object) -> None:
    values = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc().prctl(option, *values) < 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def _syscall(number: int, *arguments: object) -> int:
    answer = int(_libc().syscall(ctypes.c_long(number), *arguments))
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer


def not_dumpable() -> None:
    """No core dump, and no look into this process's memory by others of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        _prctl(_PR_SET_DUMPABLE, 0)


def die_with_parent(parent: int | None = None) -> None:
    """Be killed when the thread that started this process ends. `parent`: leave at once if it is gone already."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def no_new_privs() -> None:
    """No set-uid program started from here gains anything; seccomp and Landlock demand it."""
    if sys.platform == "linux":
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def scrubbed(environ: Mapping[str, str], keep: Iterable[str] = KEPT) -> dict[str, str]:
    """Only the variables named in `keep`."""
    return {key: environ[key] for key in keep if key in environ}


@cache
def landlock_abi() -> int:
    """The kernel's Landlock version; 0 when it has none."""
    if sys.platform != "linux":
        return 0
    try:
        return _syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    except OSError:
        return 0


@dataclass(frozen=True)
class _Machine:
    """The numbers of an architecture's system calls that are restricted or used here."""

    audit: int
    socket: int
    socketpair: int
    keyrings: tuple[int, int, int]
    capset: int


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 41, 53, (248, 249, 250), 126),
    "aarch64": _Machine(0xC00000B7, 198, 199, (217, 218, 219), 91),
}


@cache
def _machine() -> _Machine | None:
    """None where no filter can be set."""
    if sys.platform != "linux" or struct.calcsize("P") != 8 or _libc().prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) < 0:
        return None
    return _MACHINES.get(platform.machine())


def isolation() -> str:
    """The word for what `restrict` would bring on this machine: `landlock-abi7+seccomp`, `landlock-abi7`, `none`."""
    if not landlock_abi():
        return "none"
    return f"landlock-abi{landlock_abi()}" + ("+seccomp" if _machine() else "")


def restrict(
    *,
    readable: Iterable[str | os.PathLike[str]],
    writable: Iterable[str | os.PathLike[str]],
    hidden: Iterable[str | os.PathLike[str]] = (),
    connect_ports: Iterable[int] | None = (),
    internet: bool = True,
    unix_sockets: bool = False,
) -> str:
    """Keep only this, now and in every child. Returns what was achieved, in the words of `isolation`.

    `readable` may be read and executed, `writable` also changed, `hidden` stays shut even inside a readable
    folder (what is added beside it later is shut too). TCP may connect to `connect_ports` (None: any) and
    bind nowhere. `internet=False` takes every internet socket away. Must run before the first thread starts.
    Raises ConfineFaultError, also when a hidden path and a writable one lie within each other.
    """
    no_new_privs()
    if not landlock_abi():
        return "none"
    _drop_capabilities()
    if len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208 - no need for pathlib before the walls stand
        raise ConfineFaultError(
            "confinement holds for one thread only: restrict must run before a second one starts"
        )
    shut = tuple(os.path.realpath(path) for path in hidden)
    try:
        ruleset = _ruleset(connect_ports)
        for path in readable:
            for real in _open_parts(os.path.realpath(path), shut):
                _allow(ruleset, real, _READ)
        for path in (*map(os.path.realpath, writable), "/dev/null"):
            if any(_within(path, wall) or _within(wall, path) for wall in shut):
                raise ConfineFaultError(f"{path} cannot be writable: a hidden folder is in it or around it")
            _allow(ruleset, path, _READ | _WRITE_FILE | _TRUNCATE | _REFER | _CHANGE_TREE, must=True)
        _syscall(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0))
        os.close(ruleset)
        _filter_calls(internet=internet, unix_sockets=unix_sockets)
    except OSError as fault:
        raise ConfineFaultError(f"the kernel refused the confinement: {fault}") from fault
    return isolation()


def _drop_capabilities() -> None:
    """What root may do besides files: load modules, reboot, set the clock. no_new_privs keeps it from coming back."""
    machine = _machine()
    if machine is not None:
        header, nothing = struct.pack("=Ii", 0x20080522, 0), bytes(24)
        _syscall(machine.capset, ctypes.c_char_p(header), ctypes.create_string_buffer(nothing, 24))


def _handled() -> int:
    abi = landlock_abi()
    rights = _READ | _WRITE_FILE | _CHANGE_TREE
    rights |= _REFER if abi >= 2 else 0
    rights |= _TRUNCATE if abi >= 3 else 0
    return rights | (_IOCTL_DEV if abi >= 5 else 0)


def _ruleset(connect_ports: Iterable[int] | None) -> int:
    abi = landlock_abi()
    network = (_BIND_TCP if connect_ports is None else _BIND_TCP | _CONNECT_TCP) if abi >= 4 else 0
    attributes = struct.pack("=QQQ", _handled(), network, _SCOPES if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _syscall(_CREATE, ctypes.c_char_p(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    for port in connect_ports or () if abi >= 4 else ():
        rule = struct.pack("=QQ", _CONNECT_TCP, port)
        _syscall(
            _ADD, ctypes.c_int(ruleset), ctypes.c_int(_NET_PORT), ctypes.c_char_p(rule), ctypes.c_uint32(0)
        )
    return ruleset


def _allow(ruleset: int, path: str, rights: int, *, must: bool = False) -> None:
    try:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as fault:
        if must:
            raise ConfineFaultError(f"{path} cannot be made writable: {fault.strerror}") from fault
        return  # what is not there cannot be read
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - as above
            rights &= _ON_FILES
        rule = struct.pack("=Qi", rights & _handled(), folder)
        _syscall(
            _ADD,
            ctypes.c_int(ruleset),
            ctypes.c_int(_PATH_BENEATH),
            ctypes.c_char_p(rule),
            ctypes.c_uint32(0),
        )
    finally:
        os.close(folder)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _open_parts(path: str, shut: Sequence[str]) -> Iterator[str]:
    """`path`, or what remains of it when hidden folders lie inside. A link is skipped: it may point into one."""
    if any(_within(path, wall) for wall in shut):
        return
    if not any(_within(wall, path) for wall in shut):
        yield path
        return
    with os.scandir(path) as entries:
        for entry in entries:
            if not entry.is_symlink():
                yield from _open_parts(entry.path, shut)


_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_ALLOWED, _DENIED, _KILLED = 0x7FFF0000, 0x00050000 | 1, 0x80000000  # EPERM for the denied
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24
_AF_UNIX, _AF_INET, _AF_INET6, _SOCK_STREAM, _IO_URING_SETUP = 1, 2, 10, 1, 425


def _filter_calls(*, internet: bool, unix_sockets: bool) -> None:
    """Set a seccomp filter: which families `socket` may make, only stream pairs, no io_uring, no keyrings."""
    machine = _machine()
    if machine is None:
        return
    families = [*((_AF_INET, _AF_INET6) if internet else ()), *((_AF_UNIX,) if unix_sockets else ())]
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, machine.audit), (_RETURN, 0, 0, _KILLED),
        (_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _DENIED),  # the x32 numbering
    ]  # fmt: skip
    for number in (_IO_URING_SETUP, *machine.keyrings):
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _DENIED)]
    families_test = [(_LOAD, 0, 0, _FIRST)]
    for family in families:
        families_test += [(_EQUAL, 0, 1, family), (_RETURN, 0, 0, _ALLOWED)]
    families_test.append((_RETURN, 0, 0, _DENIED))
    program += [(_EQUAL, 0, len(families_test), machine.socket), *families_test]
    # a datagram pair could be connected again, to any path: only streams, unless paths are allowed anyway
    kinds = [
        (_LOAD, 0, 0, _SECOND), (_AND, 0, 0, 0xF), (_EQUAL, 1, 0, _SOCK_STREAM), (_RETURN, 0, 0, _DENIED), (_RETURN, 0, 0, _ALLOWED),
    ]  # fmt: skip
    if not unix_sockets:
        program += [(_EQUAL, 0, len(kinds), machine.socketpair), *kinds]
    program.append((_RETURN, 0, 0, _ALLOWED))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    _prctl(_PR_SET_SECCOMP, 2, ctypes.byref(header))


def python_paths() -> tuple[str, ...]:
    """What this interpreter reads: its environment, its base installation, its path, and packages linked into that."""
    folders = [path for path in sys.path if os.path.isdir(path)]  # noqa: PTH112 - no need for pathlib before the walls stand
    roots = {sys.prefix, sys.base_prefix, sys.exec_prefix, *folders}
    linked = {
        entry.path for path in folders for entry in os.scandir(path) if entry.is_symlink() and entry.is_dir()
    }
    return tuple(sorted({os.path.realpath(path) for path in roots | linked} - {"/"}))


@dataclass(frozen=True)
class Command:
    """A program with its confinement: hand the fields to subprocess."""

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]


def command(
    argv: Sequence[str],
    *,
    cwd: str | os.PathLike[str],
    readable: Iterable[str | os.PathLike[str]] = (),
    writable: Iterable[str | os.PathLike[str]] = (),
    network: bool = False,
    env: Mapping[str, str],
) -> Command:
    """How to run a foreign program so that it reads only the system and `readable`, and writes only `writable`.

    Without `network` it has no internet socket. `env` is all the environment that it gets. Where the platform
    cannot confine, the program is not started and the exit code is NO_CONFINEMENT: ask `isolation()` before.
    """
    spec = {
        "readable": [*SYSTEM, *(os.fspath(path) for path in readable)],
        "writable": [os.fspath(path) for path in writable],
        "network": network,
        "parent": os.getpid(),
    }
    runner = (sys.executable, "-I", "-S", os.path.abspath(__file__), "--spec", json.dumps(spec), "--")  # noqa: PTH100
    return Command((*runner, *argv), os.fspath(cwd), dict(env))


def main(arguments: Sequence[str]) -> int:
    """Confine this process as --spec says and become the program."""
    if len(arguments) < 4 or arguments[0] != "--spec" or arguments[2] != "--":
        sys.stderr.write("usage: confine.py --spec JSON -- PROGRAM ARGUMENT...\n")
        return 2
    spec, argv = json.loads(arguments[1]), list(arguments[3:])
    die_with_parent(spec["parent"])
    not_dumpable()
    word = restrict(
        readable=spec["readable"],
        writable=spec["writable"],
        connect_ports=None if spec["network"] else (),
        internet=spec["network"],
        unix_sockets=True,  # Terraform talks to its providers so
    )
    if word == "none":
        sys.stderr.write("this platform offers no confinement: the program was not started\n")
        return NO_CONFINEMENT
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - there is no shell
    except OSError as fault:
        sys.stderr.write(f"{argv[0]}: {fault.strerror}\n")
        return 127


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
