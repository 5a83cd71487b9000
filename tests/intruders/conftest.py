"""The service of tests/api for those that need no process."""

from tests.api.conftest import client, engine, settings

__all__ = ["client", "engine", "settings"]
