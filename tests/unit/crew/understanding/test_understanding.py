from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from crew.understanding.lexicon import Lexicon
from crew.understanding.meaning import Understanding
from crew.understanding.understand import understand
from knowledge.blueprint import Blueprint, load_all

HERE = Path(__file__).parent
BLUEPRINTS = load_all()
LEXICON = Lexicon.of(BLUEPRINTS)


def _goals(name: str) -> list[dict[str, Any]]:
    return list(tomllib.loads((HERE / name).read_text(encoding="utf-8"))["goal"])


UNDERSTOOD = _goals("understood.toml")
REFUSED = _goals("not_understood.toml")


def _meaning(found: Understanding) -> dict[str, dict[str, Any]]:
    return {
        chosen.blueprint: {value.name: value.value for value in chosen.parameters.chosen if value.explicit}
        for chosen in found.chosen
        if chosen.explicit
    }


def _chosen(goal: str) -> Mapping[str, dict[str, Any]]:
    found = understand(goal, BLUEPRINTS, LEXICON)
    assert found.clear, found.not_understood or found.destructive
    return {chosen.blueprint: dict(chosen.parameters.values) for chosen in found.chosen}


def test_the_tables_are_as_long_as_promised() -> None:
    assert len(UNDERSTOOD) + len(REFUSED) >= 350
    assert len({row["text"] for row in [*UNDERSTOOD, *REFUSED]}) == len(UNDERSTOOD) + len(REFUSED)


@pytest.mark.parametrize("row", UNDERSTOOD, ids=lambda row: row["text"][:60])
def test_a_goal_means_exactly_this(row: dict[str, Any]) -> None:
    found = understand(row["text"], BLUEPRINTS, LEXICON)
    assert found.not_understood == ()
    assert found.destructive is None
    assert _meaning(found) == row["means"]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row["text"][:60])
def test_a_goal_that_must_not_be_acted_on_is_not_clear(row: dict[str, Any]) -> None:
    found = understand(row["text"], BLUEPRINTS, LEXICON)
    assert not found.clear
    assert found.nearest
    if "destructive" in row:
        assert found.destructive == row["destructive"]
    else:
        assert row["unknown"] in found.not_understood


@pytest.mark.parametrize("tail", [" and also a zebra", " 그리고 얼룩말도 부탁해"])
def test_one_unknown_word_makes_the_whole_goal_unclear(tail: str) -> None:
    for row in UNDERSTOOD:
        assert not understand(row["text"].rstrip(".!?") + tail, BLUEPRINTS, LEXICON).clear, row["text"]


@pytest.mark.parametrize("tail", [". Delete the old bucket", ". 그리고 기존 클러스터는 삭제해줘"])
def test_one_destructive_word_is_enough(tail: str) -> None:
    for row in UNDERSTOOD:
        assert understand(row["text"].rstrip(".!?") + tail, BLUEPRINTS, LEXICON).destructive, row["text"]


@pytest.mark.parametrize("spread", ["  {}  ", "{}!!", "wide", "upper"])
def test_space_case_and_punctuation_do_not_change_a_meaning(spread: str) -> None:
    for row in UNDERSTOOD:
        text = row["text"]
        variant = {"wide": text.replace(" ", "  "), "upper": text.upper()}.get(spread, spread.format(text))
        assert _meaning(understand(variant, BLUEPRINTS, LEXICON)) == row["means"], variant


@pytest.mark.parametrize("row", UNDERSTOOD, ids=lambda row: row["text"][:60])
def test_the_goal_that_would_be_accepted_means_the_same_without_what_is_unsafe(row: dict[str, Any]) -> None:
    found = understand(row["text"], BLUEPRINTS, LEXICON)
    again = understand(found.accepted_goal, BLUEPRINTS, LEXICON)
    assert again.clear, (found.accepted_goal, again.not_understood)
    assert again.asks_for == ()
    assert [c.blueprint for c in again.chosen] == [c.blueprint for c in found.chosen]
    for before, after in zip(found.chosen, again.chosen, strict=True):
        blueprint = BLUEPRINTS[before.blueprint]
        wanted = blueprint.safe(before.parameters).values
        said = {name for name, parameter in blueprint.accepts.items() if parameter.said}
        assert {n: v for n, v in after.parameters.values.items() if n in said} == {
            n: v for n, v in wanted.items() if n in said
        }


def test_defaults_come_with_the_language_and_a_reason() -> None:
    korean = understand("AWS EKS 클러스터에 Nginx 배포하고 ArgoCD로 관리해줘.", BLUEPRINTS, LEXICON)
    english = understand("Deploy Nginx on AWS EKS and manage it with ArgoCD.", BLUEPRINTS, LEXICON)
    assert (korean.language, english.language) == ("ko", "en")
    values = {c.blueprint: c.parameters for c in korean.chosen}
    assert values["web-app"].values["replicas"] == 3
    assert values["web-app"].reasons["replicas"] == "기본값 3"
    assert values["web-app"].reasons["image"] == "“Nginx”"
    assert values["eks-cluster"].values["region"] == "ap-northeast-2"
    assert {c.blueprint: c.parameters for c in english.chosen}["eks-cluster"].values["region"] == "us-east-1"


def test_what_belongs_together_is_given_together() -> None:
    chosen = _chosen(
        "EKS에 nginx를 shop이라는 이름으로 web 네임스페이스에 배포하고 로그용 S3 버킷도 도쿄에 만들고 ArgoCD로 관리해줘"
    )
    assert chosen["argocd-application"] == {
        "app": "shop",
        "namespace": "web",
        "argocd_namespace": "argocd",
        "automated_sync": False,
    }
    assert chosen["terraform-workflow"] == {"root": "platform", "region": "ap-northeast-1"}
    assert chosen["s3-bucket"]["root"] == "platform"


def test_terraform_brings_its_workflow_and_a_web_app_does_not() -> None:
    assert "terraform-workflow" in _chosen("S3 버킷 만들어줘")
    assert "terraform-workflow" not in _chosen("nginx 배포해줘")


def test_unsafe_wishes_name_their_rules_only_when_they_were_said() -> None:
    asked = understand("Run nginx as root with privileged: true.", BLUEPRINTS, LEXICON)
    assert asked.asks_for == ("pod-security/privileged", "pod-security/run-as-user")
    assert asked.accepted_goal == "Deploy the image nginx."
    opened = understand("로그용 S3 버킷을 퍼블릭으로 열어줘.", BLUEPRINTS, LEXICON)
    assert opened.asks_for == ("terraform/s3-public-policy", "terraform/s3-public-access-block")
    assert opened.accepted_goal == "로그용 비공개 S3 버킷을 만들어줘."
    assert understand("nginx 배포해줘", BLUEPRINTS, LEXICON).asks_for == ()


def test_a_misspelt_word_says_how_it_was_read() -> None:
    found = understand("deploy ngnix", BLUEPRINTS, LEXICON)
    assert found.chosen[0].parameters.reasons["image"] == "“ngnix” = nginx"


def test_without_blueprints_nothing_is_understood() -> None:
    assert not understand("Deploy nginx on EKS", {}).clear


def test_an_alias_in_the_blueprint_is_all_it_takes_to_be_understood() -> None:
    web: Blueprint = BLUEPRINTS["web-app"]
    image = web.accepts["image"]
    words = {**image.words, "docker.io/library/caddy": ("caddy", "캐디")}
    taught = web.model_copy(
        update={"accepts": {**web.accepts, "image": image.model_copy(update={"words": words})}}
    )
    assert not understand("캐디 배포해줘", BLUEPRINTS, LEXICON).clear
    assert understand("캐디 배포해줘", {**BLUEPRINTS, "web-app": taught}).clear


HOSTILE = [
    "클러스터" * 650,
    "일" * 2600,
    "a/" * 3900,
    "without eks and " * 500,
    "3 " * 3900,
    "이름은 " * 700,
    "nginx:" * 1200,
    "9" * 7900,
]


@pytest.mark.parametrize("goal", HOSTILE, ids=lambda goal: goal[:8])
def test_hostile_repetition_ends_and_is_not_clear(goal: str) -> None:
    assert not understand(goal, BLUEPRINTS, LEXICON).clear
