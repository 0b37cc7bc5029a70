from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from policies import documents
from policies.apart import scan_apart
from policies.finding import ParameterChange, Severity
from policies.remedy import apply
from policies.scan import scan
from policies.scanner.client import Record, ScannerFaultError, ScannerProcess, scanner_command
from tests.fakes.scanning import CONTEXT, DIGEST, NGINX, SIBLING, SIBLING_DIGEST, FixedScanner, judge, rules

ROOT = Path(__file__).resolve().parents[4]
BARE = b'resource "aws_s3_bucket" "logs" {\n  bucket = "x"\n}\n'


def record(
    check: str,
    path: str = "infra/main.tf",
    resource: str = "aws_s3_bucket.logs",
    name: str = "Ensure x",
    **more: object,
) -> Record:
    return Record.model_validate(
        {"check": check, "name": name, "path": path, "resource": resource, "line": 1, **more}
    )


def test_nothing_is_judged_without_a_scanner() -> None:
    with pytest.raises(ScannerFaultError):
        scan({"a.tf": BARE}, {"a.tf"}, context=CONTEXT, scanner=None)


def test_an_environment_without_engines_must_say_so() -> None:
    context = CONTEXT.model_copy(update={"without": frozenset({"checkov", "rego", "kubernetes-models"})})
    result = scan({"infra/a.tf": BARE}, {"infra/a.tf"}, context=context, scanner=None)
    assert [engine.partition("@")[0] for engine in result.engines] == ["countersign"]
    assert "terraform/s3-public-access-block" in rules(result.findings)


def test_the_same_fault_is_said_once_and_by_us() -> None:
    scanner = FixedScanner(
        record("CKV2_AWS_6"), record("CKV_AWS_999", name="Ensure the bucket is not public")
    )
    found = scan({"infra/main.tf": BARE}, {"infra/main.tf"}, context=CONTEXT, scanner=scanner).findings
    assert "checkov/CKV2_AWS_6" not in rules(found)
    (other,) = [f for f in found if f.engine == "checkov"]
    assert (other.rule, other.severity, other.rule_class) == (
        "checkov/CKV_AWS_999",
        Severity.MEDIUM,
        "public-storage",
    )


def test_a_twin_is_shown_where_ours_said_nothing() -> None:
    scanner = FixedScanner(
        record("CKV_AWS_24", resource="aws_security_group.sg", name="no ingress from 0.0.0.0:0 to port 22")
    )
    found = scan({"infra/main.tf": BARE}, {"infra/main.tf"}, context=CONTEXT, scanner=scanner).findings
    assert "checkov/CKV_AWS_24" in rules(found)


def test_findings_do_not_depend_on_the_scanners_order() -> None:
    records = [record("CKV_AWS_18"), record("CKV_AWS_21"), record("CKV_AWS_144")]
    tree = {"infra/main.tf": BARE}
    one = scan(tree, set(tree), context=CONTEXT, scanner=FixedScanner(*records))
    two = scan(tree, set(tree), context=CONTEXT, scanner=FixedScanner(*reversed(records)))
    assert one == two


def test_what_the_scanner_could_not_parse_is_a_finding() -> None:
    scanner = FixedScanner(parsing_errors=("infra/main.tf",))
    found = scan(
        {"infra/main.tf": b"locals {\n}\n"}, {"infra/main.tf"}, context=CONTEXT, scanner=scanner
    ).findings
    assert rules(found) == {"reading/scanner-gap"}


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("run.sh", "reading/unjudged"),
        ("Makefile", "reading/unjudged"),
        (".github/dependabot.yml", "reading/unjudged"),
        (".github/CODEOWNERS", "reading/unjudged"),
        ("README.md", "reading/unjudged-text"),
        (".checkov.yaml", "reading/scanner-switch"),
        (".tflint.hcl", "reading/scanner-switch"),
        (".trivyignore", "reading/scanner-switch"),
    ],
)
def test_every_file_is_accounted_for(path: str, rule: str) -> None:
    assert rule in rules(judge({path: ""}))


def test_only_what_the_change_touches_is_charged_to_it() -> None:
    tree = {"infra/main.tf": BARE, "manifests/old.yaml": b"a: &x 1\n", "new.md": b"x"}
    result = scan(tree, {"new.md", "gone.tf"}, context=CONTEXT, scanner=FixedScanner())
    assert rules(result.findings) == {"reading/unjudged-text"}
    assert result.judged == ("new.md",)


def test_what_submitting_starts_is_listed_whoever_wrote_it() -> None:
    workflow = b"on:\n  push:\n    branches: ['countersign/**']\njobs:\n  a:\n    runs-on: x\n    steps: []\n"
    tree = {"new.md": b"x", ".github/workflows/old.yml": workflow}
    for branch, listed in (("countersign/cs-1", ["workflow/triggered"]), ("main", [])):
        context = CONTEXT.model_copy(update={"starts": {"push": branch}})
        found = scan(tree, {"new.md"}, context=context, scanner=FixedScanner()).findings
        assert [f.rule for f in found if f.path.endswith("old.yml")] == listed


def test_deleting_a_guard_is_charged() -> None:
    result = scan({"infra/main.tf": BARE}, {"infra/guard.tf"}, context=CONTEXT, scanner=FixedScanner())
    assert "terraform/s3-public-access-block" in rules(result.findings)


# ---- the same with checkov itself

SCANNER = ROOT / ".venv-scanner" / "bin" / "python"


@pytest.fixture(scope="module")
def checkov() -> Iterator[ScannerProcess]:
    if not SCANNER.exists():
        pytest.skip("the scanner environment is not set up")
    with ScannerProcess(scanner_command(SCANNER)) as scanner:
        yield scanner


def render(image: str, port: int) -> bytes:
    """A Deployment as a person would write it, with a Service and a NetworkPolicy."""
    return f"""apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: web
spec:
  replicas: 3
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
        - name: web
          image: {image}
          ports:
            - containerPort: {port}
---
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: web
spec:
  selector:
    app: web
  ports:
    - port: 80
      targetPort: {port}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: web
spec:
  podSelector:
    matchLabels:
      app: web
  policyTypes:
    - Ingress
  ingress:
    - from:
        - podSelector: {{}}
      ports:
        - port: {port}
""".encode()


IMAGES = {NGINX: (f"{NGINX}@{DIGEST}", 80), SIBLING: (f"{SIBLING}@{SIBLING_DIGEST}", 8080)}


def test_a_plain_nginx_becomes_clean_by_the_findings_remediations_alone(checkov: ScannerProcess) -> None:
    path = "manifests/web.yaml"
    files = {path: render(*IMAGES[NGINX])}
    rounds: list[int] = []
    while True:
        found = scan(files, set(files), context=CONTEXT, scanner=checkov).findings
        blocking = [f for f in found if f.severity.rank >= Severity.MEDIUM.rank]
        rounds.append(len(blocking))
        if not blocking:
            break
        assert len(rounds) <= 4, [f.message for f in blocking]
        fixes = [fix for finding in blocking for fix in finding.remediations]
        for change in fixes:
            if isinstance(change, ParameterChange):
                files = {path: render(*IMAGES[str(change.value)])}
        files = apply([fix for fix in fixes if not isinstance(fix, ParameterChange)], files)
    assert rounds[0] >= 6
    deployment = documents.read(path, files[path]).documents[0].value
    assert isinstance(deployment, dict)
    assert SIBLING in str(deployment)
    assert rules(scan(files, set(files), context=CONTEXT, scanner=checkov).findings) <= {
        "kubernetes/probes",
        "kubernetes/read-only-root",
        "checkov/CKV_K8S_40",
    }


def test_an_inline_skip_and_a_configuration_file_change_nothing(checkov: ScannerProcess) -> None:
    plain = {"infra/main.tf": BARE}
    skipped = {
        "infra/main.tf": BARE.replace(
            b"{\n", b"{\n  #checkov:skip=CKV_AWS_21:no\n  #checkov:skip=CKV_AWS_18:no\n", 1
        ),
        ".checkov.yaml": b"skip-check:\n  - CKV_AWS_144\n",
    }
    one = scan(plain, set(plain), context=CONTEXT, scanner=checkov).findings
    two = scan(skipped, set(skipped), context=CONTEXT, scanner=checkov).findings
    assert rules(one) <= rules(two)
    assert rules(two) - rules(one) == {"reading/scanner-switch", "reading/unjudged"}


def test_an_annotation_cannot_skip_a_check_either(checkov: ScannerProcess) -> None:
    pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: b\n  annotations:\n    checkov.io/skip1: CKV_K8S_40=no\nspec: {containers: [{name: a, image: x}]}\n"
    tree = {"a.yaml": pod.encode()}
    found = scan(tree, {"a.yaml"}, context=CONTEXT, scanner=checkov).findings
    (skipped,) = [f for f in found if f.rule == "checkov/CKV_K8S_40"]
    assert "tried to skip" in skipped.message


def test_our_own_checks_run_in_checkov(checkov: ScannerProcess) -> None:
    code = 'resource "aws_eks_addon" "a" {\n  addon_name = "x"\n}\nresource "aws_eks_access_policy_association" "p" {\n  policy_arn = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"\n}\n'
    tree = {"infra/a.tf": code.encode()}
    found = rules(scan(tree, set(tree), context=CONTEXT, scanner=checkov).findings)
    assert {"checkov/CKV_CSIGN_1", "checkov/CKV2_CSIGN_1"} <= found


def test_one_scan_leaves_nothing_for_the_next(checkov: ScannerProcess) -> None:
    one = {"infra/a.tf": BARE}
    two = {"infra/b.tf": BARE.replace(b"logs", b"other")}
    first = scan(one, set(one), context=CONTEXT, scanner=checkov)
    second = scan(two, set(two), context=CONTEXT, scanner=checkov)
    assert {f.resource for f in second.findings} == {"aws_s3_bucket.other"}
    assert scan(one, set(one), context=CONTEXT, scanner=checkov) == first


def test_a_path_out_of_the_tree_is_a_fault(checkov: ScannerProcess) -> None:
    with pytest.raises(ScannerFaultError):
        checkov.scan({"../../evil.tf": BARE})


def test_the_worker_judges_as_this_process_does(checkov: ScannerProcess) -> None:
    tree = {"infra/main.tf": BARE, "manifests/web.yaml": render(*IMAGES[NGINX]), "other/x.tf": BARE}
    changed = {"infra/main.tf", "manifests/web.yaml", "gone.md"}
    here = scan(tree, changed, context=CONTEXT, scanner=checkov, base={})
    apart = scan_apart(tree, changed, context=CONTEXT, process=checkov, base={})
    assert apart.findings == here.findings
    assert apart.judged == here.judged
    assert {engine.partition("@")[0] for engine in apart.engines} == {
        "checkov",
        "countersign",
        "kubernetes-models",
        "rego",
    }


def test_the_worker_may_not_leave_an_engine_out(checkov: ScannerProcess) -> None:
    context = CONTEXT.model_copy(update={"without": frozenset({"rego"})})
    with pytest.raises(ScannerFaultError, match="every engine"):
        scan_apart({}, set(), context=context, process=checkov)


def test_a_policy_that_cannot_be_used_is_a_fault_of_the_whole_scan(checkov: ScannerProcess) -> None:
    context = CONTEXT.model_copy(update={"rego": {"a.rego": "package a\n\ndeny[msg] { msg := 1 }\n"}})
    with pytest.raises(ScannerFaultError, match=r"a\.rego is written in Rego v0"):
        scan_apart({}, set(), context=context, process=checkov)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent death signal is Linux's")
def test_the_worker_dies_with_its_parent() -> None:
    boot = (
        f"import sys, os; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\nfrom policies.scanner.client import ScannerProcess, scanner_command\n"
        f"s = ScannerProcess(scanner_command(Path({str(SCANNER)!r})))\ns.scan({{}})\n"
        "print(s._child.pid, flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", boot], capture_output=True, text=True, check=False, timeout=60
    )
    pid = int(done.stdout)
    for _ in range(200):
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.01)
    pytest.fail("the worker outlived its parent")
