from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from policies.trust import Trust
from tests.fakes.signed import FILES, NOW, Case, entry
from tools.notary.folder import BUNDLE_NAME, VerifyReport, verify_folder


def written(folder: Path) -> Case:
    case = Case.publish()
    (folder / BUNDLE_NAME).write_text(case.bundle)
    (folder / "changeset.manifest.json").write_bytes(case.manifest)
    for path, data in FILES.items():
        (folder / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "files" / path).write_bytes(data)
    return case


def report(folder: Path, case: Case) -> VerifyReport:
    return verify_folder(folder / BUNDLE_NAME, case.trust, NOW)


def test_the_untouched_folder_verifies(tmp_path: Path) -> None:
    case = written(tmp_path)
    found = report(tmp_path, case)
    assert found.ok, found.message
    assert found.files == len(FILES)
    assert found.notes == ("it is a rehearsal and counts in the sandbox only",)


NAMES = [BUNDLE_NAME, "changeset.manifest.json", *(f"files/{path}" for path in FILES)]


@pytest.mark.parametrize("name", NAMES)
def test_every_changed_byte_of_every_file_is_a_no(tmp_path: Path, name: str) -> None:
    case = written(tmp_path)
    path = tmp_path / name
    data = path.read_bytes()
    step = max(1, len(data) // 150)
    for at in range(0, len(data), step):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert not report(tmp_path, case).ok, f"byte {at} of {name}"
    for other in (data + b"\n", data[:-1], b""):
        path.write_bytes(other)
        assert not report(tmp_path, case).ok
    path.write_bytes(data)
    assert report(tmp_path, case).ok


def swap(folder: Path) -> None:
    first, second = (folder / "files" / path for path in FILES)
    first_data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(first_data)


def link(folder: Path) -> None:
    path = folder / "files" / next(iter(FILES))
    path.rename(folder.parent / "elsewhere")
    path.symlink_to(folder.parent / "elsewhere")


EDITS: list[tuple[str, Callable[[Path], object]]] = [
    ("file more", lambda f: (f / "files" / "infra" / "extra.tf").write_text("x")),
    (
        "file with signed bytes more",
        lambda f: (f / "files" / "infra" / "copy.tf").write_bytes(FILES["infra/main.tf"]),
    ),
    ("hidden file more", lambda f: (f / "files" / ".terraformrc").write_text("x")),
    ("file beside", lambda f: (f / "notes.txt").write_text("x")),
    ("folder beside", lambda f: (f / "more").mkdir()),
    ("file less", lambda f: (f / "files" / "infra" / "main.tf").unlink()),
    ("manifest less", lambda f: (f / "changeset.manifest.json").unlink()),
    ("files swapped", swap),
    ("file is a link", link),
    ("file renamed", lambda f: (f / "files/infra/main.tf").rename(f / "files/infra/other.tf")),
    ("foreign bundle beside", lambda f: (f / "person.sigstore.json").write_text(Case.publish().bundle)),
]


@pytest.mark.parametrize("edit", [row[1] for row in EDITS], ids=[row[0] for row in EDITS])
def test_no_more_files_and_no_less(tmp_path: Path, edit: Callable[[Path], object]) -> None:
    folder = tmp_path / "change"
    folder.mkdir()
    case = written(folder)
    edit(folder)
    found = report(folder, case)
    assert not found.ok
    assert found.refusal


def test_an_expired_signoff_verifies_with_a_note(tmp_path: Path) -> None:
    case = written(tmp_path)
    late = verify_folder(tmp_path / BUNDLE_NAME, case.trust, NOW + timedelta(days=900))
    assert late.ok
    assert "expired" in late.notes[0]


@pytest.mark.parametrize(
    "trust",
    [
        lambda c: Trust(),
        lambda c: Trust(keys=(entry(c.signer, revoked=True),)),
        lambda c: Trust(keys=(entry(c.signer, "waiver"),)),
    ],
)
def test_an_untrusted_key_verifies_nothing(tmp_path: Path, trust: Callable[[Case], Trust]) -> None:
    case = written(tmp_path)
    assert not verify_folder(tmp_path / BUNDLE_NAME, trust(case), NOW).ok


def test_a_missing_bundle_is_said(tmp_path: Path) -> None:
    found = verify_folder(tmp_path / BUNDLE_NAME, Trust(), NOW)
    assert (found.ok, found.refusal) == (False, "bytes-mismatch")
