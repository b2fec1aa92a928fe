"""The stages of a run, in order."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from imagenet_nk.config import refuse_unknown


def run(cfg: DictConfig) -> int:
    """Run the stages that the configuration names; returns the exit code of the job."""
    refuse_unknown(cfg)
    OmegaConf.to_object(cfg)
    return 0
