"""The stages of a run, in order."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf


def run(cfg: DictConfig) -> int:
    """Run the stages that the configuration names; returns the exit code of the job."""
    OmegaConf.to_object(cfg)
    return 0
