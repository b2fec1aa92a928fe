"""Executors: the conformance suite in this process, and plans that were not resolved."""

from __future__ import annotations

import pytest

from embedding.executor_conformance import ExecutorConformance
from imagenet_nk.embedding.executor import LocalExecutor
from imagenet_nk.errors import BackboneError


class TestLocalExecutor(ExecutorConformance):
    @pytest.fixture
    def executor(self):
        return LocalExecutor()

    def test_a_plan_without_a_runtime_is_refused(self, executor, tiny, images):
        with pytest.raises(BackboneError, match="resolve it first"):
            list(executor.embed([executor.plan(tiny, 0)], images))
