"""Bodies of signing in, and of the session that it begins."""

from typing import Literal

from pydantic import Field, model_validator

from api.representation.schemas import RequestBody, ResponseBody, Time
from core.store.access.keys import Scope

MAX_SECRET_LENGTH = 500


class CreateSessionRequest(RequestBody):
    """An API key, or the one-time token of a sign-in address."""

    key: str | None = Field(default=None, min_length=1, max_length=MAX_SECRET_LENGTH)
    token: str | None = Field(default=None, min_length=1, max_length=MAX_SECRET_LENGTH)

    @model_validator(mode="after")
    def _check_one_credential(self) -> "CreateSessionRequest":
        if (self.key is None) == (self.token is None):
            raise ValueError("give either a key or a token")
        return self


class SessionResponse(ResponseBody):
    """Who the caller is: a session, or an API key that was sent itself."""

    project_id: str
    project: str
    """The project's name."""
    key_name: str | None
    """Name of the API key; null for a session through OIDC."""
    subject: str | None
    """Who signed in through OIDC; null for an API key."""
    scopes: list[Scope]
    expires_at: Time | None
    """When the session ends unless it is used again; of an API key, when it expires, null for
    never."""


class SignInTokenResponse(ResponseBody):
    token: str | None
    """The end of a sign-in address, `/sign-in#token=…`, and good for one sign-in. It is shown once:
    null where the response is a replay of an earlier one."""
    expires_at: Time


class SignInMethodsResponse(ResponseBody):
    """How a person can sign in to this installation."""

    methods: list[Literal["key", "oidc"]]


class ListedSessionResponse(ResponseBody):
    """A session that has not ended."""

    id: str
    key_id: str | None
    """The API key that it was begun with, and ends with; null for one through OIDC."""
    key_name: str | None
    subject: str | None
    """Who signed in through OIDC; null for an API key."""
    scopes: list[Scope]
    created_at: Time
    last_used_at: Time
    """To the minute."""
    expires_at: Time
    """When it ends unless it is used again."""
    current: bool
    """Whether this request was sent with it."""
