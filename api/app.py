"""The REST service: ``uvicorn api.app:create_app --factory``, or ``python -m api``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute

from api import dashboard
from api.dashboard import DashboardRoute
from api.endpoints import (
    attempts,
    catalogue,
    compare,
    dataset_images,
    datasets,
    events,
    jobs,
    leaderboard,
    metrics,
    model_series,
    models,
    results,
    sweeps,
)
from api.endpoints.access import audit, keys, oidc, projects, session, sessions
from api.endpoints.service import health, installation, storage, workers
from api.events.open_streams import OpenStreams, serving
from api.http import problems
from api.http.allowed_origins import AllowedOrigins
from api.http.middleware import RequestMiddleware, RootPathMiddleware
from api.http.rate_limits import RateLimits
from api.http.sessions.oidc import Provider
from api.http.telemetry import Telemetry
from api.openapi import docs_page, document
from core import __version__, logs
from core.settings import Settings, load_settings
from core.store.database.engine import make_engine
from core.store.objects.store import Objects

ROUTERS = (
    jobs.router,
    jobs.counts_router,
    results.router,
    attempts.router,
    metrics.router,
    compare.router,
    leaderboard.router,
    sweeps.router,
    models.router,
    model_series.router,
    datasets.router,
    dataset_images.router,
    events.router,
    catalogue.router,
    workers.router,
    storage.router,
    installation.router,
    session.open_router,
    oidc.router,
    session.router,
    sessions.router,
    keys.router,
    projects.router,
    audit.router,
    health.router,
    docs_page.router,
    health.open_router,
)
"""In the order of the documentation page."""
MAX_CONCURRENT_UPLOADS = 16
DATABASE_TIMEOUT_SECONDS = 1.5
"""A database that does not respond becomes a 503 within 2 s."""
CROSS_ORIGIN: dict[str, Any] = {
    "allow_methods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
    "allow_headers": [
        "Authorization",
        "Cache-Control",
        "Content-Type",
        "Idempotency-Key",
        "If-Match",
        "If-None-Match",
        "If-Range",
        "Last-Event-ID",
        "Range",
        "X-Request-Id",
        "traceparent",
        "tracestate",
    ],
    "expose_headers": [
        "Accept-Ranges",
        "Content-Disposition",
        "Content-Range",
        "ETag",
        "Idempotency-Replayed",
        "Location",
        "RateLimit-Limit",
        "RateLimit-Remaining",
        "RateLimit-Reset",
        "Repr-Digest",
        "Retry-After",
        "WWW-Authenticate",
        "X-Request-Id",
    ],
}
"""What a page of an allowed origin may send and read. No credentials: it sends an API key, and has
no use of the session of the service's own pages."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Create the application; ``settings`` default to those of the environment.

    The database must have been migrated.
    """
    settings = settings or load_settings()
    app = FastAPI(
        title="distill",
        version=__version__,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.settings = settings
    app.state.telemetry = Telemetry()
    app.state.oidc = Provider(settings) if settings.oidc_issuer else None
    origins = AllowedOrigins(settings)
    if origins.pages:
        app.add_middleware(CORSMiddleware, allow_origins=list(origins.pages), **CROSS_ORIGIN)
    app.add_middleware(RequestMiddleware, telemetry=app.state.telemetry, origins=origins)
    if settings.root_path:
        app.add_middleware(RootPathMiddleware, root_path=settings.root_path)
    problems.install(app)
    document.install(app)
    for router in ROUTERS:
        app.include_router(router)
    if settings.dashboard:
        app.router.routes.append(DashboardRoute(dashboard.FOLDER, settings.root_path))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open and close what endpoints find in ``app.state``, with the server's process."""
    state = app.state
    settings: Settings = state.settings
    logs.configure(settings)
    state.engine = make_engine(
        settings.resolved_database_url, timeout_seconds=DATABASE_TIMEOUT_SECONDS
    )
    state.objects = Objects.from_settings(settings)
    state.limits = RateLimits(settings)
    state.upload_threads = CapacityLimiter(MAX_CONCURRENT_UPLOADS)
    state.streams = OpenStreams(state.engine)
    async with serving(state.streams):
        yield
    state.engine.dispose()


def _operation_id(route: APIRoute) -> str:
    """Return the endpoint's name; HEAD shares the endpoint of GET."""
    return f"head_{route.name}" if route.methods == {"HEAD"} else route.name
