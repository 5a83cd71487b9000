"""API keys: shown once, kept as a hash, worth nothing after their end."""

import re

import pytest
from sqlalchemy import Engine, select, update

from core.errors import Invalid, NotFound, Unauthenticated
from core.store import keys
from core.store.database.engine import database_now, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, ApiKeyRow


def make(engine: Engine, expires_at: int | None = None) -> tuple[ApiKeyRow, str]:
    with write_session(engine) as session:
        return keys.create(session, DEFAULT_PROJECT, "laptop", {"submit", "read"}, expires_at)


def row(engine: Engine) -> ApiKeyRow:
    with read_session(engine) as session:
        return session.scalars(select(ApiKeyRow)).one()


def test_a_secret_opens_and_is_nowhere_in_the_database(engine: Engine) -> None:
    made, secret = make(engine)
    assert re.fullmatch(r"dk_[A-Za-z0-9_-]{43}", secret)
    key = keys.authenticate(engine, secret)
    assert (key.id, key.project_id, key.scopes) == (made.id, DEFAULT_PROJECT, ["read", "submit"])
    assert secret[3:] not in repr(vars(row(engine)))


def test_wrong_expired_and_revoked_secrets_open_nothing_and_are_not_told_apart(
    engine: Engine,
) -> None:
    _, expired = make(engine, expires_at=1)
    revoked_key, revoked = make(engine)
    with write_session(engine) as session:
        keys.revoke(session, DEFAULT_PROJECT, revoked_key.id)
        keys.revoke(session, DEFAULT_PROJECT, revoked_key.id)
    said = set()
    for secret in (expired, revoked, "dk_" + "x" * 43, "", "\0", "é\ud800", "' OR 1=1"):
        with pytest.raises(Unauthenticated) as caught:
            keys.authenticate(engine, secret)
        said.add(str(caught.value))
    assert len(said) == 1


def test_a_key_opens_until_it_expires(engine: Engine) -> None:
    _, secret = make(engine, expires_at=2**50)
    assert keys.authenticate(engine, secret).expires_at == 2**50


def test_use_is_noted_once_a_minute(engine: Engine) -> None:
    _, secret = make(engine)
    keys.authenticate(engine, secret)
    first = row(engine).last_used_at
    assert first is not None
    keys.authenticate(engine, secret)
    assert row(engine).last_used_at == first
    with write_session(engine) as session:
        session.execute(update(ApiKeyRow).values(last_used_at=database_now() - 61_000))
    keys.authenticate(engine, secret)
    assert (row(engine).last_used_at or 0) >= first


def test_scopes_that_there_are_not_are_invalid(engine: Engine) -> None:
    for scopes in (set(), {"read", "root"}):
        with write_session(engine) as session, pytest.raises(Invalid):
            keys.create(session, DEFAULT_PROJECT, "laptop", scopes)


def test_a_chosen_secret_makes_its_key_once(engine: Engine) -> None:
    made = {
        keys.ensure(engine, DEFAULT_PROJECT, "bootstrap", keys.SCOPES, "dk_chosen").id
        for _ in range(3)
    }
    assert made == {keys.authenticate(engine, "dk_chosen").id}


def test_keys_are_listed_newest_first_and_found_in_their_project_only(engine: Engine) -> None:
    made = [make(engine)[0].id for _ in range(3)]
    with read_session(engine) as session:
        first, after = keys.list_keys(session, DEFAULT_PROJECT, limit=2)
        rest, end = keys.list_keys(session, DEFAULT_PROJECT, after=after, limit=2)
        assert [key.id for key in first + rest] == made[::-1]
        assert end is None
        for project, key_id in (
            ("prj_other", made[0]),
            (DEFAULT_PROJECT, "key_none"),
            (DEFAULT_PROJECT, "\0"),
        ):
            with pytest.raises(NotFound):
                keys.get(session, project, key_id)
