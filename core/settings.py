"""How one installation is set up: environment variables ``DISTILL_*``, read once by each process."""

import ipaddress
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Defaults are those of one machine without servers: SQLite, a folder, polling."""

    model_config = SettingsConfigDict(
        env_prefix="DISTILL_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    home: Path = Field(
        default=Path("distill-data"),
        description="folder of the embedded service: database, objects, key",
    )
    database_url: str = Field(
        default="", repr=False, description="SQLAlchemy URL; empty: SQLite in `home`"
    )
    broker_url: str = Field(
        default="", repr=False, description="Celery's Redis URL; empty: no hints, workers poll"
    )
    objects_url: str = Field(
        default="",
        description="file:///…, memory:/// or s3://bucket/prefix; empty: a folder in `home`",
    )
    s3_endpoint: str = Field(default="", description="endpoint of an S3 server other than AWS")
    s3_public_endpoint: str = Field(
        default="",
        description="the endpoint that callers can reach, for signed URLs; empty: artifacts are streamed by the API",
    )
    s3_region: str = "us-east-1"
    s3_access_key_id: str = Field(default="", repr=False)
    s3_secret_access_key: str = Field(default="", repr=False)
    data_folder: Path | None = Field(
        default=None, description="folder of data sets that jobs may name"
    )
    scratch_folder: Path | None = Field(
        default=None, description="where workers lay out job folders; default: in `home`"
    )
    allow_downloads: bool = Field(
        default=False, description="allow data sets to be fetched by torchvision"
    )
    bootstrap_key: str = Field(
        default="", repr=False, description="a first admin key, made at migration if set"
    )

    host: str = "127.0.0.1"
    port: int = Field(default=8321, ge=0, le=65535)
    allowed_hosts: str = Field(
        default="",
        description="names that callers know the service by, beside this machine's own; comma-separated",
    )
    allowed_origins: str = Field(
        default="",
        description="https://… of web pages that may call the service from a browser, beside its own; comma-separated",
    )
    trusted_proxies: str = Field(
        default="",
        description="addresses whose X-Forwarded-For and X-Forwarded-Proto are believed; comma-separated",
    )
    requests_per_second: float = Field(
        default=500.0, ge=0, description="of one key, after ten times as many; 0: any number"
    )
    failed_logins_per_minute: int = Field(
        default=20, ge=0, description="with wrong keys from one address; 0: any number"
    )
    max_upload_bytes: int = Field(default=8 * 2**30, ge=1)
    max_body_bytes: int = Field(default=2**20, ge=1024, description="JSON bodies")

    worker_name: str = Field(default="", description="default: host name and process id")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:0, …")
    threads: int = Field(
        default=0, ge=0, description="torch threads of a trainer; 0: as many as cores"
    )
    slots: int = Field(default=1, ge=1, le=64, description="jobs one worker runs at a time")
    heartbeat_seconds: float = Field(default=10.0, gt=0)
    lease_seconds: float = Field(default=30.0, gt=0)
    sweep_seconds: float = Field(default=10.0, gt=0)
    poll_seconds: float = Field(default=1.0, gt=0)
    grace_seconds: float = Field(
        default=20.0,
        gt=0,
        description="from a cooperative stop to SIGTERM, and again to SIGKILL, a quarter of it",
    )
    trainer_memory_bytes: int = Field(
        default=0,
        ge=0,
        description="host memory that a training or evaluation may fill (RLIMIT_DATA); 0: as much as there is",
    )
    import_memory_bytes: int = Field(
        default=6 * 2**30,
        ge=2**30,
        description="the same of an import: the largest data set that is decoded, and torch itself",
    )
    import_seconds: float = Field(
        default=3600.0, gt=0, description="an import that takes longer is given up"
    )
    max_attempts: int = Field(default=5, ge=1, description="only infrastructure failures count")
    max_timeouts: int = Field(default=2, ge=1, description="how often a trainer may hang")
    backoff_seconds: float = Field(
        default=10.0, ge=0, description="10, 20, 40 … at most 36 times this"
    )
    room_seconds: float = Field(
        default=60.0, gt=0, description="from a full disk to the next attempt"
    )
    hang_seconds: float = Field(
        default=300.0,
        gt=0,
        description="a trainer that gets nowhere for so long, or 10 of its own median steps, is ended",
    )
    isolation_seconds: float = Field(
        default=3600.0,
        gt=0,
        description="how long a worker that cannot reach the database lets its trainers go on",
    )

    keep_checkpoints: int = Field(
        default=2,
        ge=1,
        description="of a job, the furthest; each holds the best student so far, so none is lost with an older one",
    )

    retain_deleted_days: float = Field(
        default=7.0, ge=0, description="what was deleted can be restored for so long"
    )
    retain_uploads_days: float = Field(
        default=2.0, ge=0, description="models and data sets whose content was never sent"
    )
    retain_audit_days: float = Field(default=365.0, ge=0)
    orphan_grace_hours: float = Field(
        default=24.0,
        ge=0,
        description="an object that no row names is left alone so long: its row may be about to be written",
    )
    cache_bytes: int = Field(
        default=64 * 2**30, ge=0, description="of inputs that a worker keeps for other jobs"
    )
    collect_seconds: float = Field(
        default=3600.0, gt=0, description="between two looks for what can be removed"
    )

    log_format: Literal["console", "json"] = "console"

    @property
    def resolved_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.home.absolute() / 'distill.db'}"

    @property
    def resolved_objects_url(self) -> str:
        return self.objects_url or f"file://{self.home.absolute() / 'objects'}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Settings that hold one, whole."""
        return (
            self.database_url,
            self.broker_url,
            self.s3_access_key_id,
            self.s3_secret_access_key,
            self.bootstrap_key,
        )

    @property
    def resolved_scratch_folder(self) -> Path:
        return (self.scratch_folder or self.home / "scratch").absolute()


def inside(folder: Path, name: str) -> Path | None:
    """An entry of a folder, with every link followed; None where that leads out of the folder."""
    path = (folder / name).resolve()
    return path if path.is_relative_to(folder.resolve()) else None


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to what listens there."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listed(text: str) -> list[str]:
    """``a, b`` -> ["a", "b"]."""
    return [part.strip() for part in text.split(",") if part.strip()]


@lru_cache
def settings() -> Settings:
    return Settings()
