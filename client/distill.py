"""The service as an object: one method for each thing that can be asked of it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from client import events, imports, transfers
from client.answers import (
    Architecture,
    Artifact,
    AuditLine,
    Dataset,
    DryRun,
    Event,
    Item,
    Job,
    Key,
    MethodInfo,
    Metrics,
    Model,
    NewKey,
    NewProject,
    Page,
    Project,
    Sweep,
    SweepDryRun,
    Worker,
    read,
)
from client.credentials import checked_url, find_api_key, find_url
from client.errors import ClientError
from client.events import OnUpdate
from client.transport import Params, Transport
from core.jobspec.base import Spec
from core.reportspec.table import Table

PAGE_SIZE = 100
Network = Mapping[str, Any] | Spec
Body = TypeVar("Body", bound=BaseModel)


class Distill:
    """Speaks to one service. Every method raises DistillProblem for what the service refuses, and Unreachable.

    ``url`` and ``api_key`` default to DISTILL_URL and DISTILL_API_KEY, and those to the embedded service of this machine,
    whose folder is DISTILL_HOME or ./distill-data. ``timeout`` is in seconds, for one answer. What can be tried again is,
    ``retries`` times, after pauses that begin at ``backoff_seconds`` and double, or as long as the service asks for.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        retries: int = 4,
        backoff_seconds: float = 0.5,
    ) -> None:
        self.url = checked_url(url or find_url())
        key = api_key or find_api_key(self.url)
        self.transport = Transport(
            self.url, key, timeout=timeout, retries=retries, backoff_seconds=backoff_seconds
        )

    def close(self) -> None:
        self.transport.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # -- jobs

    def submit(self, spec: Mapping[str, Any] | Spec) -> Job:
        return read(Job, self.transport.post("jobs", as_body(spec)))

    def dry_run(self, spec: Mapping[str, Any] | Spec) -> DryRun:
        """What ``submit`` would do and cost, without doing it."""
        return read(DryRun, self.transport.post("jobs", as_body(spec), {"dry_run": True}))

    def job(self, job_id: str) -> Job:
        return events.fetch_job(self.transport, job_id)

    def jobs(
        self, *, metadata: Mapping[str, str] | None = None, **filters: str | list[str] | None
    ) -> Iterator[Job]:
        """Filters: status (one or several), kind, method, student, dataset, sweep.

        ``sort``: -created_at, the default, or created_at.
        """
        wanted = {name: value for name, value in filters.items() if value}
        wanted |= {f"metadata[{key}]": value for key, value in (metadata or {}).items()}
        return self._pages("jobs", Page[Job], wanted)

    def cancel(self, job_id: str) -> Job:
        return read(Job, self.transport.post(f"{job_path(job_id)}/cancel"))

    def pause(self, job_id: str) -> Job:
        return read(Job, self.transport.post(f"{job_path(job_id)}/pause"))

    def resume(self, job_id: str) -> Job:
        """A paused job goes on from its last checkpoint."""
        return read(Job, self.transport.post(f"{job_path(job_id)}/resume"))

    def retry(self, job_id: str) -> Job:
        """A failed or cancelled job is tried once more, from its last checkpoint."""
        return read(Job, self.transport.post(f"{job_path(job_id)}/retry"))

    def delete(self, job_id: str) -> Job:
        """A job that has ended, with its files; its student stays."""
        return read(Job, self.transport.send("DELETE", job_path(job_id)))

    def restore(self, job_id: str) -> Job:
        """Undo ``delete``, as long as the service still has it."""
        return read(Job, self.transport.post(f"{job_path(job_id)}/restore"))

    def clone(self, job_id: str, changes: Mapping[str, Any] | None = None) -> Job:
        """A new job with the spec of an old one; ``changes`` is a JSON merge patch on it."""
        return read(
            Job,
            self.transport.post(f"{job_path(job_id)}/clone", dict(changes) if changes else None),
        )

    def events(self, job_id: str, after: int = 0) -> Iterator[Event | Job]:
        """Every event behind number ``after``, each once, until the job ends; and the job whenever its progress has changed."""
        return events.follow(self.transport, job_id, after)

    def wait(self, job_id: str, on_update: OnUpdate = lambda _: None) -> Job:
        """The job when it has ended, whichever way. ``on_update`` is told of every change."""
        return events.watch(self.transport, job_id, on_update)

    # -- sweeps

    def submit_sweep(self, sweep: Mapping[str, Any] | Spec) -> Sweep:
        """Many jobs at once: a base, rows and axes, as POST /v1/sweeps takes them."""
        return read(Sweep, self.transport.post("sweeps", as_body(sweep)))

    def dry_run_sweep(self, sweep: Mapping[str, Any] | Spec) -> SweepDryRun:
        return read(SweepDryRun, self.transport.post("sweeps", as_body(sweep), {"dry_run": True}))

    def sweep(self, sweep_id: str) -> Sweep:
        return read(Sweep, self.transport.get(sweep_path(sweep_id)))

    def sweeps(self) -> Iterator[Sweep]:
        return self._pages("sweeps", Page[Sweep])

    def wait_sweep(
        self, sweep_id: str, on_update: Callable[[Sweep], None] = lambda _: None
    ) -> Sweep:
        """The sweep when all of its jobs have ended. ``on_update`` is told how it stands, every few seconds."""
        while True:
            found = self.sweep(sweep_id)
            on_update(found)
            if found.terminal:
                return found
            time.sleep(events.POLL_SECONDS)

    def cancel_sweep(self, sweep_id: str) -> Sweep:
        return read(Sweep, self.transport.post(f"{sweep_path(sweep_id)}/cancel"))

    def table(self, sweep_id: str, network: str = "best") -> Table:
        """Mean and standard deviation over the seeds, a line for each combination, as far as the jobs are done."""
        return read(
            Table, self.transport.get(f"{sweep_path(sweep_id)}/table", {"network": network})
        )

    def table_text(self, sweep_id: str, form: str, network: str = "best") -> str:
        """The same as text; ``form``: md or csv."""
        return self.transport.get(
            f"{sweep_path(sweep_id)}/table", {"network": network, "format": form}
        ).text

    # -- results

    def metrics(self, job_id: str, names: Sequence[str] = (), points: int | None = None) -> Metrics:
        params: dict[str, str | int | bool | list[str]] = (
            {"names": ",".join(names)} if names else {}
        )
        if points is not None:
            params["points"] = points
        return read(Metrics, self.transport.get(f"{job_path(job_id)}/metrics", params))

    def report(self, job_id: str) -> dict[str, Any]:
        """Of the schema core.reportspec.report.Report."""
        found: dict[str, Any] = self.transport.get(
            f"{job_path(job_id)}/report", {"format": "json"}
        ).json()
        return found

    def report_page(self, job_id: str, form: Literal["md", "html", "json"]) -> str:
        """For people: Markdown, or HTML with its figures inside."""
        return self.transport.get(f"{job_path(job_id)}/report", {"format": form}).content.decode(
            "utf-8"
        )

    def artifacts(self, job_id: str) -> list[Artifact]:
        return list(self._pages(f"{job_path(job_id)}/artifacts", Page[Artifact]))

    def download(
        self, job_id: str, folder: Path | str, names: Sequence[str] | None = None
    ) -> list[Path]:
        """The job's files, or those of ``names``: without its checkpoints. Also raises CorruptDownload.

        A file that is there already is not fetched again; one that is there in part is gone on with.
        """
        there = {artifact.name: artifact for artifact in self.artifacts(job_id)}
        if names is None:
            names = [name for name, artifact in there.items() if artifact.kind != "checkpoint"]
        missing = [name for name in names if name not in there]
        if missing:
            raise ClientError(
                f"{job_id} has no {', '.join(missing)}; it has {', '.join(there) or 'nothing yet'}."
            )
        path = f"{job_path(job_id)}/artifacts"
        return [
            transfers.download(self.transport, f"{path}/{name}", there[name], Path(folder))
            for name in names
        ]

    # -- models and data sets

    def upload_model(
        self,
        path: Path | str,
        name: str,
        network: Network,
        classes: int,
        *,
        channels: int = 3,
        height: int = 32,
        width: int = 32,
    ) -> Model:
        """Send a checkpoint (safetensors, or torch.save's); it is then imported.

        ``network`` is written as in a job's spec: ``{"architecture": "resnet18"}``.
        """
        body = {
            "name": name,
            "network": as_body(network),
            "classes": classes,
            "channels": channels,
            "height": height,
            "width": width,
            "sha256": transfers.sha256_of(Path(path)),
        }
        return imports.send(self.transport, "models", Model, body, Path(path))

    def model(self, reference: str) -> Model:
        """By id or name."""
        return imports.get(self.transport, "models", Model, reference)

    def wait_model(self, reference: str) -> Model:
        """The model when it is ready. Raises DistillProblem if it was refused."""
        return imports.wait(self.transport, "models", Model, reference)

    def models(self) -> Iterator[Model]:
        return self._pages("models", Page[Model])

    def delete_model(self, reference: str) -> Model:
        return imports.delete(self.transport, "models", Model, reference)

    def restore_model(self, model_id: str) -> Model:
        """Undo ``delete_model``, as long as the service still has it."""
        return imports.restore(self.transport, "models", Model, model_id)

    def upload_dataset(
        self,
        path: Path | str,
        name: str,
        *,
        image_size: int | None = None,
        classes: Sequence[str] | None = None,
        every: int | None = None,
    ) -> Dataset:
        """Send an archive of images, or an .npz; it is then imported.

        With ``image_size`` the images stay encoded until they are used. ``classes`` lists those to keep, in the order of their
        labels (of an .npz: their names); ``every=10`` keeps the 1st, 11th, 21st, ... of the sorted list.
        """
        body = {"name": name, "sha256": transfers.sha256_of(Path(path))} | reading(
            image_size, classes, every
        )
        return imports.send(self.transport, "datasets", Dataset, body, Path(path))

    def add_dataset(
        self,
        name: str,
        *,
        folder: str | None = None,
        download: str | None = None,
        image_size: int | None = None,
        classes: Sequence[str] | None = None,
        every: int | None = None,
    ) -> Dataset:
        """Import an entry of the operator's data folder, or have cifar10 or cifar100 downloaded. See ``upload_dataset``."""
        body = {"name": name, "folder": folder, "download": download} | reading(
            image_size, classes, every
        )
        return read(Dataset, self.transport.post("datasets", body))

    def dataset(self, reference: str) -> Dataset:
        return imports.get(self.transport, "datasets", Dataset, reference)

    def wait_dataset(self, reference: str) -> Dataset:
        """The data set when it is ready. Raises DistillProblem if it was refused."""
        return imports.wait(self.transport, "datasets", Dataset, reference)

    def datasets(self) -> Iterator[Dataset]:
        return self._pages("datasets", Page[Dataset])

    def delete_dataset(self, reference: str) -> Dataset:
        return imports.delete(self.transport, "datasets", Dataset, reference)

    def restore_dataset(self, dataset_id: str) -> Dataset:
        """Undo ``delete_dataset``, as long as the service still has it."""
        return imports.restore(self.transport, "datasets", Dataset, dataset_id)

    # -- what there is

    def architectures(self) -> list[Architecture]:
        return read(Page[Architecture], self.transport.get("architectures")).data

    def methods(self) -> list[MethodInfo]:
        return read(Page[MethodInfo], self.transport.get("methods")).data

    # -- workers

    def workers(self) -> Iterator[Worker]:
        """Only for the operator's keys, like the next two."""
        return self._pages("workers", Page[Worker])

    def drain(self, worker: str) -> Worker:
        """It finishes the jobs that it has, claims no more, and stays."""
        return read(Worker, self.transport.post(f"{worker_path(worker)}/drain"))

    def undrain(self, worker: str) -> Worker:
        return read(Worker, self.transport.post(f"{worker_path(worker)}/undrain"))

    # -- keys

    def keys(self) -> Iterator[Key]:
        return self._pages("keys", Page[Key])

    def create_key(
        self, name: str, scopes: Sequence[str], expires_in_days: int | None = None
    ) -> NewKey:
        body = {"name": name, "scopes": list(scopes), "expires_in_days": expires_in_days}
        key = read(NewKey, self.transport.post("keys", body))
        if key.secret is None:
            raise ClientError(
                f"Key {key.id} was made, but its secret was lost on the way: revoke it and make another."
            )
        return key

    def revoke_key(self, key_id: str) -> None:
        self.transport.send("DELETE", f"keys/{quote(key_id, safe='')}")

    # -- projects and the audit log

    def projects(self) -> Iterator[Project]:
        return self._pages("projects", Page[Project])

    def create_project(self, name: str) -> NewProject:
        project = read(NewProject, self.transport.post("projects", {"name": name}))
        if project.key.secret is None:
            raise ClientError(
                f"Project {project.id} was made, but its key's secret was lost on the way."
            )
        return project

    def audit(self, **filters: str | None) -> Iterator[AuditLine]:
        """The newest first. Filters: action, such as "POST /v1/jobs"; key, an id; since, a time in RFC 3339."""
        return self._pages(
            "audit", Page[AuditLine], {name: value for name, value in filters.items() if value}
        )

    def _pages(
        self, path: str, kind: type[Page[Item]], params: Params | None = None
    ) -> Iterator[Item]:
        cursor: str | None = None
        while True:
            page = read(
                kind,
                self.transport.get(
                    path,
                    {**(params or {}), "limit": PAGE_SIZE} | ({"after": cursor} if cursor else {}),
                ),
            )
            yield from page.data
            cursor = page.next_cursor
            if cursor is None:
                return


def job_path(job_id: str) -> str:
    return f"jobs/{quote(job_id, safe='')}"


def sweep_path(sweep_id: str) -> str:
    return f"sweeps/{quote(sweep_id, safe='')}"


def worker_path(name: str) -> str:
    return f"workers/{quote(name, safe='')}"


def reading(
    image_size: int | None, classes: Sequence[str] | None, every: int | None
) -> dict[str, Any]:
    """How a data set's files are to be read, as a request says it."""
    return {
        "image_size": image_size,
        "classes": None if classes is None else list(classes),
        "every": every,
    }


def as_body(spec: Mapping[str, Any] | Spec) -> dict[str, Any]:
    return spec.model_dump(mode="json") if isinstance(spec, Spec) else dict(spec)
