"""What a plan may cite is found in both languages, with its source, and nothing is found for nothing."""

import pytest

from knowledge.retrieval import Memory, Source

SOURCES = (
    Source(source="blueprint:eks-cluster", text="AWS EKS 클러스터: private endpoint, encryption, logging"),
    Source(
        source="blueprint:web-app",
        text="nginx httpd redis web app, Deployment and Service, 웹 애플리케이션 배포",
    ),
    Source(
        source="inventory:NetworkPolicy/web/deny",
        text="NetworkPolicy deny denies all ingress traffic in namespace web",
    ),
)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("AWS EKS 클러스터에 배포해줘", "blueprint:eks-cluster"),
        ("클러스터를", "blueprint:eks-cluster"),
        ("three nginx replicas", "blueprint:web-app"),
        ("애플리케이션을 배포", "blueprint:web-app"),
        ("ingress to namespace web", "inventory:NetworkPolicy/web/deny"),
    ],
)
def test_the_best_passage_comes_first_with_its_source(query: str, first: str) -> None:
    assert Memory(SOURCES).search(query)[0].source == first


@pytest.mark.parametrize("query", ["", "   ", "양자컴퓨터", "zzz", "!!!"])
def test_a_query_that_shares_no_word_finds_nothing(query: str) -> None:
    assert Memory(SOURCES).search(query) == ()


def test_an_empty_memory_answers() -> None:
    memory = Memory(())
    assert memory.search("nginx") == ()
    assert memory.outcomes() == ()
