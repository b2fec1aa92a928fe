"""The allocator's settings."""

from __future__ import annotations

from imagenet_nk.backbones import allocator


def test_other_systems_keep_their_allocator(monkeypatch):
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert allocator.reuse_large_blocks() is False
