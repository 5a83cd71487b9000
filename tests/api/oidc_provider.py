"""A small OpenID Connect provider in its own process: ``python -m tests.api.oidc_provider PORT``.

It signs in whoever was last described by ``PUT /person``, without asking, and checks what a real
one checks: client, redirect URI, PKCE, and that a code is used once. A ``fault`` in the description
makes its next ID tokens wrong in one respect.
"""

import base64
import hashlib
import json
import secrets
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import RedirectResponse
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from starlette.datastructures import FormData

from tests.servers import Server

CLIENT_ID = "distill"
CLIENT_SECRET = "a-secret-of-the-client"


class OidcProvider(Server):
    """The provider, as tests start it."""

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        program = [sys.executable, "-m", "tests.api.oidc_provider", str(self.port)]
        return ["env", f"PYTHONPATH={Path(__file__).parents[2]}", *program]

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.issuer}/jwks", timeout=2):
                return True
        except OSError:
            return False

    def describe_person(self, fault: str = "", **claims: Any) -> None:
        """Say who signs in next, and what is then wrong with the ID token."""
        response = httpx2.put(f"{self.issuer}/person", json={"fault": fault, "claims": claims})
        response.raise_for_status()


class Provider:
    """State of the running provider."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.key = new_key("first")
        self.fault = ""
        self.claims: dict[str, Any] = {}
        self.requests: dict[str, dict[str, str]] = {}
        """Parameters of the authorization requests, by code."""

    def authorize(self, parameters: dict[str, str]) -> dict[str, str]:
        """Return the parameters of the way back."""
        assert parameters["client_id"] == CLIENT_ID
        assert parameters["response_type"] == "code"
        assert parameters["code_challenge_method"] == "S256"
        answer = {"state": parameters["state"]}
        if self.fault == "denied":
            return {**answer, "error": "access_denied"}
        code = secrets.token_urlsafe(16)
        self.requests[code] = parameters
        # Real ones add parameters of their own, too.
        return {**answer, "code": code, "session_state": "x"}

    def token(self, form: FormData, authorization: str) -> dict[str, Any]:
        """Raises HTTPException for a code that is not this client's, or was used before."""
        credentials = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        authorized = self.requests.pop(str(form["code"]), None)
        challenge = base64url(hashlib.sha256(str(form["code_verifier"]).encode()).digest())
        if (
            authorization != f"Basic {credentials}"
            or authorized is None
            or form["redirect_uri"] != authorized["redirect_uri"]
            or challenge != authorized["code_challenge"]
        ):
            raise HTTPException(400, {"error": "invalid_grant"})
        access_token = secrets.token_urlsafe(16)
        return {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 60,
            "id_token": self.id_token(authorized["nonce"], access_token),
        }

    def id_token(self, nonce: str, access_token: str) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 60,
            "nonce": nonce,
            "at_hash": half_hash(access_token),
            **{name: value for name, value in self.claims.items() if name != "in_user_info"},
            **WRONG_CLAIMS.get(self.fault, {}),
        }
        if self.fault == "no nonce":
            del claims["nonce"]
        return self.sign(claims)

    def sign(self, claims: dict[str, Any]) -> str:
        algorithm = "RS256"
        key: RSAKey | OctKey = self.key
        match self.fault:
            case "signature":
                key = new_key(str(self.key.kid))
            case "unknown key":
                key = new_key("unknown")
            case "new key":
                self.key = key = new_key("second")
            case "symmetric":
                algorithm = "HS256"
                key = OctKey.import_key(CLIENT_SECRET, {"kid": str(self.key.kid)})
            case "unsigned":
                parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
                return ".".join([*map(base64url, parts), ""])
        header = {"alg": algorithm, "kid": key.kid}
        return jwt.encode(header, claims, key, algorithms=[algorithm])

    def user_info(self) -> dict[str, Any]:
        subject = "another" if self.fault == "user info" else self.claims["sub"]
        return {"sub": subject, **self.claims.get("in_user_info", {})}


def new_key(name: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig"})


def half_hash(access_token: str) -> str:
    digest = hashlib.sha256(access_token.encode()).digest()
    return base64url(digest[: len(digest) // 2])


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


WRONG_CLAIMS: dict[str, dict[str, Any]] = {
    "issuer": {"iss": "https://other.example"},
    "audience": {"aud": "another-client"},
    "nonce": {"nonce": "another-nonce"},
    "expired": {"exp": 1_000_000_000},
    "access token": {"at_hash": half_hash("another")},
}


def create_app(issuer: str) -> FastAPI:
    app = FastAPI()
    provider = Provider(issuer)

    @app.get("/.well-known/openid-configuration")
    def metadata() -> dict[str, Any]:
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "userinfo_endpoint": f"{issuer}/userinfo",
            "jwks_uri": f"{issuer}/jwks",
            "id_token_signing_alg_values_supported": ["RS256", "HS256"],
        }

    @app.get("/jwks")
    def jwks() -> dict[str, Any]:
        return {"keys": [provider.key.as_dict(private=False)]}

    @app.put("/person")
    def describe_person(body: dict[str, Any]) -> None:
        provider.fault = body["fault"]
        provider.claims = body["claims"]

    @app.get("/authorize")
    def authorize(request: Request) -> RedirectResponse:
        parameters = dict(request.query_params)
        answer = urlencode(provider.authorize(parameters))
        return RedirectResponse(f"{parameters['redirect_uri']}?{answer}", 303)

    @app.post("/token")
    async def token(request: Request) -> dict[str, Any]:
        return provider.token(await request.form(), request.headers["authorization"])

    @app.get("/userinfo")
    def user_info(request: Request) -> dict[str, Any]:
        assert request.headers["authorization"].startswith("Bearer ")
        return provider.user_info()

    return app


if __name__ == "__main__":
    port = int(sys.argv[1])
    uvicorn.run(create_app(f"http://127.0.0.1:{port}"), port=port, log_level="warning")
