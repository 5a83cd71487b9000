"""API keys: shown once, stored as a hash, invalid once they have expired or are revoked."""

import re

import pytest
from sqlalchemy import Engine, select, update

from core.errors import Invalid, NotFound, Unauthenticated
from core.store.access import keys
from core.store.database.engine import database_now, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, ApiKeyRow


def create_key(engine: Engine, expires_at: int | None = None) -> tuple[ApiKeyRow, str]:
    with write_session(engine) as session:
        return keys.create(session, DEFAULT_PROJECT, "laptop", {"submit", "read"}, expires_at)


def only_row(engine: Engine) -> ApiKeyRow:
    with read_session(engine) as session:
        return session.scalars(select(ApiKeyRow)).one()


def test_a_secret_is_not_stored(engine: Engine) -> None:
    created, secret = create_key(engine)
    assert re.fullmatch(r"dk_[A-Za-z0-9_-]{43}", secret)
    key = keys.authenticate(engine, secret)
    assert (key.id, key.project_id, key.scopes) == (created.id, DEFAULT_PROJECT, ["read", "submit"])
    assert secret[3:] not in repr(vars(only_row(engine)))


def test_invalid_secrets_get_one_and_the_same_error(engine: Engine) -> None:
    """Whether they are unknown, expired or revoked."""
    _, expired = create_key(engine, expires_at=1)
    revoked_key, revoked = create_key(engine)
    with write_session(engine) as session:
        keys.revoke(session, DEFAULT_PROJECT, revoked_key.id)
        keys.revoke(session, DEFAULT_PROJECT, revoked_key.id)
    messages = set()
    for secret in (expired, revoked, "dk_" + "x" * 43, "", "\0", "é\ud800", "' OR 1=1"):
        with pytest.raises(Unauthenticated) as caught:
            keys.authenticate(engine, secret)
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_a_key_is_valid_until_it_expires(engine: Engine) -> None:
    _, secret = create_key(engine, expires_at=2**50)
    assert keys.authenticate(engine, secret).expires_at == 2**50


def test_use_is_recorded_once_a_minute(engine: Engine) -> None:
    _, secret = create_key(engine)
    keys.authenticate(engine, secret)
    first = only_row(engine).last_used_at
    assert first is not None
    keys.authenticate(engine, secret)
    assert only_row(engine).last_used_at == first
    with write_session(engine) as session:
        session.execute(update(ApiKeyRow).values(last_used_at=database_now() - 61_000))
    keys.authenticate(engine, secret)
    assert (only_row(engine).last_used_at or 0) >= first


def test_unknown_scopes_are_invalid(engine: Engine) -> None:
    for scopes in ((), ("read", "root")):
        with write_session(engine) as session, pytest.raises(Invalid):
            keys.create(session, DEFAULT_PROJECT, "laptop", scopes)


def test_a_chosen_secret_creates_its_key_once(engine: Engine) -> None:
    key_ids = {
        keys.ensure(engine, DEFAULT_PROJECT, "bootstrap", keys.SCOPES, "dk_chosen").id
        for _ in range(3)
    }
    assert key_ids == {keys.authenticate(engine, "dk_chosen").id}


def test_keys_are_listed_and_found_in_their_project_only(engine: Engine) -> None:
    key_ids = [create_key(engine)[0].id for _ in range(3)]
    with read_session(engine) as session:
        first, after = keys.list_keys(session, DEFAULT_PROJECT, limit=2)
        rest, end = keys.list_keys(session, DEFAULT_PROJECT, after=after, limit=2)
        assert [key.id for key in first + rest] == key_ids[::-1]
        assert end is None
        for project, key_id in (
            ("prj_other", key_ids[0]),
            (DEFAULT_PROJECT, "key_none"),
            (DEFAULT_PROJECT, "\0"),
        ):
            with pytest.raises(NotFound):
                keys.get(session, project, key_id)
