"""One served rehearsal cluster for the room, and the client that points at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.served_cluster import ServedCluster, bare_repository
from tests.unit.base.kubernetes.shop import FILES, URL, Shop
from tools.kubernetes.client import Client, connect
from tools.kubernetes.cluster import LiveCluster
from tools.settings import KubernetesSettings


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A cluster whose Argo CD knows one repository."""
    folder = tmp_path_factory.mktemp("shop")
    bare, sha = bare_repository(folder, FILES)
    with ServedCluster(folder / "state", {URL: bare}) as served:
        client: Client = connect(KubernetesSettings(kubeconfig=served.kubeconfig), deadline=5)
        yield Shop(served, LiveCluster(client), sha)
        client.close()
