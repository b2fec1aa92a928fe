"""Images and models for these tests."""

from small_models import entries, tiny  # noqa: F401 - fixtures
