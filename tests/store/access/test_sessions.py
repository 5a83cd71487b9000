"""Sessions: stored as a hash, prolonged by use, ended with their key."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, func, select, update

from core.errors import NotFound, Unauthenticated
from core.store.access import keys, sessions
from core.store.access.sessions import Lifetime
from core.store.database.engine import database_now, read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, ApiKeyRow, SessionRow, SignInTokenRow

HOUR_MS = 3_600_000
LIFETIME = Lifetime(idle_seconds=12 * 3600, max_seconds=7 * 24 * 3600)


def begin(engine: Engine) -> tuple[SessionRow, str]:
    """Begin a session of a new key."""
    with write_session(engine) as session:
        key, _ = keys.create(session, DEFAULT_PROJECT, "laptop", {"read", "submit"})
        return sessions.create(session, key, LIFETIME)


def change(engine: Engine, **columns: object) -> None:
    with write_session(engine) as session:
        session.execute(update(SessionRow).values(columns))


def only_row(engine: Engine) -> SessionRow:
    with read_session(engine) as session:
        return session.scalars(select(SessionRow)).one()


def assert_ended(engine: Engine, session_id: str, token: str) -> None:
    with pytest.raises(Unauthenticated, match="This session has ended"):
        sessions.authenticate(engine, token, LIFETIME)
    with read_session(engine) as session:
        assert sessions.valid(session, [session_id]) == set()


def test_a_token_is_not_stored(engine: Engine) -> None:
    row, token = begin(engine)
    valid = sessions.authenticate(engine, token, LIFETIME)
    assert (valid.row.id, valid.row.project_id) == (row.id, DEFAULT_PROJECT)
    assert valid.scopes == ["read", "submit"]
    assert token[4:] not in repr(vars(only_row(engine)))


def test_a_session_ends_with_its_revoked_key(engine: Engine) -> None:
    row, token = begin(engine)
    assert row.key_id is not None
    with read_session(engine) as session:
        assert sessions.valid(session, [row.id, "ses_other"]) == {row.id}
    with write_session(engine) as session:
        keys.revoke(session, DEFAULT_PROJECT, row.key_id)
    assert_ended(engine, row.id, token)


def test_a_session_ends_with_its_expired_key(engine: Engine) -> None:
    row, token = begin(engine)
    with write_session(engine) as session:
        session.execute(update(ApiKeyRow).values(expires_at=database_now() - 1))
    assert_ended(engine, row.id, token)


def test_a_session_has_the_scopes_that_its_key_has_now(engine: Engine) -> None:
    _, token = begin(engine)
    with write_session(engine) as session:
        session.execute(update(ApiKeyRow).values(scopes=["read"]))
    assert sessions.authenticate(engine, token, LIFETIME).scopes == ["read"]


def test_an_expired_or_ended_session_is_refused(engine: Engine) -> None:
    row, token = begin(engine)
    change(engine, expires_at=database_now() - 1)
    assert_ended(engine, row.id, token)
    change(engine, expires_at=database_now() + HOUR_MS)
    sessions.authenticate(engine, token, LIFETIME)
    with write_session(engine) as session:
        sessions.end(session, row.id)
        sessions.end(session, row.id)
    assert_ended(engine, row.id, token)


@pytest.mark.parametrize("token", ["", "\0", "é\ud800", "dks_" + "x" * 43, "' OR 1=1"])
def test_unknown_tokens_get_the_same_error(engine: Engine, token: str) -> None:
    begin(engine)
    assert_ended(engine, "ses_none", token)


def test_use_prolongs_a_session_once_a_minute(engine: Engine) -> None:
    row, token = begin(engine)
    assert row.expires_at - row.created_at == 12 * HOUR_MS
    sessions.authenticate(engine, token, LIFETIME)
    assert only_row(engine).expires_at == row.expires_at
    change(engine, created_at=row.created_at - HOUR_MS, last_used_at=row.created_at - 61_000)
    sessions.authenticate(engine, token, LIFETIME)
    used = only_row(engine)
    assert used.expires_at - used.last_used_at == 12 * HOUR_MS
    assert used.expires_at > row.expires_at or used.last_used_at == row.created_at


def test_use_prolongs_no_session_beyond_its_maximum(engine: Engine) -> None:
    row, token = begin(engine)
    created_at = row.created_at - 160 * HOUR_MS
    change(engine, created_at=created_at, last_used_at=created_at)
    sessions.authenticate(engine, token, LIFETIME)
    assert only_row(engine).expires_at == created_at + 168 * HOUR_MS


def test_a_session_of_a_subject_is_not_prolonged(engine: Engine) -> None:
    with write_session(engine) as session:
        row, token = sessions.create_for_subject(
            session, DEFAULT_PROJECT, "ada", {"submit", "read"}, LIFETIME, person_id="1"
        )
    change(engine, last_used_at=row.created_at - HOUR_MS)
    valid = sessions.authenticate(engine, token, LIFETIME)
    assert (valid.key, valid.scopes) == (None, ["read", "submit"])
    assert only_row(engine).expires_at == row.expires_at
    with read_session(engine) as session:
        assert sessions.valid(session, [row.id]) == {row.id}


def create_sign_in_token(engine: Engine) -> tuple[str, str]:
    """Return the id of a new key and a token of it."""
    with write_session(engine) as session:
        key, _ = keys.create(session, DEFAULT_PROJECT, "laptop", {"read"})
        return key.id, sessions.create_sign_in_token(session, key.id)[1]


def redeem(engine: Engine, token: str) -> str | None:
    """Return the id of the token's key; None where it is refused."""
    try:
        with write_session(engine) as session:
            return sessions.redeem_sign_in_token(session, token).id
    except Unauthenticated:
        return None


def test_a_sign_in_token_is_used_once(engine: Engine) -> None:
    key_id, token = create_sign_in_token(engine)
    with read_session(engine) as session:
        row = session.scalars(select(SignInTokenRow)).one()
    assert token[4:] not in repr(vars(row))
    assert row.expires_at - row.created_at == pytest.approx(600_000, abs=50)
    assert [redeem(engine, token), redeem(engine, token)] == [key_id, None]
    assert redeem(engine, "dkt_unknown") is None


def test_of_many_uses_at_once_one_succeeds(engine: Engine) -> None:
    key_id, token = create_sign_in_token(engine)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: redeem(engine, token), range(8)))
    assert sorted(results, key=str) == [None] * 7 + [key_id]


def test_a_token_expires_and_ends_with_its_key(engine: Engine) -> None:
    _, token = create_sign_in_token(engine)
    with write_session(engine) as session:
        session.execute(update(SignInTokenRow).values(expires_at=database_now() - 1))
    assert redeem(engine, token) is None
    key_id, token = create_sign_in_token(engine)
    with write_session(engine) as session:
        keys.revoke(session, DEFAULT_PROJECT, key_id)
    assert redeem(engine, token) is None


def test_expired_rows_are_deleted(engine: Engine) -> None:
    begin(engine)
    create_sign_in_token(engine)
    for expired in (False, True):
        if expired:
            change(engine, expires_at=database_now() - 1)
            with write_session(engine) as session:
                session.execute(update(SignInTokenRow).values(expires_at=database_now() - 1))
        with write_session(engine) as session:
            sessions.delete_expired(session)
            for table in (SessionRow, SignInTokenRow):
                count = session.scalar(select(func.count()).select_from(table))
                assert count == (0 if expired else 1)


def test_sessions_are_listed_by_owner(engine: Engine) -> None:
    first, _ = begin(engine)
    second, _ = begin(engine)
    with write_session(engine) as session:
        person, _ = sessions.create_for_subject(
            session, DEFAULT_PROJECT, "ada", ["read"], LIFETIME, person_id="1"
        )
    with read_session(engine) as session:

        def listed(owner: str | None) -> list[str]:
            rows, _ = sessions.list_sessions(session, DEFAULT_PROJECT, owner=owner)
            return [row.id for row in rows]

        assert sorted(listed(None)) == sorted([first.id, second.id, person.id])
        assert listed(first.key_id) == [first.id]
        assert listed(person.id) == [person.id]
        assert sessions.get(session, DEFAULT_PROJECT, first.id).key_name == "laptop"
        assert sessions.list_sessions(session, "prj_other") == ([], None)
        for owner, session_id in ((second.key_id, first.id), (None, "ses_none"), (None, "../x")):
            with pytest.raises(NotFound):
                sessions.get(session, DEFAULT_PROJECT, session_id, owner=owner)
    change(engine, expires_at=database_now() - 1)
    with read_session(engine) as session:
        assert sessions.list_sessions(session, DEFAULT_PROJECT) == ([], None)
