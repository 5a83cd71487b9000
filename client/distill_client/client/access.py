"""API keys, sessions, projects and the audit log."""

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from distill_client.client.base import Requests
from distill_client.errors import ClientError
from distill_client.responses import (
    AuditEntry,
    Key,
    ListedSession,
    NewKey,
    NewProject,
    Page,
    Project,
    Session,
    SignInToken,
    parse_response,
)


class AccessRequests(Requests):
    """Requests about who may do what, and who did."""

    def keys(self) -> Iterator[Key]:
        """Iterate over all API keys, without their secrets."""
        return self._pages("keys", Page[Key])

    def create_key(
        self, name: str, scopes: Sequence[str], expires_in_days: int | None = None
    ) -> NewKey:
        """Create an API key. Raises ClientError if its secret was lost on the way."""
        body = {"name": name, "scopes": list(scopes), "expires_in_days": expires_in_days}
        key = parse_response(NewKey, self.transport.post("keys", body))
        if key.secret is None:
            raise ClientError(
                f"Key {key.id} was created, but its secret was lost on the way: "
                "revoke it and create another."
            )
        return key

    def revoke_key(self, key_id: str) -> None:
        """Revoke an API key."""
        self.transport.send("DELETE", f"keys/{quote(key_id, safe='')}")

    def session(self) -> Session:
        """Return who this client is: its project, its API key, and the key's scopes."""
        return parse_response(Session, self.transport.get("session"))

    def sessions(self) -> Iterator[ListedSession]:
        """Iterate over the dashboard's sessions: all of the project for admins, else the key's."""
        return self._pages("sessions", Page[ListedSession])

    def end_session(self, session_id: str) -> ListedSession:
        """End a session, with immediate effect."""
        path = f"sessions/{quote(session_id, safe='')}"
        return parse_response(ListedSession, self.transport.send("DELETE", path))

    def sign_in_address(self) -> str:
        """Return an address that signs a browser in to the dashboard, once, within ten minutes.

        Raises ClientError if its token was lost on the way.
        """
        response = parse_response(SignInToken, self.transport.post("session/tokens"))
        if response.token is None:
            raise ClientError("A sign-in address was made, but lost on the way; make another.")
        return f"{self.transport.url}/sign-in#token={response.token}"

    def projects(self) -> Iterator[Project]:
        """Iterate over all projects."""
        return self._pages("projects", Page[Project])

    def create_project(self, name: str) -> NewProject:
        """Create a project with its first key. Raises ClientError if its secret was lost."""
        project = parse_response(NewProject, self.transport.post("projects", {"name": name}))
        if project.key.secret is None:
            raise ClientError(
                f"Project {project.id} was created, but the secret of its key was lost on the way."
            )
        return project

    def audit(self, **filters: str | None) -> Iterator[AuditEntry]:
        """Iterate over the audit log, newest entries first.

        Filters: action, such as "POST /v1/jobs"; key, an id; since, a time in RFC 3339.
        """
        params = {name: value for name, value in filters.items() if value}
        return self._pages("audit", Page[AuditEntry], params)
