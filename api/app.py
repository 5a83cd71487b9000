"""The REST service: ``uvicorn api.app:create_app --factory``, or ``python -m api``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute

from api.endpoints import (
    audit,
    catalogue,
    datasets,
    health,
    jobs,
    keys,
    metrics,
    models,
    projects,
    results,
    sweeps,
    workers,
)
from api.events.job_changes import JobChanges, polling
from api.http import problems
from api.http.allowed_origins import AllowedOrigins
from api.http.middleware import RequestMiddleware
from api.http.rate_limits import RateLimits
from api.http.telemetry import Telemetry
from api.openapi import docs_page, document
from core import logs
from core.settings import Settings
from core.settings import load_settings as from_environment
from core.store.database.engine import make_engine
from core.store.objects.store import Objects

VERSION = "0.1.0"
MAX_CONCURRENT_UPLOADS = 16
"""In threads of their own: slow uploads must not take those that other requests need."""
DATABASE_TIMEOUT_SECONDS = 1.5
"""A database that does not answer is a 503 within 2 s."""
CROSS_ORIGIN: dict[str, Any] = {
    "allow_methods": ["GET", "HEAD", "POST", "PUT", "DELETE"],
    "allow_headers": [
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "If-None-Match",
        "Last-Event-ID",
        "Range",
    ],
    "expose_headers": [
        "Content-Disposition",
        "Content-Range",
        "ETag",
        "Location",
        "Retry-After",
        "X-Request-Id",
    ],
}
"""What a page of an allowed origin may send and read. There are no cookies to allow."""


def operation_id(route: APIRoute) -> str:
    """The function's name; HEAD shares the function of GET."""
    return f"head_{route.name}" if route.methods == {"HEAD"} else route.name


def create_app(settings: Settings | None = None) -> FastAPI:
    """Settings default to those of the environment. The database must have been migrated."""
    setup = settings or from_environment()
    telemetry = Telemetry()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        logs.configure(setup)
        state = app.state
        state.settings, state.telemetry, state.limits = setup, telemetry, RateLimits(setup)
        state.engine = make_engine(
            setup.resolved_database_url, timeout_seconds=DATABASE_TIMEOUT_SECONDS
        )
        state.objects = Objects.from_settings(setup)
        state.upload_threads = CapacityLimiter(MAX_CONCURRENT_UPLOADS)
        state.watch = JobChanges(state.engine)
        async with polling(state.watch):
            yield
        state.engine.dispose()

    app = FastAPI(
        title="distill",
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
    )
    origins = AllowedOrigins(setup)
    if origins.pages:
        app.add_middleware(CORSMiddleware, allow_origins=list(origins.pages), **CROSS_ORIGIN)
    app.add_middleware(RequestMiddleware, telemetry=telemetry, origins=origins)
    problems.install(app)
    document.install(app)
    for module in (
        jobs,
        results,
        metrics,
        sweeps,
        models,
        datasets,
        catalogue,
        workers,
        keys,
        projects,
        audit,
        health,
        docs_page,
    ):
        app.include_router(module.router)
    app.include_router(health.open_router)
    return app
