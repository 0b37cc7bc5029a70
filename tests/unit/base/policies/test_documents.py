from __future__ import annotations

import json

import pytest

from policies import documents
from policies.remedy import dump_yaml

REFUSED = [
    ("a: 1\na: 2\n", "reading/duplicate-key", 2),
    ("a: {b: 1, b: 2}\n", "reading/duplicate-key", 1),
    ("a: &x 1\nb: *x\n", "reading/alias", 1),
    ("a: &x {c: 1}\n", "reading/alias", 1),
    ("&k a: 1\n", "reading/key", 1),
    ("base: {}\na:\n  <<: {b: 1}\n", "reading/merge-key", 3),
    ("a: !!str 1\n", "reading/tag", 1),
    ("a: !python/object:os.system {}\n", "reading/tag", 1),
    ("a: !x [1]\n", "reading/tag", 1),
    *[(f"a: {scalar}\n", "reading/ambiguous-scalar", 1) for scalar in [
        "y", "Y", "yes", "No", "on", "OFF", "0o17", "017", "0x1f", "0b11", "1_000", "+1", "1e3", "1.5e3", ".5", "5.",
        ".inf", "-.inf", ".NaN", "12:30:45", "22:22", "2001-12-14", "2001-12-14T21:59:43Z", "=", "-0",
    ]],
    ("y: 1\n", "reading/ambiguous-scalar", 1),
    ("80: a\n", "reading/key", 1),
    ("true: a\n", "reading/key", 1),
    ("? [a]\n: 1\n", "reading/key", 1),
    ("%YAML 1.1\n---\na: 1\n", "reading/directive", 1),
    ("a: 1\n...\n---\nb: 1\n", "reading/directive", 2),
    ("a: [\n", "reading/syntax", 2),
    ("a: b: c\n", "reading/syntax", 1),
    ("a: 9007199254740993\n", "reading/number", 1),
    ("a: '\u202e'\n", "reading/hidden-character", 1),
    ("a: 1\nb: 'x\u200bx'\n", "reading/hidden-character", 2),
    ("\ufeffa: 1\n", "reading/hidden-character", 1),
    ("a: 1\rb: 2\n", "reading/hidden-character", 1),
    ("a: '\x1b'\n", "reading/hidden-character", 1),
    ("[" * 120 + "]" * 120, "reading/depth", 1),
]  # fmt: skip


@pytest.mark.parametrize(("text", "rule", "line"), REFUSED)
def test_yaml_that_two_readers_could_understand_differently_is_refused(
    text: str, rule: str, line: int
) -> None:
    reading = documents.read("a.yaml", text.encode())
    assert [(f.rule, f.line) for f in reading.findings] == [(rule, line)]
    assert reading.documents == ()


READ = [
    ("a: 1\nb: -2\nc: 1.5\n", {"a": 1, "b": -2, "c": 1.5}),
    ("a: true\nb: False\nc: null\nd: ~\ne:\n", {"a": True, "b": False, "c": None, "d": None, "e": None}),
    ('a: "yes"\nb: \'017\'\nc: "12:30:45"\n', {"a": "yes", "b": "017", "c": "12:30:45"}),
    ("a: docker.io/library/nginx:1.27\nb: 100m\nc: 64Mi\n", {"a": "docker.io/library/nginx:1.27", "b": "100m", "c": "64Mi"}),
    ("a: v1\nb: 10.0.0.0/8\nc: 1.2.3\nd: -x\n", {"a": "v1", "b": "10.0.0.0/8", "c": "1.2.3", "d": "-x"}),
    ("a: |\n  yes\n  no\n", {"a": "yes\nno\n"}),
    ("# 한국어 ⚠️\na: 웹\r\n", {"a": "웹"}),
    ("---\n# nothing\n---\na: [1, {b: c}]\n", {"a": [1, {"b": "c"}]}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), READ)
def test_plain_yaml_becomes_json(text: str, value: object) -> None:
    reading = documents.read("a.yaml", text.encode())
    assert [d.value for d in reading.documents] == [value]
    assert reading.findings == ()


def test_lines_are_those_of_the_file() -> None:
    document = documents.read("a.yaml", b"a:\n  b:\n    - x\n    - c: 1\n").documents[0]
    assert document.line_of("/a/b/1/c") == 4
    assert document.line_of("/a/b/1/missing/deeper") == 4
    assert document.line_of("/nowhere") == 1


def test_a_plain_on_is_a_key_only_where_github_writes_it() -> None:
    assert documents.read("w.yml", b"on: push\n", on_key=True).documents[0].value == {"on": "push"}
    assert (
        documents.read("w.yml", b"a: {on: push}\n", on_key=True).findings[0].rule
        == "reading/ambiguous-scalar"
    )


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('{"a": 1, "a": 2}', "reading/duplicate-key"),
        ('{"a": NaN}', "reading/number"),
        ('{"a": 90071992547409930}', "reading/number"),
        ('{"a": "\\ud800"}', "reading/hidden-character"),
        ('{"a": 1} x', "reading/syntax"),
        ("[" * 100000, "reading/depth"),
    ],
)
def test_json_is_read_as_strictly(text: str, rule: str) -> None:
    assert [f.rule for f in documents.read("a.json", text.encode()).findings] == [rule]


@pytest.mark.parametrize(
    ("data", "rule"), [(b"a: \xff\n", "reading/not-utf8"), (b"a" * (documents.MAX_BYTES + 1), "reading/size")]
)
def test_bytes_that_are_no_text(data: bytes, rule: str) -> None:
    assert [f.rule for f in documents.read("a.yaml", data).findings] == [rule]


@pytest.mark.parametrize(
    ("text", "_rule", "_line"), [row for row in REFUSED if row[1] == "reading/ambiguous-scalar"]
)
def test_what_we_write_we_read_back_as_the_same(text: str, _rule: str, _line: int) -> None:
    scalar = text.partition(": ")[2].strip()
    value = {"a": scalar, scalar: "x", "list": [scalar, {"text": "two\nlines\n", "trail": "a \nb"}]}
    assert [d.value for d in documents.read("a.yaml", dump_yaml([value])).documents] == [
        json.loads(json.dumps(value))
    ]
