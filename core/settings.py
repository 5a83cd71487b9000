"""The settings of one installation: environment variables ``DISTILL_*``, read once per process."""

import ipaddress
import json
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class OidcGroup(BaseModel):
    """What a group of the OpenID Connect provider may do here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    project: str
    scopes: list[Literal["read", "submit", "admin", "operator"]] = Field(min_length=1)


class Settings(BaseSettings):
    """One field per environment variable: ``lease_seconds`` is ``DISTILL_LEASE_SECONDS``.

    The defaults are those of one machine without servers: SQLite, a folder of objects, and workers
    that poll the database. The descriptions are the text of docs/configuration.md.
    """

    model_config = SettingsConfigDict(
        env_prefix="DISTILL_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    # Storage

    home: Path = Field(
        default=Path("distill-data"),
        description="Data folder of the embedded service: database, objects, admin key, logs.",
    )
    database_url: str = Field(
        default="",
        repr=False,
        description="SQLAlchemy URL of the database. Empty: SQLite, `distill.db` in `home`.",
    )
    broker_url: str = Field(
        default="",
        repr=False,
        description="URL of the Redis server through which the API wakes workers. "
        "Empty: no broker; workers poll the database.",
    )
    objects_url: str = Field(
        default="",
        description="URL of the object store: `file:///…`, `memory:///` or `s3://bucket/prefix`. "
        "Empty: the folder `objects` in `home`.",
    )
    s3_endpoint: str = Field(
        default="",
        description="URL of an S3 server other than Amazon's. Empty: Amazon S3.",
    )
    s3_public_endpoint: str = Field(
        default="",
        description="URL at which clients reach the S3 server; downloads are then redirected to "
        "signed URLs there. Empty: the API streams artifacts itself.",
    )
    s3_region: str = Field(default="us-east-1", description="Region of the S3 bucket.")
    s3_access_key_id: str = Field(
        default="",
        repr=False,
        description="Access key id for S3. Empty: the credentials of the process's environment.",
    )
    s3_secret_access_key: str = Field(
        default="",
        repr=False,
        description="Secret access key for S3. "
        "Empty: the credentials of the process's environment.",
    )
    data_folder: Path | None = Field(
        default=None,
        description="Folder whose entries data set imports may name, set for the API and mounted "
        "on the workers' machines. Unset: no import from a folder.",
    )
    scratch_folder: Path | None = Field(
        default=None,
        description="Folder of a worker's job folders and cached inputs. "
        "Unset: `scratch` in `home`.",
    )
    allow_downloads: bool = Field(
        default=False,
        description="Whether data set imports may download from the sources that torchvision "
        "knows.",
    )
    bootstrap_key: str = Field(
        default="",
        repr=False,
        description="An admin API key to create when the database is migrated. Empty: none.",
    )

    # API

    host: str = Field(
        default="127.0.0.1",
        description="Address at which the API listens. The default is reachable only from the "
        "same machine.",
    )
    port: int = Field(
        default=8321,
        ge=0,
        le=65535,
        description="TCP port at which the API listens. 0: any free port.",
    )
    allowed_hosts: str = Field(
        default="",
        description="Comma-separated host names under which clients reach the API, in addition to "
        "this machine's own.",
    )
    allowed_origins: str = Field(
        default="",
        description="Comma-separated origins (`https://…`) of web pages that may call the API from "
        "a browser, in addition to its own.",
    )
    root_path: str = Field(
        default="",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Path under which a reverse proxy serves the API and the dashboard, such as "
        "`/distill`; the proxy may strip it or leave it. Empty: none.",
    )
    dashboard: bool = Field(
        default=True,
        description="Whether the API serves the dashboard at `/`.",
    )
    session_hours: float = Field(
        default=12.0,
        gt=0,
        description="Hours after its last use that a session of the dashboard ends; after sign-in, "
        "for one through OIDC.",
    )
    session_days: float = Field(
        default=7.0,
        gt=0,
        description="Days after sign-in that a session of the dashboard ends, however it is used.",
    )
    oidc_issuer: str = Field(
        default="",
        description="Issuer URL of an OpenID Connect provider through which people sign in to the "
        "dashboard. Empty: none.",
    )
    oidc_client_id: str = Field(
        default="", description="Client id of this installation at the OpenID Connect provider."
    )
    oidc_client_secret: str = Field(
        default="",
        repr=False,
        description="Client secret at the OpenID Connect provider. Empty: a public client, which "
        "has PKCE alone.",
    )
    oidc_scopes: str = Field(
        default="openid profile email",
        description="Scopes that are asked of the OpenID Connect provider, separated by spaces; "
        "some need one more to tell a person's groups.",
    )
    oidc_groups_claim: str = Field(
        default="groups",
        description="Claim of the ID token, or else of the user info, with a person's groups.",
    )
    oidc_groups: Annotated[dict[str, OidcGroup], NoDecode] = Field(
        default={},
        description="What each group may do, as JSON: "
        '`{"vision-team": {"project": "vision", "scopes": ["read", "submit"]}}`, with the name or '
        "id of a project. Of several groups of a person the first in this order decides about the "
        "project; groups of the same project add their scopes.",
    )
    trusted_proxies: str = Field(
        default="",
        description="Comma-separated addresses of proxies whose X-Forwarded-For and "
        "X-Forwarded-Proto headers are trusted. Empty: none.",
    )
    requests_per_second: float = Field(
        default=500.0,
        ge=0,
        description="Request rate that one API key may sustain, per second and API process, after "
        "a burst of ten times as many. 0: unlimited.",
    )
    failed_logins_per_minute: int = Field(
        default=20,
        ge=0,
        description="Requests with invalid API keys allowed per minute and client address. "
        "0: unlimited.",
    )
    max_upload_bytes: int = Field(
        default=8 * 2**30,
        ge=1,
        description="Largest upload of a model or data set, in bytes (default: 8 GiB).",
    )
    max_body_bytes: int = Field(
        default=2**20,
        ge=1024,
        description="Largest JSON request body, in bytes (default: 1 MiB).",
    )

    # Workers

    worker_name: str = Field(
        default="",
        description="Name of the worker in the list of workers; unique per process. "
        "Empty: host name and process id.",
    )
    device: str = Field(
        default="auto",
        description="Torch device of the trainers: `auto`, `cpu`, `cuda`, `cuda:0`, … "
        "`auto`: a GPU where there is one.",
    )
    threads: int = Field(
        default=0,
        ge=0,
        description="Torch threads of one trainer. 0: one per core.",
    )
    slots: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Number of jobs that one worker runs at a time.",
    )
    heartbeat_seconds: float = Field(
        default=10.0,
        gt=0,
        description="Seconds between two renewals of a job's lease, and of the worker's own.",
    )
    lease_seconds: float = Field(
        default=30.0,
        gt=0,
        description="Seconds that a lease lasts after its last renewal; a job whose lease has "
        "expired is given to another worker.",
    )
    reconcile_seconds: float = Field(
        default=10.0,
        gt=0,
        description="Seconds between two searches for jobs whose lease has expired or whose pause "
        "is over, and for queued jobs that no worker was woken for.",
    )
    poll_seconds: float = Field(
        default=1.0,
        gt=0,
        description="Seconds between two searches for a queued job by an idle worker that has no "
        "broker.",
    )
    grace_seconds: float = Field(
        default=20.0,
        gt=0,
        description="Seconds from the request to stop until a trainer gets SIGTERM; SIGKILL "
        "follows after a quarter as long again. A cancelled job gets a quarter of it.",
    )
    trainer_memory_bytes: int = Field(
        default=0,
        ge=0,
        description="Limit of a training's or evaluation's host memory, in bytes (RLIMIT_DATA). "
        "0: unlimited.",
    )
    import_memory_bytes: int = Field(
        default=6 * 2**30,
        ge=2**30,
        description="Limit of an import's host memory, in bytes (default: 6 GiB): the largest data "
        "set, decoded, and torch itself.",
    )
    import_seconds: float = Field(
        default=3600.0,
        gt=0,
        description="Seconds after which an import is given up.",
    )
    max_attempts: int = Field(
        default=5,
        ge=1,
        description="Number of infrastructure failures after which a job fails for good. "
        "An orderly shutdown of its worker is not one.",
    )
    max_timeouts: int = Field(
        default=2,
        ge=1,
        description="Number of attempts with a hanging trainer after which a job fails.",
    )
    backoff_seconds: float = Field(
        default=10.0,
        ge=0,
        description="Seconds before the second attempt at a job. The delay doubles with each "
        "attempt, up to 36 times this value.",
    )
    storage_retry_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Seconds that a job stays paused after a disk or the object store was full.",
    )
    hang_seconds: float = Field(
        default=300.0,
        gt=0,
        description="Seconds without progress after which a trainer is killed as hung, or 10 times "
        "the median duration of its steps if that is longer.",
    )
    isolation_seconds: float = Field(
        default=3600.0,
        gt=0,
        description="Seconds that trainers go on while their worker cannot reach the database.",
    )
    keep_checkpoints: int = Field(
        default=2,
        ge=1,
        description="Number of checkpoints kept of a job, those of the highest steps. Each also "
        "holds the best student so far, so none is lost with an older checkpoint.",
    )

    # Retention

    retain_deleted_days: float = Field(
        default=7.0,
        ge=0,
        description="Days during which deleted jobs, models and data sets can be restored.",
    )
    retain_uploads_days: float = Field(
        default=2.0,
        ge=0,
        description="Days after which a model or data set is removed whose content was never "
        "uploaded.",
    )
    retain_audit_days: float = Field(
        default=365.0,
        ge=0,
        description="Days that entries of the audit log are kept.",
    )
    retain_changes_hours: float = Field(
        default=24.0,
        ge=0,
        description="Hours that changes are kept for `/v1/events`; a client that was away for "
        "longer is told to load everything again.",
    )
    orphan_grace_hours: float = Field(
        default=24.0,
        ge=0,
        description="Hours before a stored object that no row refers to is removed: its row may "
        "not be committed yet.",
    )
    cache_bytes: int = Field(
        default=64 * 2**30,
        ge=0,
        description="Size of a worker's cache of models and data sets, in bytes (default: 64 GiB).",
    )
    collect_seconds: float = Field(
        default=3600.0,
        gt=0,
        description="Seconds between two searches for rows and objects that can be removed.",
    )

    # Logs

    log_format: Literal["console", "json"] = Field(
        default="console",
        description="Format of log lines on standard error: `console` (text) or `json`.",
    )

    @field_validator("oidc_groups", mode="before")
    @classmethod
    def _parse_oidc_groups(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value or "{}")
        except ValueError as error:
            raise ValueError(f"not JSON ({error})") from error

    @property
    def resolved_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.home.absolute() / 'distill.db'}"

    @property
    def resolved_objects_url(self) -> str:
        return self.objects_url or f"file://{self.home.absolute() / 'objects'}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that must not be logged, or that hold a password as part of a URL."""
        return (
            self.database_url,
            self.broker_url,
            self.s3_access_key_id,
            self.s3_secret_access_key,
            self.bootstrap_key,
            self.oidc_client_secret,
        )

    @property
    def resolved_scratch_folder(self) -> Path:
        return (self.scratch_folder or self.home / "scratch").absolute()


@lru_cache
def load_settings() -> Settings:
    """Read the environment, once per process. Raises pydantic's ValidationError."""
    return Settings()


def embedded_settings(home: Path) -> Settings:
    """Return the settings of the embedded service whose data folder is ``home``.

    Everything lies in the folder, whatever servers the environment names.
    """
    return Settings(**_embedded_values(home))


def embedded_environment(home: Path) -> dict[str, str]:
    """Return the values of ``embedded_settings`` as environment variables, for another process.

    The present environment is not validated: the caller may replace more of it.
    """
    return {f"DISTILL_{name.upper()}": str(value) for name, value in _embedded_values(home).items()}


def _embedded_values(home: Path) -> dict[str, Any]:
    home = home.absolute()
    return {
        "home": home,
        "database_url": "",
        "broker_url": "",
        "objects_url": "",
        "scratch_folder": home / "scratch",
    }


def resolve_inside(folder: Path, name: str) -> Path | None:
    """Return an entry of a folder with every link followed; None if that is outside the folder."""
    path = (folder / name).resolve()
    return path if path.is_relative_to(folder.resolve()) else None


def is_loopback(host: str) -> bool:
    """Return whether a server at this address can be reached from the same machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def split_commas(text: str) -> list[str]:
    """Split ``"a, b"`` into ``["a", "b"]``."""
    return [part.strip() for part in text.split(",") if part.strip()]
