"""Fixtures: a migrated, empty database, a broker and an object store of each test's own."""

import os
import shutil
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from core.settings import Settings, load_settings
from core.store.database.engine import make_engine, migrate
from core.store.objects.store import Objects
from tests.measurements import pytest_terminal_summary
from tests.servers import S3, Postgres, Redis

__all__ = ["pytest_terminal_summary"]

_TEMPLATE = "distill_template"

# A background job of a shell ignores SIGINT, and so do its children, which tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests marked ``gpu`` where there is no CUDA device; pytest counts them."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        config.hook.pytest_deselected(items=marked)
        items[:] = [item for item in items if item not in marked]


@pytest.fixture(autouse=True)
def fresh_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees the settings of another, or of the machine."""
    for name in list(os.environ):
        if name.startswith("DISTILL_"):
            monkeypatch.delenv(name)
    # The host name that starlette's TestClient uses.
    monkeypatch.setenv("DISTILL_ALLOWED_HOSTS", "testserver")
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """Shared by the tests of one process. A test that kills or freezes it starts its own."""
    server = Postgres()
    server.start()
    migrate(server.create_database(_TEMPLATE))
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    yield postgres_server.create_database(name, _TEMPLATE)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "distill.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    server = Redis()
    server.start()
    yield server
    server.close()


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    redis_server.flush()
    return redis_server.url


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    server = S3()
    server.start()
    yield server
    server.close()


@pytest.fixture
def s3(s3_server: S3) -> dict[str, Any]:
    """Settings of an empty bucket: ``Settings(**s3)``."""
    bucket = f"test-{uuid.uuid4().hex}"
    s3_server.create_bucket(bucket)
    return s3_server.settings(bucket)


@pytest.fixture(params=["folder", "memory", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    match request.param:
        case "folder":
            return Objects.from_settings(Settings(objects_url=f"file://{tmp_path / 'objects'}"))
        case "memory":
            return Objects.from_settings(Settings(objects_url="memory:///"))
        case _:
            return Objects.from_settings(Settings(**request.getfixturevalue("s3")))
