"""Pack and unpack an artifact inside a job's place. Standard library alone; always run as a confined child.

python -I -S archive.py pack PATTERN...   < nothing   > zip     exit 3: nothing matches
python -I -S archive.py unpack FOLDER     < zip       > names
"""

# Patterns as a workflow writes them, absolute ones too, which pathlib does not glob.
# ruff: noqa: PTH100, PTH103, PTH112, PTH113, PTH114, PTH118, PTH120, PTH123, PTH207

from __future__ import annotations

import glob
import io
import os
import sys
import zipfile

NOTHING = 3
_EPOCH = (1980, 1, 1, 0, 0, 0)


def found(patterns: list[str]) -> list[str]:
    """Every regular file that the patterns name, folders with all they hold; links are left out."""
    files: set[str] = set()
    for pattern in patterns:
        for match in glob.glob(pattern, recursive=True):
            if os.path.isdir(match):
                files |= {os.path.join(folder, name) for folder, _, names in os.walk(match) for name in names}
            else:
                files.add(match)
    return sorted(os.path.abspath(f) for f in files if os.path.isfile(f) and not os.path.islink(f))


def root_of(patterns: list[str], files: list[str]) -> str:
    """The folder that names in the artifact are relative to: what all searched paths share, as upload-artifact has it."""
    if len(patterns) == 1 and os.path.isdir(patterns[0]):
        return os.path.abspath(patterns[0])
    if len(files) == 1:
        return os.path.dirname(files[0])
    return os.path.commonpath([os.path.dirname(file) for file in files])


def pack(patterns: list[str]) -> int:
    """Write the zip to standard output: sorted, without times, so that equal files make equal bytes."""
    files = found(patterns)
    if not files:
        return NOTHING
    root = root_of(patterns, files)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            with open(file, "rb") as data:
                archive.writestr(zipfile.ZipInfo(os.path.relpath(file, root), _EPOCH), data.read())
    sys.stdout.buffer.write(out.getvalue())
    return 0


def unpack(folder: str) -> int:
    """Write the files of the zip on standard input below `folder`."""
    os.makedirs(folder, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read())) as archive:
        archive.extractall(folder)  # drops `..` and roots itself; the confinement holds anyway
        sys.stdout.write("\n".join(archive.namelist()))
    return 0


if __name__ == "__main__":
    raise SystemExit(pack(sys.argv[2:]) if sys.argv[1] == "pack" else unpack(sys.argv[2]))
