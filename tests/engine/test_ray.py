"""engine=ray, on clusters of this machine: a raylet of its own for each node, each on ports of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collect.city import PER_HOST, City, city, wait_for
from engine import tasks
from engine.contract import EngineContract
from imagenet_nk.collect.collector import Progress
from imagenet_nk.collect.desk import CollectDesk
from imagenet_nk.engine.base import Engine
from imagenet_nk.engine.local import Local
from imagenet_nk.engine.ray import Ray, why_not
from imagenet_nk.errors import EngineError

ROOT = Path(__file__).resolve().parents[2]
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ |= {
    "GRPC_ENABLE_FORK_SUPPORT": "0",
    "GRPC_POLL_STRATEGY": "poll",
}  # Ray's client server forks, gRPC may abort
ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of one node with one CPU; whoever wants more adds to it."""
    from ray.cluster_utils import Cluster

    ray.cloudpickle.register_pickle_by_value(tasks)  # workers do not see the tests
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client_port = unused.getsockname()[1]
    head = {"num_cpus": 1, "include_dashboard": False, "ray_client_server_port": client_port}
    one = Cluster(initialize_head=True, head_node_args=head)
    one.client_address = f"ray://127.0.0.1:{client_port}"
    try:
        yield one
    finally:
        ray.shutdown()
        one.shutdown()
        ray.cloudpickle.unregister_pickle_by_value(tasks)


@pytest.fixture(scope="module")
def three(cluster: Any) -> Any:
    """The same with two more nodes."""
    while len(cluster.list_all_nodes()) < 3:
        cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    return cluster


@pytest.fixture
def town(tmp_path: Path) -> Iterator[City]:
    with city(tmp_path) as one:
        one.run("one", Local(1))
        one.server.clear()
        one.most.clear()
        one.tired = 2
        yield one


@pytest.fixture
def engine(cluster: Any) -> Iterator[Engine]:
    made = Ray(cluster.address)
    yield made
    made.close()


def test_one_node_keeps_what_one_process_keeps(engine: Engine, town: City) -> None:
    assert engine.workers(10) == 1
    town.run("ray", engine)
    assert town.outcome("ray") == town.outcome("one")


def test_a_driver_outside_the_cluster(cluster: Any, town: City) -> None:
    program = [sys.executable, str(ROOT / "src/imagenet.py"), "engine=ray", f"engine.address={cluster.client_address}"]
    done = subprocess.run([*program, *town.overrides("ray")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert town.outcome("ray") == town.outcome("one")


class TestThreeNodes(EngineContract):
    @pytest.fixture
    def engine(self, three: Any) -> Iterator[Engine]:
        made = Ray(three.address)
        yield made
        made.close()

    def test_three_nodes_keep_what_one_process_keeps(self, engine: Engine, town: City) -> None:
        assert engine.workers(10) == 3
        town.seconds = 0.03
        town.run("ray", engine)
        assert town.outcome("ray") == town.outcome("one")
        assert 1 < max(town.most.values()) <= PER_HOST, "the server's own count"

    def test_the_driver_is_killed_and_the_same_command_goes_on(self, engine: Engine, town: City, three: Any) -> None:
        town.seconds = 0.05
        program = [sys.executable, str(ROOT / "src/imagenet.py"), "engine=ray", f"engine.address={three.address}"]
        driver = subprocess.Popen([*program, *town.overrides("ray")])
        wait_for(town, 40)
        driver.kill()
        driver.wait()
        town.run("ray", engine)
        assert town.outcome("ray") == town.outcome("one")
        assert max(town.images_asked().values()) <= 2 + 2  # and two pauses

    def test_a_gpu_that_no_node_has(self, engine: Engine) -> None:
        with pytest.raises(EngineError, match=r"no node of the Ray cluster .* has the GPU"):
            engine.map(tasks.double, [1], workers=1, gpus=1)

    def test_a_node_that_dies_costs_no_image_but_those_in_its_hands(
        self, engine: Engine, town: City, three: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The last test here: the node is gone."""
        town.seconds = 0.03
        killed, lost = [], []
        monkeypatch.setattr(
            CollectDesk, "lost", lambda desk, worker, then=CollectDesk.lost: (lost.append(worker), then(desk, worker))
        )

        def watch(progress: Progress) -> None:
            if progress.images > 20 and not killed:
                killed.append(three.list_all_nodes()[-1])
                three.remove_node(killed[0], allow_graceful=False)

        town.run("ray", engine, watch=watch)
        assert len(lost) == 1, "no worker was on that node"
        assert town.outcome("ray") == town.outcome("one")
        assert max(town.images_asked().values()) <= 2 + 2  # and two pauses
        assert max(town.most.values()) <= PER_HOST


# --- what can be wrong


def test_ray_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match=r"pip install 'imagenet-nk\[ray\]'"):
        Ray()


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_nobody_listens_at_the_address(scheme: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(EngineError, match=r"cannot be reached .*Connection refused.*: start one") as caught:
            Ray(address).workers(1)
    assert "\n" not in str(caught.value)


def test_another_version_of_ray_or_python() -> None:
    said = "Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.9.1\n"
    line = why_not("10.0.0.1:6379", RuntimeError(said))
    assert "runs other versions than this environment (Python 3." in line
    assert "\n" not in line


def test_a_worker_lacks_a_module(engine: Engine) -> None:
    with pytest.raises(EngineError, match=r"a worker on .* has no module 'no_such_module': install there"):
        list(engine.map(tasks.lacking, [1], workers=1))
