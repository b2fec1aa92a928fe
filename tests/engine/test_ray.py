"""engine=ray, on clusters of this machine: a raylet of its own for each node, each on ports of its own."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import program
from collect.city import PER_HOST, City, city, wait_for
from engine import tasks
from engine.contract import EngineContract
from imagenet_nk.collect.distributed.shard import Shards
from imagenet_nk.collect.progress import Progress
from imagenet_nk.engine import ray_cluster
from imagenet_nk.engine.contract import Engine
from imagenet_nk.engine.local import Local
from imagenet_nk.engine.ray import Ray
from imagenet_nk.engine.ray_cluster import connect_error
from imagenet_nk.errors import EngineError
from program import Program

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


def test_one_node_gives_the_result_of_one_process(engine: Engine, town: City) -> None:
    assert engine.workers(10) == 1
    town.run("ray", engine)
    assert town.outcome("ray") == town.outcome("one")


def test_joined_cluster_is_logged(engine: Engine, cluster: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "imagenet_nk"):
        engine.workers(10)
    assert f"connected to the Ray cluster at {cluster.address}: 1 nodes, 1 CPUs, 0 GPUs" in caplog.text


def test_driver_outside_the_cluster_collects(cluster: Any, town: City) -> None:
    done = program.run("engine=ray", f"engine.address={cluster.client_address}", *town.overrides("ray"))
    assert done.returncode == 0, done.stderr
    assert town.outcome("ray") == town.outcome("one")


class TestThreeNodes(EngineContract):
    @pytest.fixture
    def engine(self, three: Any) -> Iterator[Engine]:
        made = Ray(three.address)
        yield made
        made.close()

    def test_three_nodes_give_the_result_of_one_process(self, engine: Engine, town: City) -> None:
        assert engine.workers(10) == 3
        town.seconds = 0.03
        town.run("ray", engine)
        assert town.outcome("ray") == town.outcome("one")
        assert 1 < max(town.most.values()) <= PER_HOST, "the server's own count"

    def test_killed_driver_continues_with_the_same_command(self, engine: Engine, town: City, three: Any) -> None:
        town.seconds = 0.05
        with Program("engine=ray", f"engine.address={three.address}", *town.overrides("ray")) as driver:
            wait_for(town, 40)
            driver.kill()
        town.run("ray", engine)
        assert town.outcome("ray") == town.outcome("one")
        assert max(town.images_asked().values()) <= 2 + 2  # and two pauses

    def test_missing_gpu_is_an_engine_error(self, engine: Engine) -> None:
        with pytest.raises(EngineError, match=r"no node of the Ray cluster .* has the GPU"):
            engine.map(tasks.double, [1], workers=1, gpus=1)

    def test_dead_node_loses_only_requests_in_flight(
        self, engine: Engine, town: City, three: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The last test here: the node is gone."""
        town.seconds = 0.03
        killed, taken = [], []
        monkeypatch.setattr(
            Shards, "__getitem__", lambda shards, n, then=Shards.__getitem__: (taken.append(n), then(shards, n))[1]
        )

        def watch(progress: Progress) -> None:
            if progress.images > 20 and not killed:
                killed.append(three.list_all_nodes()[-1])
                three.remove_node(killed[0], allow_graceful=False)

        town.run("ray", engine, watch=watch)
        assert len(taken) == 3 + 1, "no worker was on that node"
        assert town.outcome("ray") == town.outcome("one")
        assert max(town.images_asked().values()) <= 2 + 2  # and two pauses
        assert max(town.most.values()) <= PER_HOST


# --- a cluster that wants a token

GUARDED = """
import sys
from ray.cluster_utils import Cluster
port = int(sys.argv[1])
head = {"num_cpus": 1, "include_dashboard": False, "ray_client_server_port": port}
one = Cluster(initialize_head=True, head_node_args=head)
print("up:", one.address, f"ray://127.0.0.1:{port}", flush=True)
sys.stdin.read()
one.shutdown()
"""
JOIN = "import sys; from imagenet_nk.engine.ray import Ray; print(Ray(sys.argv[1]).workers(1))"
TOKEN = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def guarded() -> Iterator[tuple[str, str]]:
    """Both addresses of a cluster that lets nobody in without TOKEN."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
    guards = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    with subprocess.Popen(
        [sys.executable, "-c", GUARDED, port],
        env=os.environ | guards,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        _, head, client = next(line for line in running.stdout if line.startswith("up:")).split()
        yield head, client
        running.communicate("")


def join(address: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    settings = clean | {"PYTHONPATH": str(ROOT / "src"), "HOME": str(home)} | variables
    return subprocess.run(
        [sys.executable, "-c", JOIN, address], env=settings, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("address", [0, 1], ids=["head", "client"])
def test_existing_token_is_sent(guarded: tuple[str, str], address: int, tmp_path: Path) -> None:
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text(TOKEN)
    done = join(guarded[address], tmp_path)
    assert done.stdout == "1\n", done.stderr


@pytest.mark.parametrize("address", [0, 1], ids=["head", "client"])
@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, "copy ~/.ray/auth_token of its head node to the same place here"),
        ({"RAY_AUTH_TOKEN": TOKEN[::-1]}, "there is none here, or another one: copy"),
        ({"RAY_AUTH_TOKEN": TOKEN, "RAY_AUTH_MODE": "disabled"}, "forbids to send one: set RAY_AUTH_MODE=token"),
    ],
)
def test_missing_token_is_an_engine_error(
    guarded: tuple[str, str], address: int, variables: dict[str, str], says: str, tmp_path: Path
) -> None:
    done = join(guarded[address], tmp_path, **variables)
    assert f"EngineError: the Ray cluster at {guarded[address]} wants a token, and " in done.stderr
    assert says in done.stderr.splitlines()[-1]


# --- what can be wrong


def test_missing_ray_package_is_an_engine_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match=r"pip install 'imagenet-nk\[ray\]'"):
        Ray()


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_unreachable_address_is_an_engine_error(scheme: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(EngineError, match=r"cannot be reached .*Connection refused.*: start one") as caught:
            Ray(address).workers(1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_other_server_at_the_address_is_an_engine_error(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "_ANSWER_TIMEOUT_S", 0.5)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        address = f"{scheme}127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(EngineError, match=f"what listens at {address} is not Ray, or hangs") as caught:
            Ray(address).workers(1)
    assert "\n" not in str(caught.value)


def test_client_server_address_without_scheme_is_an_engine_error(cluster: Any) -> None:
    with pytest.raises(EngineError, match=r"is not Ray.* its server for clients, ray://HOST:10001"):
        Ray(cluster.client_address.removeprefix("ray://")).workers(1)


def test_version_mismatch_is_an_engine_error() -> None:
    said = "Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.9.1\n"
    line = connect_error("10.0.0.1:6379", RuntimeError(said))
    assert "runs other versions than this environment (Python 3." in line
    assert "\n" not in line


def test_missing_module_on_a_worker_is_an_engine_error(engine: Engine) -> None:
    with pytest.raises(EngineError, match=r"a worker on .* has no module 'no_such_module': install there"):
        list(engine.map(tasks.lacking, [1], workers=1))
