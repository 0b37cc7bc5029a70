"""`make fuzz SECONDS=30 [TARGET=decode]`: each target under atheris for so long, from its seeds; an input that breaks a promise is kept.

Starts itself again inside the trusted environment, with the fuzzer's packages appended, one process per target.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BOOT = (
    "import site, sys, glob;"
    "sys.path.insert(0, {root!r});"
    "[site.addsitedir(d) for d in glob.glob({root!r} + '/.venv-fuzz/lib/python3*/site-packages')];"
    "from tests.fuzz.run import fuzz; fuzz(sys.argv[1], sys.argv[2:])"
)
NAMES = ("decode", "envelope", "files", "message", "pipe", "arguments", "token")
LONGEST = 16384


def fuzz(name: str, options: list[str]) -> None:
    """One target until its time is over; libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["policies", "tools"]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([name, *options], TARGETS[name])
    atheris.Fuzz()


def run(name: str, seconds: int, kept: Path) -> int:
    """The target's exit code; a breaking input is left in `kept`."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder)
        seeds = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pathlib import Path; from tests.fuzz.targets import seeds; [Path({folder!r}, str(i)).write_bytes(d) for i, d in enumerate(seeds({name!r}))]"
        python = [ROOT / ".venv/bin/python", "-P", "-c"]
        subprocess.run([*python, seeds], check=True, cwd=ROOT)
        options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-artifact_prefix={kept}/{name}-", "-print_final_stats=1", "-verbosity=0", str(corpus)]  # fmt: skip
        done = subprocess.run([*python, BOOT.format(root=str(ROOT)), name, *options], cwd=ROOT, check=False, capture_output=True, text=True)  # fmt: skip
    told = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    sys.stdout.write(f"{name}: {'clean' if done.returncode == 0 else 'BROKEN'} {' '.join(told)}\n")
    if done.returncode:
        sys.stdout.write(done.stderr[-4000:] + "\n")
    return done.returncode


def main() -> int:
    """0 when every target kept its promises."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("targets", nargs="*", choices=[*NAMES, []], default=[])
    asked = parser.parse_args()
    kept = Path(tempfile.mkdtemp(prefix="countersign-fuzz-"))
    codes = [run(name, asked.seconds, kept) for name in asked.targets or NAMES]
    broken = sorted(path for path in kept.iterdir())
    for path in broken:
        sys.stdout.write(f"{path}\n")
    if not broken:
        kept.rmdir()
    return 1 if any(codes) else 0


if __name__ == "__main__":
    raise SystemExit(main())
