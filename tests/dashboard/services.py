"""Real embedded services that serve the built dashboard: one with contents, one without."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from core.store.access import keys
from core.store.database.engine import make_engine
from core.store.database.tables import DEFAULT_PROJECT
from core.store.objects.store import Objects
from distill_client.responses import Job
from tests.dashboard.seeded_projects import (
    HOSTILE,
    LONG,
    Contents,
    create_project,
    run_digits_jobs,
    seed_project,
)
from tests.embedded.test_service import Embedded

STRANGER = "prj_stranger"
HOSTILE_PROJECT = "prj_hostile"
HOSTILE_KEY = "dk_hostile"


@dataclass(frozen=True)
class DashboardService:
    """A running service, as its administrator knows it."""

    embedded: Embedded

    @property
    def url(self) -> str:
        return self.embedded.url

    @property
    def key(self) -> str:
        return (self.embedded.data / "admin.key").read_text().strip()


@dataclass(frozen=True)
class SeededService(DashboardService):
    """A service with three projects: the administrator's, a stranger's and a hostile one."""

    contents: Contents
    """Of the administrator's project."""
    strangers: Contents
    hostile: Contents
    """Of the project of ``HOSTILE_KEY``: every text is an attack."""
    teacher: Job
    student: Job
    """Of the administrator's project: jobs that have really run, on digits."""

    def pages(self) -> dict[str, str]:
        """Return the path of each page that shows one thing, by the page's name."""
        return {
            **self.contents.pages(),
            "trained teacher": f"/jobs/{self.teacher.id}",
            "distilled student": f"/jobs/{self.student.id}",
            "distilled model": f"/models/{self.student.model_id}",
            "two that ran": f"/compare?jobs={self.teacher.id},{self.student.id}",
        }


def start_empty(data: Path, template: Path, **environment: str) -> DashboardService:
    """``template``: a migrated, empty SQLite file. ``environment``: settings of the service."""
    _create_folder(data, template).dispose()
    return DashboardService(_start(data, **environment))


def start_seeded(data: Path, template: Path) -> SeededService:
    """Start a service whose folder holds all that ``SeededService`` names."""
    engine = _create_folder(data, template)
    objects = Objects(f"file://{data}/objects")
    for project in (STRANGER, HOSTILE_PROJECT):
        create_project(engine, project)
    keys.ensure(engine, HOSTILE_PROJECT, HOSTILE, keys.SCOPES, HOSTILE_KEY)
    contents = seed_project(engine, objects, DEFAULT_PROJECT, "seeded")
    strangers = seed_project(engine, objects, STRANGER, "strangers")
    hostile = seed_project(engine, objects, HOSTILE_PROJECT, HOSTILE + LONG)
    engine.dispose()
    embedded = _start(data)
    with embedded.client() as client:
        teacher, student = run_digits_jobs(client)
    return SeededService(embedded, contents, strangers, hostile, teacher, student)


def _create_folder(data: Path, template: Path) -> Engine:
    data.mkdir()
    shutil.copy(template, data / "distill.db")
    return make_engine(f"sqlite:///{data}/distill.db")


def _start(data: Path, **environment: str) -> Embedded:
    return Embedded(data, "--port", "0", DISTILL_SLOTS="1", **environment).ready()
