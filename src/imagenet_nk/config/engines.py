"""`engine=`: where work runs."""

from __future__ import annotations

from dataclasses import dataclass

from imagenet_nk.errors import require


@dataclass
class LocalEngineConfig:
    """`engine=local`: this machine."""

    _target_: str = "imagenet_nk.engine.local.Local"
    processes: int | None = None  # workers besides this process; 1 = none, all in this one; null = what helps

    def __post_init__(self) -> None:
        require(
            self.processes is None or self.processes >= 1,
            f"engine.processes must be at least 1 or null, got {self.processes}",
        )


@dataclass
class RayEngineConfig:
    """`engine=ray`: a Ray cluster."""

    _target_: str = "imagenet_nk.engine.ray.Ray"
    address: str = (
        "auto"  # auto: the cluster that runs here; ray://HOST:10001 or HOST:6379: that one; local: one of its own
    )
    workers: int | None = None  # tasks at once; null = as many as the cluster has CPUs

    def __post_init__(self) -> None:
        require(bool(self.address.strip()), "engine.address is empty; type auto, local, HOST:6379 or ray://HOST:10001")
        require(
            self.workers is None or self.workers >= 1, f"engine.workers must be at least 1 or null, got {self.workers}"
        )
