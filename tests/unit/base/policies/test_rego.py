from __future__ import annotations

import pytest

from policies.documents import Document
from policies.kubernetes_objects import ManifestObject
from policies.rego import RegoEngine, RegoFaultError, load, our_bundle
from policies.scan import scan
from tests.fakes.scanning import CONTEXT, FixedScanner

DENY = 'package main\n\nimport rego.v1\n\ndeny contains msg if {\n\tinput.kind == "Service"\n\tmsg := "no services"\n}\n'


def owner(kind: str) -> ManifestObject:
    value = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}}
    return ManifestObject(Document("a.yaml", 0, value, {}), "", value)


def test_a_conftest_policy_denies_what_it_names_and_nothing_else() -> None:
    engine = RegoEngine(load({"services.rego": DENY}))
    (finding,) = engine.findings(owner("Service"))
    assert (finding.rule, finding.message, finding.engine) == ("rego/denied", "no services", "rego")
    assert list(engine.findings(owner("ConfigMap"))) == []


def test_a_warning_is_low() -> None:
    engine = RegoEngine(load({"a.rego": DENY.replace("deny contains", "warn contains")}))
    assert [f.rule for f in engine.findings(owner("Service"))] == ["rego/warned"]


def test_several_packages_and_every_and_with_work() -> None:
    sources = {
        "a.rego": DENY,
        "b.rego": 'package b\n\nimport rego.v1\n\nviolation contains {"msg": msg} if {\n\tevery c in [1, 2] { c > 0 }\n\tok with input as {"kind": "X"}\n\tmsg := "b"\n}\n\nok if input.kind == "X"\n',
    }
    engine = RegoEngine(load(sources))
    assert sorted(f.message for f in engine.findings(owner("Service"))) == ["b", "no services"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            DENY.replace('input.kind == "Service"', 'net.cidr_contains("10.0.0.0/8", input.a)'),
            "net.cidr_contains",
        ),
        (DENY.replace('input.kind == "Service"', "json.match_schema(input, {})[0]"), "json.match_schema"),
        (DENY.replace('input.kind == "Service"', 'http.send({"url": "http://x"})'), "http.send"),
        ('package main\n\ndeny[msg] {\n\tmsg := "x"\n}\n', "v0"),
        ("deny contains msg if { true }\n", "no package"),
        ("package main\n\nimport rego.v1\n\ndeny contains msg if {\n", "no Rego|cannot be evaluated"),
    ],
)
def test_a_policy_that_would_be_silent_is_refused(source: str, reason: str) -> None:
    with pytest.raises(RegoFaultError, match=reason):
        list(RegoEngine(load({"a.rego": source})).findings(owner("Service")))


def test_a_policy_that_always_fails_is_a_fault() -> None:
    with pytest.raises(RegoFaultError):
        RegoEngine(load({"a.rego": DENY.replace('input.kind == "Service"', 'to_number("x") == 1')}))


def test_a_policy_that_fails_on_an_object_does_not_let_it_pass() -> None:
    engine = RegoEngine(
        load({"a.rego": DENY.replace('input.kind == "Service"', "to_number(input.kind) == 1")})
    )
    assert [f.rule for f in engine.findings(owner("Service"))] == ["rego/undecided"]
    assert [f.rule for f in engine.findings(owner("1"))] == ["rego/denied"]


def test_a_builtin_named_in_a_comment_or_string_is_no_call() -> None:
    load({"a.rego": DENY.replace('"no services"', '"http.send(x)"') + "# net.cidr_contains(a)\n"})


def test_our_bundle_loads_and_an_object_without_a_name_does_not_silence_it() -> None:
    value = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "x-", "namespace": "kube-system"},
    }
    engine = RegoEngine(our_bundle())
    found = engine.findings(ManifestObject(Document("a.yaml", 0, value, {}), "", value))
    assert [f.rule for f in found] == ["rego/kube-system"]


def test_the_users_own_policies_judge_in_a_scan() -> None:
    tree = {
        "a.yaml": b"apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b}\nspec: {ports: [{port: 80}]}\n"
    }
    context = CONTEXT.model_copy(update={"rego": {"services.rego": DENY}})
    result = scan(tree, set(tree), context=context, scanner=FixedScanner())
    assert [f.rule for f in result.findings] == ["rego/denied"]
    assert any(engine.startswith("rego@") for engine in result.engines)
