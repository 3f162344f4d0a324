"""What is alive and what it costs: the nodes of a cluster, seen to come and to go."""

from __future__ import annotations

import pytest

from phichat.backends.azureml import compute
from phichat.backends.base import Resource
from phichat.errors import AuthError, BackendError, NotFoundError
from phichat.events import Event, Step
from tests.azure.places import Lab
from tests.azure.standin.cloud import Cloud

CLUSTER = "phichat-nc24ads-a100-v4"


@pytest.fixture
async def ready(empty: Cloud, lab: Lab) -> Lab:
    """A workspace with the project's cluster, asleep, and somebody else's."""
    empty.workspaces.make("phichat", "phichat")
    here = lab()
    await compute.make(here._workspace)
    await compute.make(lab(compute="theirs")._workspace)
    (theirs,) = [each for each in empty.compute.found.values() if each["name"] == "theirs"]
    theirs["tags"] = {"phichat": "another"}
    return lab


async def test_a_node_is_seen_to_come_and_to_go(empty: Cloud, ready: Lab) -> None:
    here, seen = ready(), []
    for nodes, target in ((0, None), (0, 1), (1, None), (1, 0), (0, None)):
        empty.compute.size(CLUSTER, nodes, target)
        (cluster,) = await here.resources()
        assert (cluster.kind, cluster.name) == ("cluster", CLUSTER)
        seen.append((cluster.state, cluster.usd_per_hour))
    assert seen == [
        ("asleep", 0.0),
        ("asleep, soon 1", 0.0),
        ("1 node", 3.673),
        ("1 node, soon 0", 3.673),
        ("asleep", 0.0),
    ]


async def test_nodes_of_an_unknown_price_are_not_free(empty: Cloud, ready: Lab) -> None:
    for each in empty.compute.found.values():
        each["properties"]["properties"]["vmSize"] = "Standard_Unknown"
    empty.compute.size(CLUSTER, 2)
    (cluster,) = await ready().resources()
    assert (cluster.state, cluster.usd_per_hour) == ("2 nodes", None)


async def test_a_cluster_is_deleted_once(empty: Cloud, ready: Lab) -> None:
    here = ready()
    (cluster,) = await here.resources()
    told: list[Event] = []
    for _ in range(2):
        await here.remove(cluster, told.append)
    assert await here.resources() == []
    assert [event.state for event in told if isinstance(event, Step)] == ["running", "done"]
    assert [each["name"] for each in empty.compute.found.values()] == ["theirs"]


async def test_what_is_not_ours_is_not_deleted(empty: Cloud, ready: Lab) -> None:
    with pytest.raises(BackendError, match="belongs to somebody else"):
        await ready().remove(Resource(kind="cluster", name="theirs", state="asleep"), lambda event: None)
    with pytest.raises(NotFoundError):
        await ready().remove(Resource(kind="parrot", name="polly", state="awake"), lambda event: None)
    assert len(empty.compute.found) == 2


async def test_without_a_workspace_nothing_is_alive(empty: Cloud, lab: Lab) -> None:
    assert await lab().resources() == []


async def test_whoever_is_not_signed_in_is_not_told_that_nothing_is(
    empty: Cloud, ready: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    with pytest.raises(AuthError):
        await ready().resources()
