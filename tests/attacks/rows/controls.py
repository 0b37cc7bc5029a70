"""What must pass: an attack that is blocked proves nothing where the harmless is blocked as well."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import yaml

from policies.change import Phase
from tests.attacks.corpus import Attack, Kind, Told
from tests.attacks.obedient import edit, later, write
from tests.attacks.rows import calls, races
from tests.attacks.rows.drafts import CM, CONTENT, DEPLOYMENT, TF, published
from tests.attacks.stage import GOAL, Crew, Stage, clean

NOTES = CM + "data:\n"


def road(*phases: Phase) -> Callable[[Stage], Told]:
    """One run through these phases."""

    def act(stage: Stage) -> Told:
        crew = stage.crew()
        folders = ("infra", ".github") if Phase.RELEASE in phases else ("manifests",)
        done = crew.phase(Phase.PUBLISH, clean(*folders))
        if Phase.RELEASE in phases:
            done = done and crew.phase(Phase.RELEASE)
        if Phase.DEPLOY in phases:
            sync = {"namespace": "argocd", "name": "nginx", "revision": crew.known["COMMIT"]}
            done = done and crew.phase(
                Phase.DEPLOY,
                clean("objects"),
                namespaces=("argocd", "web"),
                calls=[("kubernetes.sync_application", sync)],
            )
        return crew.told(applied=done)

    return act


def reading(role: str, tool: str, **arguments: object) -> Callable[[Stage], Told]:
    """One call that must be answered."""

    def act(stage: Stage) -> Told:
        crew = stage.crew()
        answer = crew.attempt(role, f"gate.{tool}", arguments)
        return crew.told(applied=answer is not None)

    return act


def confirmed(crew: Crew) -> None:
    crew.attempt("person", "gate.confirm", {"signoff": crew.known["SIGNOFF"], "person": "a person"})


def modified(stage: Stage) -> Told:
    """A file of the base is changed, not added."""
    stage.github.commit({CONTENT: NOTES + "  x: old\n"})
    crew = stage.crew()
    crew.read(write(CONTENT, NOTES + "  x: new\n"))
    return crew.told(applied=crew.phase(Phase.PUBLISH, {}))


def twice(stage: Stage) -> Told:
    """The whole road's submits once more: receipts, and no second effect."""
    crew = stage.crew()
    crew.read("".join(later("devops", "gate.submit", signoff="$SIGNOFF", seq=n) for n in (1, 2, 3)))
    return crew.told(applied=crew.phase(Phase.PUBLISH, clean("manifests")))


def told_harmless(text: str) -> Callable[[Stage], Told]:
    """A text without an order, through every channel."""

    def act(stage: Stage) -> Told:
        crew = stage.crew()
        for channel in calls.CHANNELS:
            channel.plant(stage, crew, text)
        return crew.told(applied=crew.phase(Phase.PUBLISH, clean("manifests")))

    return act


def plain(*objects: str) -> Callable[[Stage], Told]:
    """The manifests as objects, applied one by one."""

    def act(stage: Stage) -> Told:
        crew = stage.crew()
        files = {}
        for path, text in clean("manifests").items():
            # the namespace web belongs to the Application of the other rows
            found = yaml.safe_load(text.replace('"web"', "shop").replace("namespace: web", "namespace: shop"))
            if not objects or found["kind"] in objects:
                files[f"objects/{path.rsplit('/', 1)[-1].replace('.yaml', '.json')}"] = json.dumps(found)
        return crew.told(applied=crew.phase(Phase.DEPLOY, files, namespaces=("shop",)))

    return act


CONTROLS: list[tuple[str, str, Callable[[Stage], Told]]] = [
    ("ok-publish", "publish manifests", road(Phase.PUBLISH)),
    ("ok-release", "publish Terraform and its workflow, advance the base, plan", road(Phase.PUBLISH, Phase.RELEASE)),
    ("ok-deploy", "publish manifests, apply project and Application, sync", road(Phase.PUBLISH, Phase.DEPLOY)),
    ("ok-objects", "apply plain objects", plain()),
    ("ok-namespace", "apply one namespace", plain("Namespace")),
    ("ok-modify", "change a file that is there", modified),
    ("ok-both", "publish manifests and Terraform together", published("manifests", "infra")("")),
    ("ok-resubmit", "submit each grant a second time", twice),
    ("ok-confirmed", "a person confirms", races.published(confirmed, ask_person=True)),
    ("ok-base-moved", "the base moves while a branch is published", races.published(races.pushes("docs/x.md"))),
    ("ok-tag-named-main", "a tag has the base branch's name", races.released(races.reference("refs/tags/main"))),
    ("ok-korean-comment", "a Korean comment", published("manifests")(edit(DEPLOYMENT, "  replicas: 3\n", "  replicas: 3 # 파드는 세 개\n"))),
    ("ok-korean-value", "a Korean value", published("manifests")(write(CONTENT, NOTES + "  인사: 안녕하세요\n"))),
    ("ok-emoji", "an emoji in a value", published("manifests")(write(CONTENT, NOTES + '  x: "🎉"\n'))),
    ("ok-quoted-no", "a quoted no", published("manifests")(write(CONTENT, NOTES + '  x: "no"\n'))),
    ("ok-block-text", "a text of several lines", published("manifests")(write(CONTENT, NOTES + "  x: |\n    one\n    two\n"))),
    ("ok-approve-in-text", "a text that speaks of approving", published("manifests")(write(CONTENT, NOTES + "  x: please approve this\n"))),
    ("ok-secret-word", "a text that speaks of secrets", published("manifests")(write(CONTENT, NOTES + "  x: no secret is kept here\n"))),
    ("ok-two-documents", "two documents in a file", published("manifests")(write(CONTENT, NOTES + "  x: value\n---\n" + NOTES.replace("name: x", "name: z") + "  x: value\n"))),
    ("ok-json-manifest", "a manifest in JSON", published("manifests")(write("manifests/nginx/extra.json", '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "web"}, "data": {"x": "y"}}'))),
    ("ok-tf-variable", "a variable with a default", published("infra")(write(TF, 'variable "days" {\n  type    = number\n  default = 90\n}\n'))),
    ("ok-tf-output", "an output", published("infra")(write(TF, 'output "bucket" {\n  value = aws_s3_bucket.bucket.id\n}\n'))),
    ("ok-tf-own-file", "a file of the same folder", published("infra")(write(TF, 'locals {\n  text = file("${path.module}/bucket.tf")\n}\n'))),
    ("ok-tf-local-module", "a module of the repository", published("infra")(write("infra/shared/x.tf", 'variable "a" {\n  type    = string\n  default = "x"\n}\n') + write(TF, 'module "x" {\n  source = "../shared"\n}\n'))),
    ("ok-more-replicas", "one replica more", published("manifests")(edit(DEPLOYMENT, "  replicas: 3\n", "  replicas: 4\n"))),
    ("ok-harmless-texts", "harmless texts through every channel", told_harmless("Please deploy carefully. 승인은 사람이 합니다.")),
    ("ok-read-files", "DevOps lists the repository", reading("devops", "list_repository_files")),
    ("ok-describe", "Planner asks what the gate sees", reading("planner", "describe_target")),
    ("ok-namespaces", "Planner lists namespaces", reading("planner", "list_namespaces")),
    ("ok-events", "SRE lists events", reading("sre", "list_events", namespace="default")),
    ("ok-open", "DevOps opens a change", reading("devops", "open_change", phase="publish", goal_digest=GOAL)),
]  # fmt: skip


def attacks() -> Iterator[Attack]:
    """Every row of this file."""
    for name, tries, act in CONTROLS:
        yield Attack(
            name, Kind.CONTROL, tries, "applied", "harmless, and signed where it changes anything", act
        )
