"""Combinations of parameter values such that every pair of values of two parameters occurs in one of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from knowledge.blueprint import Blueprint
from knowledge.parameter import Parameter, Value


def candidates(parameter: Parameter, most: int) -> list[Value]:
    """Values at the edges and in the middle of what a parameter takes."""
    if parameter.type == "boolean":
        return [False, True]
    if parameter.type == "choice":
        return list(parameter.choices[:most])
    if parameter.type == "integer":
        middle = (
            parameter.default
            if isinstance(parameter.default, int)
            else (parameter.minimum + parameter.maximum) // 2
        )
        return list(dict.fromkeys([parameter.minimum, middle, parameter.maximum]))
    if parameter.type == "image":
        return ["nginx", "httpd", "redis", "ghcr.io/acme/shop:1.2", "docker.io/nginxinc/nginx-unprivileged"][
            :most
        ]
    return ["a", "x" * parameter.longest, "shop-web-1"][:most]


def cases(blueprint: Blueprint, most: int = 20) -> Iterator[dict[str, Value]]:
    """Pairwise cases of one blueprint, with at most `most` values of a choice; the defaults come first."""
    yield {}
    yield from pairwise({name: candidates(p, most) for name, p in blueprint.accepts.items()})


def pairwise(values: Mapping[str, Sequence[Value]]) -> Iterator[dict[str, Value]]:
    """Greedy all-pairs: deterministic, near the minimum."""
    missing = {
        ((a, x), (b, y))
        for a, b in itertools.combinations(values, 2)
        for x in range(len(values[a]))
        for y in range(len(values[b]))
    }
    while missing:
        seed = min(missing)
        case = dict(seed)
        for name in values:
            if name not in case:
                case[name] = max(
                    range(len(values[name])), key=lambda v, n=name, c=case: _gain(n, v, c, missing)
                )
        missing -= {pair for pair in missing if all(case[n] == v for n, v in pair)}
        yield {name: values[name][index] for name, index in case.items()}


def _gain(
    name: str, value: int, case: Mapping[str, int], missing: set[tuple[tuple[str, int], tuple[str, int]]]
) -> int:
    pairs = (tuple(sorted([(name, value), chosen])) for chosen in case.items())
    return sum(pair in missing or (pair[1], pair[0]) in missing for pair in pairs)
