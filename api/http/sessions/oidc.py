"""Signing in through an OpenID Connect provider: authorization code, with PKCE, state and nonce.

Between the two requests the browser itself keeps what belongs to its sign-in, in a cookie, so that
strangers who only begin leave nothing behind here.
"""

import hmac
import math
import secrets
import time
from dataclasses import dataclass
from typing import Any, Self

import httpx2
import structlog
from anyio import Lock
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from core.errors import Unauthenticated
from core.settings import Settings
from core.store.access import keys

ATTEMPT_SECONDS = 600.0
"""Within which a person has to sign in at the provider."""
TIMEOUT_SECONDS = 10.0
"""Of one request to the provider."""
METADATA_SECONDS = 3600.0
LEEWAY_SECONDS = 120
"""By which the clocks of provider and service may differ."""
SIGNATURE_ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Those with a public key: with HS256 whoever knows the client secret could sign."""
log = structlog.get_logger()


class SignInFailed(Unauthenticated):
    """A person could not be signed in through the provider. The log says more than the message."""

    title = "The sign-in did not succeed"


@dataclass(frozen=True)
class Attempt:
    """One sign-in under way: random texts that bind the provider's answer to this browser."""

    state: str
    nonce: str
    verifier: str
    return_to: str
    """Path of the page, below the root path, that the person wanted to see."""

    @classmethod
    def begin(cls, return_to: str) -> Self:
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, return_to)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the attempt in a cookie; None for any other text."""
        parts = text.split("|", 3)
        return cls(*parts) if len(parts) == 4 else None

    def serialize(self) -> str:
        return "|".join((self.state, self.nonce, self.verifier, self.return_to))

    def has_state(self, state: str) -> bool:
        return hmac.compare_digest(self.state.encode(), state.encode())


@dataclass(frozen=True)
class Person:
    """Whom the provider has authenticated."""

    subject: str
    """Unique and constant at the provider."""
    name: str
    """For people to read."""
    project: str
    """Name or id."""
    scopes: frozenset[str]


class Provider:
    """The OpenID Connect provider of one installation."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = Lock()
        self._metadata: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._expires_at = -math.inf

    async def authorization_url(self, attempt: Attempt, redirect_uri: str) -> str:
        """Return the provider's address to send the browser to. Raises SignInFailed."""
        metadata = await self._load_metadata()
        async with self._client(redirect_uri) as client:
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"],
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return str(url)

    async def person(self, attempt: Attempt, redirect_uri: str, code: str) -> Person:
        """Exchange the code that the browser has brought back. Raises SignInFailed."""
        metadata = await self._load_metadata()
        try:
            async with self._client(redirect_uri) as client:
                token = await client.fetch_token(
                    metadata["token_endpoint"], code=code, code_verifier=attempt.verifier
                )
                claims = await self._validate_id_token(token, attempt.nonce)
                if self.settings.oidc_groups_claim not in claims:
                    claims = await self._add_user_info(client, claims)
        except (OAuthError, JoseError, httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
            log.warning("an OIDC provider's answer was refused", error=repr(error))
            raise SignInFailed(
                "The provider's answer could not be verified.", code="sign_in_invalid"
            ) from error
        return self._person(claims)

    def _client(self, redirect_uri: str) -> Any:
        methods = self._metadata.get("token_endpoint_auth_methods_supported")
        secret = self.settings.oidc_client_secret
        # By default it is in a header; some providers only read it in the body.
        is_posted = secret and methods and "client_secret_basic" not in methods
        return AsyncOAuth2Client(
            client_id=self.settings.oidc_client_id,
            client_secret=secret or None,
            token_endpoint_auth_method="client_secret_post" if is_posted else None,
            scope=self.settings.oidc_scopes,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            leeway=0,  # the access token is used at once
            timeout=TIMEOUT_SECONDS,
        )

    async def _load_metadata(self) -> dict[str, Any]:
        """Return the provider's metadata, loaded once an hour. Raises SignInFailed."""
        async with self._lock:
            if time.monotonic() >= self._expires_at:
                try:
                    await self._fetch_metadata()
                except (httpx2.HTTPError, JoseError, ValueError, KeyError, TypeError) as error:
                    log.warning("the OIDC provider cannot be used", error=repr(error))
                    raise SignInFailed(
                        "The provider cannot be reached, or its configuration does not fit.",
                        code="sign_in_unavailable",
                    ) from error
            return self._metadata

    async def _fetch_metadata(self) -> None:
        url = get_well_known_url(self.settings.oidc_issuer, external=True)
        async with httpx2.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
            metadata = (await client.get(url)).raise_for_status().json()
            if metadata["issuer"].rstrip("/") != self.settings.oidc_issuer.rstrip("/"):
                raise ValueError(f"its issuer is {metadata['issuer']!r}")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not str(metadata[name]).startswith(("https://", "http://")):
                    raise ValueError(f"its {name} is {metadata[name]!r}")
            self._keys = await _fetch_keys(client, metadata)
        self._metadata = metadata
        self._expires_at = time.monotonic() + METADATA_SECONDS

    async def _validate_id_token(self, token: dict[str, Any], nonce: str) -> dict[str, Any]:
        """Return the claims of a valid ID token. Raises JoseError, ValueError and KeyError."""
        try:
            decoded = self._decode(token["id_token"])
        except InvalidKeyIdError:  # the provider has new keys
            async with httpx2.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
                self._keys = await _fetch_keys(client, self._metadata)
            decoded = self._decode(token["id_token"])
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            {
                "iss": {"essential": True, "value": self._metadata["issuer"]},
                "aud": {"essential": True, "value": self.settings.oidc_client_id},
            },
            {
                "nonce": nonce,
                "client_id": self.settings.oidc_client_id,
                "access_token": token.get("access_token"),
            },
        )
        claims.validate(leeway=LEEWAY_SECONDS)
        return dict(claims)

    def _decode(self, id_token: str) -> jwt.Token:
        supported = self._metadata.get("id_token_signing_alg_values_supported", ["RS256"])
        algorithms = sorted(SIGNATURE_ALGORITHMS.intersection(supported))
        assert self._keys is not None
        registry = JWSRegistry(algorithms=algorithms, strict_check_header=False)
        return jwt.decode(id_token, self._keys, registry=registry)

    async def _add_user_info(self, client: Any, claims: dict[str, Any]) -> dict[str, Any]:
        """Return the claims with those of the user info, where the provider has one."""
        url = self._metadata.get("userinfo_endpoint")
        if url is None:
            return claims
        user_info = (await client.get(url)).raise_for_status().json()
        if user_info["sub"] != claims["sub"]:
            raise ValueError("the user info is about another person")
        return {**user_info, **claims}

    def _person(self, claims: dict[str, Any]) -> Person:
        """Raises SignInFailed for a person of whose groups none is mapped."""
        groups = claims.get(self.settings.oidc_groups_claim)
        names = set(map(str, groups)) if isinstance(groups, list) else {str(groups)}
        rights = [right for name, right in self.settings.oidc_groups.items() if name in names]
        subject = str(claims["sub"])
        name = str(claims.get("preferred_username") or claims.get("email") or subject)
        if not rights:
            log.warning("a person is in no group that has a project", subject=subject, name=name)
            raise SignInFailed(
                "None of the person's groups has a project here.", code="sign_in_no_project"
            )
        project = rights[0].project
        scopes = {scope for right in rights if right.project == project for scope in right.scopes}
        return Person(subject, name, project, frozenset(scopes & set(keys.SCOPES)))


async def _fetch_keys(client: httpx2.AsyncClient, metadata: dict[str, Any]) -> KeySet:
    response = (await client.get(metadata["jwks_uri"])).raise_for_status()
    return KeySet.import_key_set(response.json())
