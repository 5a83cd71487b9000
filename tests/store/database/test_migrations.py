"""The migrated database has the schema of the tables in the code."""

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect

from core.errors import Unavailable
from core.jobspec.data import DIGITS
from core.store.database.engine import make_engine, migrate, read_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, Base, DatasetRow, ProjectRow
from core.store.registry import datasets, uploaded_items
from tests.servers import Postgres, free_port


def test_the_migrated_schema_is_that_of_the_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_constraints_have_the_names_in_the_tables(engine: Engine) -> None:
    inspector = inspect(engine)
    for table in Base.metadata.sorted_tables:
        assert inspector.get_pk_constraint(table.name)["name"] == table.primary_key.name
        assert {key["name"] for key in inspector.get_foreign_keys(table.name)} == {
            key.name for key in table.foreign_key_constraints
        }


def test_a_new_database_has_default_project_and_digits(engine: Engine) -> None:
    with read_session(engine) as session:
        assert session.get(ProjectRow, DEFAULT_PROJECT) is not None
        digits = uploaded_items.get(session, DatasetRow, "any project", "digits")
    assert (digits.id, digits.status, digits.project_id) == (DIGITS_ID, "ready", None)
    assert datasets.describe(digits) == DIGITS


def test_migrating_again_changes_nothing(database_url: str, engine: Engine) -> None:
    migrate(database_url)
    with read_session(engine) as session:
        assert len(uploaded_items.list_items(session, DatasetRow, DEFAULT_PROJECT)[0]) == 1


def test_concurrent_processes_migrate_once(postgres_server: Postgres, tmp_path: Path) -> None:
    for url in (
        f"sqlite:///{tmp_path}/new folder/100%/distill.db",
        postgres_server.create_database("migrated_at_once"),
    ):
        failures: list[BaseException] = []

        def migrate_once(url: str = url, failures: list[BaseException] = failures) -> None:
            try:
                migrate(url)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=migrate_once) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        with read_session(make_engine(url)) as session:
            assert session.get(ProjectRow, DEFAULT_PROJECT) is not None


def test_migrating_a_missing_database_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        migrate(f"postgresql://postgres@127.0.0.1:{free_port()}/nothing")


def test_unsupported_databases_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="mysql"):
        make_engine("mysql://somewhere/else")
