"""Who may do what, and who did: keys, sessions, projects, the audit log."""

from distill_client.responses.base import ResponseModel


class Key(ResponseModel):
    """An API key, without its secret."""

    id: str
    name: str
    scopes: list[str]
    created_at: str
    expires_at: str | None = None
    last_used_at: str | None = None
    revoked_at: str | None = None


class NewKey(Key):
    """A new API key, with its secret."""

    secret: str | None
    """Shown once; None if the response that contained it was lost."""


class Session(ResponseModel):
    """Who a client is: an API key, or a person who signed in through OIDC, and the project."""

    project_id: str
    project: str
    """The project's name."""
    key_name: str | None = None
    subject: str | None = None
    scopes: list[str]
    expires_at: str | None = None


class ListedSession(ResponseModel):
    """A session of the dashboard that has not ended."""

    id: str
    key_id: str | None = None
    key_name: str | None = None
    subject: str | None = None
    """Who signed in through OIDC."""
    scopes: list[str]
    created_at: str
    last_used_at: str
    expires_at: str
    current: bool


class SignInToken(ResponseModel):
    """What signs a browser in to the dashboard, once."""

    token: str | None
    """Shown once; None if the response that contained it was lost."""
    expires_at: str


class Project(ResponseModel):
    """A project of the installation."""

    id: str
    name: str
    created_at: str


class NewProject(Project):
    """A new project, with its first key."""

    key: NewKey


class AuditEntry(ResponseModel):
    """A change, or a refused request."""

    at: str
    action: str
    """Method and route."""
    target: str | None = None
    status: int
    code: str | None = None
    key_id: str | None = None
    address: str | None = None
    request_id: str
    times: int
    """How often the same request was refused within the hour."""
