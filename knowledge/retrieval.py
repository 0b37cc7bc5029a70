"""LlamaIndex over blueprints, policies, past outcomes and the live inventory: what a plan may cite.

BM25 by default: offline, deterministic, a millisecond. Korean words carry particles, so words of Hangul are
indexed by pairs of letters beside the words themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.retrievers.bm25 import BM25Retriever
from pydantic import Field

from knowledge.graph import Graph, GraphUnavailableError
from knowledge.inventory import Inventory
from knowledge.schema import OUTCOMES_ON
from policies.change import Word
from traces import names, spans

_WORD = re.compile(r"[0-9A-Za-z_]+|[가-힣]+")
_HANGUL = re.compile(r"[가-힣]")


class Passage(Word):
    """A text that was found, where it comes from, and how well it fits (BM25 score, above 0)."""

    source: str = Field(description="blueprint:web-app, policy:RULE, inventory:KIND/NS/NAME, outcome:RUN")
    text: str
    score: float


class Source(Word):
    """A text to index."""

    source: str
    text: str


class OutcomeRetriever(BaseRetriever):
    """Past runs on the same targets, newest first, straight from the graph by Cypher."""

    def __init__(self, graph: Graph, targets: Sequence[str]) -> None:
        self._graph, self._targets = graph, list(targets)
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        del query_bundle  # every outcome on the target concerns the next plan
        rows = self._graph.read(OUTCOMES_ON, {"targets": self._targets})
        runs: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            runs.setdefault(str(row["run"]), []).append(row)
        return [
            NodeWithScore(node=_node(f"outcome:{run}", _outcome(phases)), score=1.0)
            for run, phases in runs.items()
        ]


def _outcome(phases: list[Mapping[str, Any]]) -> str:
    first = phases[0]
    rules = sorted({str(rule) for row in phases for rule in row["rules"] if rule})
    met = f"; Security demanded: {', '.join(rules)}" if rules else ""
    stages = ", ".join(f"{row['phase']} {row['state']}" for row in phases)
    return f"goal {first['goal']!r} ended {first['status']} at {first['ended']} ({stages}{met})"


class Memory:
    """One index over everything a plan may cite."""

    def __init__(self, sources: Iterable[Source], outcomes: OutcomeRetriever | None = None) -> None:
        nodes = [_node(s.source, s.text) for s in sources]
        self._texts = {node.node_id: node for node in nodes}
        self._bm25 = (
            BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=min(12, len(nodes))) if nodes else None
        )
        self._outcomes = outcomes

    def search(self, query: str, *, limit: int = 6) -> tuple[Passage, ...]:
        """The best passages, never one that shares no word with the query."""
        if self._bm25 is None or not _WORD.search(query):
            return ()
        with spans.span(f"{names.RETRIEVAL} knowledge", {names.OPERATION_NAME: names.RETRIEVAL}):
            found = self._bm25.retrieve(_spread(query))
        passages = [_passage(hit) for hit in found if hit.score is not None and hit.score > 0]
        return tuple(passages[:limit])

    def outcomes(self) -> tuple[Passage, ...]:
        """What earlier runs met on the same targets; empty while the graph is not there."""
        if self._outcomes is None:
            return ()
        try:
            with spans.span(f"{names.RETRIEVAL} outcomes", {names.OPERATION_NAME: names.RETRIEVAL}):
                return tuple(_passage(hit) for hit in self._outcomes.retrieve("outcomes"))
        except GraphUnavailableError:
            return ()


def inventory_sources(inventory: Inventory) -> tuple[Source, ...]:
    """The inventory as texts to index."""
    return tuple(Source(source=f"inventory:{item.source}", text=item.summary) for item in inventory.items)


def _node(source: str, text: str) -> TextNode:
    return TextNode(
        text=_spread(text),
        metadata={"source": source, "shown": text},
        excluded_embed_metadata_keys=["source", "shown"],
    )


def _passage(hit: NodeWithScore) -> Passage:
    meta = hit.node.metadata
    return Passage(
        source=str(meta["source"]), text=str(meta["shown"]), score=round(float(hit.score or 0.0), 4)
    )


def _spread(text: str) -> str:
    """Words, and for Hangul also each pair of letters, so that 클러스터에 finds 클러스터."""
    words: list[str] = []
    for word in _WORD.findall(text.lower()):
        words.append(word)
        if _HANGUL.match(word) and len(word) > 2:
            words.extend(word[i : i + 2] for i in range(len(word) - 1))
    return " ".join(words)
