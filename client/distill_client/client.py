"""The service as an object, with one method for each request."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from unicodedata import normalize
from urllib.parse import quote

from pydantic import BaseModel

from distill_client import downloads, events
from distill_client.credentials import default_api_key, default_url, validate_url
from distill_client.errors import ClientError
from distill_client.events import OnUpdate
from distill_client.responses import (
    Architecture,
    Artifact,
    Attempt,
    AuditEntry,
    Comparison,
    Dataset,
    DatasetImage,
    DryRun,
    Event,
    Example,
    ItemT,
    Job,
    Key,
    Leaderboard,
    Lineage,
    LogLine,
    Method,
    Metrics,
    Model,
    NewKey,
    NewProject,
    Page,
    Project,
    ProjectEvent,
    Session,
    SignInToken,
    Storage,
    Sweep,
    SweepDryRun,
    SweepTable,
    Worker,
    parse_response,
)
from distill_client.streams import logs, project_events
from distill_client.streams.project_events import Reset
from distill_client.transport import Params, Transport
from distill_client.uploads import UploadCollection

PAGE_SIZE = 100

Spec = Mapping[str, Any] | BaseModel
"""A request body: a mapping as in the YAML files, or a pydantic model that serializes to one."""


class Distill:
    """A client of one service.

    ``url`` and ``api_key`` default to DISTILL_URL and DISTILL_API_KEY, and those to the embedded
    service of this machine, whose folder is DISTILL_HOME or ./distill-data. ``timeout`` is in
    seconds, for one response. A request that fails for a passing reason is retried up to
    ``retries`` times, after pauses that begin at ``backoff_seconds`` and double, or that are as
    long as the service asks for.

    Every method raises DistillProblem if the service refuses the request, and Unreachable if it
    does not respond.
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
        self.url = validate_url(url or default_url())
        key = api_key or default_api_key(self.url)
        self.transport = Transport(
            self.url, key, timeout=timeout, retries=retries, backoff_seconds=backoff_seconds
        )
        self._models = UploadCollection(self.transport, "models", Model)
        self._datasets = UploadCollection(self.transport, "datasets", Dataset)

    def close(self) -> None:
        """Close the connections."""
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

    def submit(self, spec: Spec) -> Job:
        """Submit a job."""
        return parse_response(Job, self.transport.post("jobs", _body(spec)))

    def dry_run(self, spec: Spec) -> DryRun:
        """Validate a job and estimate its cost, without submitting it.

        ``estimate.memory`` is pending at first: a worker works it out within seconds.
        """
        return parse_response(DryRun, self.transport.post("jobs", _body(spec), {"dry_run": True}))

    def job(self, job_id: str) -> Job:
        """Return one job."""
        return events.get_job(self.transport, job_id)

    def jobs(
        self,
        *,
        metadata: Mapping[str, str] | None = None,
        results: Mapping[str, str] | None = None,
        **filters: str | list[str] | None,
    ) -> Iterator[Job]:
        """Iterate over jobs.

        Filters: status (one or several), kind, method, student, dataset, sweep, and q, words of
        which each is the beginning of one in the id, name or metadata. ``results``: bounds by the
        key of a result, such as ``{"autoattack@linf:8/255": ">=0.5"}``. ``sort``: -created_at, the
        default, created_at, or the key of a result, such as -autoattack@linf:8/255.
        """
        params = {name: value for name, value in filters.items() if value}
        params |= {f"metadata[{key}]": value for key, value in (metadata or {}).items()}
        return self._pages("jobs", Page[Job], params | _result_params(results))

    def cancel(self, job_id: str) -> Job:
        """Cancel a job."""
        return parse_response(Job, self.transport.post(f"{_job_path(job_id)}/cancel"))

    def pause(self, job_id: str) -> Job:
        """Pause a job; it saves a checkpoint first."""
        return parse_response(Job, self.transport.post(f"{_job_path(job_id)}/pause"))

    def resume(self, job_id: str) -> Job:
        """Resume a paused job from its last checkpoint."""
        return parse_response(Job, self.transport.post(f"{_job_path(job_id)}/resume"))

    def retry(self, job_id: str) -> Job:
        """Retry a failed or cancelled job from its last checkpoint."""
        return parse_response(Job, self.transport.post(f"{_job_path(job_id)}/retry"))

    def delete(self, job_id: str) -> Job:
        """Delete a job that has ended, with its files. Its student is kept."""
        return parse_response(Job, self.transport.send("DELETE", _job_path(job_id)))

    def restore(self, job_id: str) -> Job:
        """Undo ``delete``, as long as the service still has the job."""
        return parse_response(Job, self.transport.post(f"{_job_path(job_id)}/restore"))

    def clone(self, job_id: str, changes: Mapping[str, Any] | None = None) -> Job:
        """Submit a job with the spec of another; ``changes`` is a JSON merge patch on it."""
        body = dict(changes) if changes else None
        return parse_response(Job, self.transport.post(f"{_job_path(job_id)}/clone", body))

    def events(self, job_id: str, after: int = 0) -> Iterator[Event | Job]:
        """Iterate over every event after number ``after``, each once, until the job ends.

        Also yields the job whenever its progress has changed.
        """
        return events.stream_events(self.transport, job_id, after)

    def update_job(
        self, job_id: str, changes: Mapping[str, Any], *, if_match: str | None = None
    ) -> Job:
        """Change a job's name, notes or metadata; ``changes`` is a JSON merge patch.

        ``if_match``: the ``etag`` of an earlier response; the change is refused (412) if another
        was made since.
        """
        response = self.transport.patch(_job_path(job_id), dict(changes), if_match)
        return parse_response(Job, response)

    def project_events(
        self, *, after: int | None = None, types: Sequence[str] = (), follow: bool = True
    ) -> Iterator[ProjectEvent | Reset]:
        """Iterate over what changes in the project: jobs, sweeps, models, data sets and workers.

        Without ``after``, the number of a change, it begins with what happens from now on; with
        ``follow=False`` it lists what the service still has, which is about a day, and ends. Yields
        Reset where changes may have been missed.
        """
        return project_events.stream_project_events(
            self.transport, after=after, types=types, follow=follow
        )

    def wait(self, job_id: str, on_update: OnUpdate = lambda _: None) -> Job:
        """Return the job once it has ended, in whichever status.

        ``on_update`` is called with each change.
        """
        return events.wait_for_job(self.transport, job_id, on_update)

    def attempts(self, job_id: str) -> Iterator[Attempt]:
        """Iterate over the attempts at a job, in order."""
        return self._pages(f"{_job_path(job_id)}/attempts", Page[Attempt])

    def logs(
        self,
        job_id: str,
        *,
        attempt: int | None = None,
        tail: int | None = None,
        follow: bool = False,
    ) -> Iterator[LogLine]:
        """Iterate over the log of an attempt, by default of the newest.

        ``tail``: only so many of the newest lines. With ``follow`` it goes on with new lines, and
        without ``attempt`` with later attempts, until the job has ended.
        """
        return logs.stream_log(self.transport, job_id, attempt=attempt, tail=tail, follow=follow)

    # -- sweeps

    def submit_sweep(self, sweep: Spec) -> Sweep:
        """Submit many jobs at once: a base, rows and axes, as the body of POST /v1/sweeps."""
        return parse_response(Sweep, self.transport.post("sweeps", _body(sweep)))

    def dry_run_sweep(self, sweep: Spec) -> SweepDryRun:
        """Validate every job of a sweep, without submitting any."""
        response = self.transport.post("sweeps", _body(sweep), {"dry_run": True})
        return parse_response(SweepDryRun, response)

    def sweep(self, sweep_id: str) -> Sweep:
        """Return one sweep."""
        return parse_response(Sweep, self.transport.get(_sweep_path(sweep_id)))

    def sweeps(self) -> Iterator[Sweep]:
        """Iterate over all sweeps."""
        return self._pages("sweeps", Page[Sweep])

    def wait_sweep(
        self, sweep_id: str, on_update: Callable[[Sweep], None] = lambda _: None
    ) -> Sweep:
        """Return the sweep once all of its jobs have ended.

        ``on_update`` is called with the sweep every few seconds.
        """
        while True:
            sweep = self.sweep(sweep_id)
            on_update(sweep)
            if sweep.terminal:
                return sweep
            time.sleep(events.POLL_SECONDS)

    def cancel_sweep(self, sweep_id: str) -> Sweep:
        """Cancel every job of a sweep that has not ended."""
        return parse_response(Sweep, self.transport.post(f"{_sweep_path(sweep_id)}/cancel"))

    def table(self, sweep_id: str, network: str = "best") -> SweepTable:
        """Return mean and standard deviation over the seeds, a line for each combination.

        Jobs that have not succeeded yet are left out.
        """
        params = {"network": network}
        response = self.transport.get(f"{_sweep_path(sweep_id)}/table", params)
        return parse_response(SweepTable, response)

    def table_text(self, sweep_id: str, format: str, network: str = "best") -> str:
        """Return the same table as text, in the format md, csv or tex."""
        params = {"network": network, "format": format}
        return self.transport.get(f"{_sweep_path(sweep_id)}/table", params).text

    # -- results

    def compare(
        self,
        *job_ids: str,
        base: str | None = None,
        network: str = "best",
        per_class: bool = False,
    ) -> Comparison:
        """Compare 2 to 300 jobs: settings that differ, and accuracies by threat model.

        Each accuracy is compared to that of ``base``, by default the first job.
        """
        params = _comparison_params(job_ids, base, network) | {"per_class": per_class}
        return parse_response(Comparison, self.transport.get("compare", params))

    def compare_text(
        self, *job_ids: str, format: str, base: str | None = None, network: str = "best"
    ) -> str:
        """Return the same comparison as text, in the format csv, md or tex."""
        params = _comparison_params(job_ids, base, network) | {"format": format}
        return self.transport.get("compare", params).text

    def leaderboard(self, **filters: str | float | None) -> Leaderboard:
        """Return the project's models, ranked by data set and threat model.

        Filters: dataset (an id or a name), norm (linf or l2), radius (such as "8/255"), attack
        (what to rank by, such as pgd-20), limit (models in each section).
        """
        params = _leaderboard_params(filters)
        return parse_response(Leaderboard, self.transport.get("leaderboard", params))

    def leaderboard_text(self, format: str, **filters: str | float | None) -> str:
        """Return the same leaderboard as text, in the format csv, md or tex."""
        params = _leaderboard_params(filters) | {"format": format}
        return self.transport.get("leaderboard", params).text

    def metrics(
        self,
        job_id: str,
        names: Sequence[str] = (),
        points: int | None = None,
        *,
        first_step: int | None = None,
        last_step: int | None = None,
    ) -> Metrics:
        """Return a job's training metrics, at most ``points`` of each series.

        ``first_step`` and ``last_step``, both included, bound the steps.
        """
        params: dict[str, str | int | bool | list[str]] = {}
        if names:
            params["names"] = ",".join(names)
        for key, value in (
            ("points", points),
            ("first_step", first_step),
            ("last_step", last_step),
        ):
            if value is not None:
                params[key] = value
        return parse_response(Metrics, self.transport.get(f"{_job_path(job_id)}/metrics", params))

    def report(self, job_id: str) -> dict[str, Any]:
        """Return a job's report, whose JSON Schema is at /v1/schemas/report."""
        response = self.transport.get(f"{_job_path(job_id)}/report", {"format": "json"})
        report: dict[str, Any] = response.json()
        return report

    def report_page(self, job_id: str, format: Literal["md", "html", "json"]) -> str:
        """Return a job's report as text; the HTML has its figures inside."""
        response = self.transport.get(f"{_job_path(job_id)}/report", {"format": format})
        return response.content.decode("utf-8")

    def artifacts(self, job_id: str) -> list[Artifact]:
        """Return the list of files that a job has published."""
        return list(self._pages(f"{_job_path(job_id)}/artifacts", Page[Artifact]))

    def download(
        self, job_id: str, folder: Path | str, names: Sequence[str] | None = None
    ) -> list[Path]:
        """Download the job's files, or those of ``names``; without names, no checkpoints.

        A file that is already in the folder is not fetched again; a partial one is resumed. Also
        raises CorruptDownload.
        """
        artifacts = {artifact.name: artifact for artifact in self.artifacts(job_id)}
        if names is None:
            names = [name for name, artifact in artifacts.items() if artifact.kind != "checkpoint"]
        missing = [name for name in names if name not in artifacts]
        if missing:
            available = ", ".join(artifacts) or "no files yet"
            raise ClientError(f"{job_id} has no {', '.join(missing)}; it has {available}.")
        path = f"{_job_path(job_id)}/artifacts"
        return [
            downloads.download(self.transport, f"{path}/{name}", artifacts[name], Path(folder))
            for name in names
        ]

    # -- models

    def upload_model(
        self,
        path: Path | str,
        name: str | None,
        network: Spec,
        classes: int,
        *,
        series: str | None = None,
        channels: int = 3,
        height: int = 32,
        width: int = 32,
        state_dict: str | None = None,
    ) -> Model:
        """Upload a checkpoint (safetensors, or written by torch.save) to be imported.

        ``network`` is written as in a job's spec: ``{"architecture": "resnet18"}``. ``series``: of
        which it will be the next version, by default that of its name; then ``name`` may be None.
        ``state_dict``: the key of one of several state dicts in the file; by default the service
        chooses.
        """
        body = {
            **({} if series is None else {"series": series}),
            "name": name,
            "network": _body(network),
            "classes": classes,
            "channels": channels,
            "height": height,
            "width": width,
            "state_dict": state_dict,
            "sha256": downloads.sha256_of(Path(path)),
        }
        return self._models.upload(body, Path(path))

    def model(self, reference: str) -> Model:
        """Return one model, by id or name."""
        return self._models.get(reference)

    def wait_model(self, reference: str) -> Model:
        """Return the model once it is ready. Raises DistillProblem if it was refused."""
        return self._models.wait(reference)

    def models(
        self,
        *,
        series: str | None = None,
        alias: str | None = None,
        q: str | None = None,
        sort: str | None = None,
        results: Mapping[str, str] | None = None,
    ) -> Iterator[Model]:
        """Iterate over all models, or over those of a series or with an alias.

        ``q``, ``sort`` and ``results`` as those of ``jobs``.
        """
        filters = {"series": series, "alias": alias, "q": q, "sort": sort}
        params = {name: value for name, value in filters.items() if value is not None}
        return self._pages("models", Page[Model], {**params, **_result_params(results)})

    def update_model(
        self, reference: str, changes: Mapping[str, Any], *, if_match: str | None = None
    ) -> Model:
        """Change a model's name, notes or metadata, as ``update_job`` does a job's."""
        return self._models.edit(reference, changes, if_match)

    def set_alias(self, series: str, alias: str, model: str) -> Model:
        """Let an alias of a series mean one of its models, and return that model."""
        path = _alias_path(series, alias)
        return parse_response(Model, self.transport.send("PUT", path, body={"model": model}))

    def remove_alias(self, series: str, alias: str) -> Model:
        """Remove an alias of a series, and return the model that it meant."""
        return parse_response(Model, self.transport.send("DELETE", _alias_path(series, alias)))

    def lineage(
        self, reference: str, *, generations: int | None = None, max_nodes: int | None = None
    ) -> Lineage:
        """Return what a model was made from, and what was made from it.

        ``generations``: how many jobs to follow upward and downward.
        """
        bounds = {"generations": generations, "max_nodes": max_nodes}
        params = {name: value for name, value in bounds.items() if value is not None}
        path = f"models/{quote(reference, safe='')}/lineage"
        return parse_response(Lineage, self.transport.get(path, params))

    def delete_model(self, reference: str) -> Model:
        """Delete a model, by id or name."""
        return self._models.delete(reference)

    def restore_model(self, model_id: str) -> Model:
        """Undo ``delete_model``, as long as the service still has the model."""
        return self._models.restore(model_id)

    # -- data sets

    def upload_dataset(
        self,
        path: Path | str,
        name: str,
        *,
        image_size: int | None = None,
        classes: Sequence[str] | None = None,
        every: int | None = None,
    ) -> Dataset:
        """Upload an archive of images, or an .npz, to be imported.

        With ``image_size`` the images stay encoded until they are used. ``classes`` lists the
        classes to keep, in the order of their labels (of an .npz: their names); ``every=10`` keeps
        the 1st, 11th, 21st, ... of the sorted list.
        """
        body = {"name": name, "sha256": downloads.sha256_of(Path(path))}
        return self._datasets.upload(
            body | _reading_options(image_size, classes, every), Path(path)
        )

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
        """Import an entry of the operator's data folder, or have cifar10 or cifar100 downloaded.

        The other options are those of ``upload_dataset``.
        """
        body = {"name": name, "folder": folder, "download": download}
        response = self.transport.post(
            "datasets", body | _reading_options(image_size, classes, every)
        )
        return parse_response(Dataset, response)

    def dataset(self, reference: str) -> Dataset:
        """Return one data set, by id or name."""
        return self._datasets.get(reference)

    def wait_dataset(self, reference: str) -> Dataset:
        """Return the data set once it is ready. Raises DistillProblem if it was refused."""
        return self._datasets.wait(reference)

    def datasets(self) -> Iterator[Dataset]:
        """Iterate over all data sets."""
        return self._pages("datasets", Page[Dataset])

    def dataset_images(
        self, reference: str, class_name: str | None = None, per_class: int | None = None
    ) -> Iterator[DatasetImage]:
        """Iterate over some images of a data set, class by class, training images first.

        They are of one class if ``class_name`` is given; ``per_class`` limits those of each class.
        """
        params: dict[str, str | int | bool | list[str]] = {}
        if class_name is not None:
            params["class"] = class_name
        if per_class is not None:
            params["per_class"] = per_class
        path = f"datasets/{quote(reference, safe='')}/images"
        return self._pages(path, Page[DatasetImage], params)

    def dataset_picture(self, reference: str, image: DatasetImage) -> bytes:
        """Return the picture that shows the image, and others, as a WebP file."""
        name = image.url.rpartition("/")[2]
        path = f"datasets/{quote(reference, safe='')}/images/{quote(name, safe='')}"
        return self.transport.get(path).content

    def update_dataset(
        self, reference: str, changes: Mapping[str, Any], *, if_match: str | None = None
    ) -> Dataset:
        """Change a data set's name, notes or metadata, as ``update_job`` does a job's."""
        return self._datasets.edit(reference, changes, if_match)

    def delete_dataset(self, reference: str) -> Dataset:
        """Delete a data set, by id or name."""
        return self._datasets.delete(reference)

    def restore_dataset(self, dataset_id: str) -> Dataset:
        """Undo ``delete_dataset``, as long as the service still has the data set."""
        return self._datasets.restore(dataset_id)

    # -- the catalogue

    def architectures(self) -> list[Architecture]:
        """Return every network architecture."""
        return parse_response(Page[Architecture], self.transport.get("architectures")).data

    def methods(self) -> list[Method]:
        """Return every training method."""
        return parse_response(Page[Method], self.transport.get("methods")).data

    def examples(self) -> list[Example]:
        """Return example jobs, and the sweeps of the paper's tables and figures."""
        return parse_response(Page[Example], self.transport.get("examples")).data

    def schema(self, name: Literal["job", "sweep", "report"]) -> dict[str, Any]:
        """Return the JSON Schema of a job's or a sweep's spec, or of a report."""
        schema: dict[str, Any] = self.transport.get(f"schemas/{name}").json()
        return schema

    def storage(self) -> Storage:
        """Return how much the project stores, by kind, and the space that is left."""
        return parse_response(Storage, self.transport.get("storage"))

    # -- workers: only with a key of scope operator

    def workers(self) -> Iterator[Worker]:
        """Iterate over all workers."""
        return self._pages("workers", Page[Worker])

    def drain(self, worker: str) -> Worker:
        """Let a worker finish its jobs and claim no more, while it keeps running."""
        return parse_response(Worker, self.transport.post(f"{_worker_path(worker)}/drain"))

    def undrain(self, worker: str) -> Worker:
        """Let a worker claim jobs again."""
        return parse_response(Worker, self.transport.post(f"{_worker_path(worker)}/undrain"))

    # -- API keys

    def keys(self) -> Iterator[Key]:
        """Iterate over all API keys, without their secrets."""
        return self._pages("keys", Page[Key])

    def create_key(
        self, name: str, scopes: Sequence[str], expires_in_days: int | None = None
    ) -> NewKey:
        """Create an API key. Raises ClientError if its secret was lost on the way."""
        body = {"name": name, "scopes": list(scopes), "expires_in_days": expires_in_days}
        key = parse_response(NewKey, self.transport.post("keys", body))
        if key.secret is None:
            raise ClientError(
                f"Key {key.id} was created, but its secret was lost on the way: "
                "revoke it and create another."
            )
        return key

    def revoke_key(self, key_id: str) -> None:
        """Revoke an API key."""
        self.transport.send("DELETE", f"keys/{quote(key_id, safe='')}")

    # -- sessions of the dashboard

    def session(self) -> Session:
        """Return who this client is: its project, its API key, and the key's scopes."""
        return parse_response(Session, self.transport.get("session"))

    def sign_in_address(self) -> str:
        """Return an address that signs a browser in to the dashboard, once, within ten minutes.

        Raises ClientError if its token was lost on the way.
        """
        response = parse_response(SignInToken, self.transport.post("session/tokens"))
        if response.token is None:
            raise ClientError("A sign-in address was made, but lost on the way; make another.")
        return f"{self.url}/sign-in#token={response.token}"

    # -- projects and the audit log

    def projects(self) -> Iterator[Project]:
        """Iterate over all projects."""
        return self._pages("projects", Page[Project])

    def create_project(self, name: str) -> NewProject:
        """Create a project with its first key. Raises ClientError if its secret was lost."""
        project = parse_response(NewProject, self.transport.post("projects", {"name": name}))
        if project.key.secret is None:
            raise ClientError(
                f"Project {project.id} was created, but the secret of its key was lost on the way."
            )
        return project

    def audit(self, **filters: str | None) -> Iterator[AuditEntry]:
        """Iterate over the audit log, newest entries first.

        Filters: action, such as "POST /v1/jobs"; key, an id; since, a time in RFC 3339.
        """
        params = {name: value for name, value in filters.items() if value}
        return self._pages("audit", Page[AuditEntry], params)

    def _pages(
        self, path: str, model: type[Page[ItemT]], params: Params | None = None
    ) -> Iterator[ItemT]:
        """Yield the items of every page, fetching each page when it is needed."""
        query = {**(params or {}), "limit": PAGE_SIZE}
        while True:
            page = parse_response(model, self.transport.get(path, query))
            yield from page.data
            if page.next_cursor is None:
                return
            query["after"] = page.next_cursor


def _result_params(results: Mapping[str, str] | None) -> dict[str, str | list[str]]:
    return {f"result[{key}]": bounds for key, bounds in (results or {}).items()}


def _comparison_params(
    job_ids: Sequence[str], base: str | None, network: str
) -> dict[str, str | int | bool | list[str]]:
    params: dict[str, str | int | bool | list[str]] = {"jobs": ",".join(job_ids)}
    params["network"] = network
    return params if base is None else {**params, "base": base}


def _leaderboard_params(
    filters: Mapping[str, str | float | None],
) -> dict[str, str | int | bool | list[str]]:
    return {name: str(value) for name, value in filters.items() if value is not None}


def _job_path(job_id: str) -> str:
    return f"jobs/{quote(job_id, safe='')}"


def _sweep_path(sweep_id: str) -> str:
    return f"sweeps/{quote(sweep_id, safe='')}"


def _alias_path(series: str, alias: str) -> str:
    return f"models/{quote(series, safe='')}/aliases/{quote(alias, safe='')}"


def _worker_path(name: str) -> str:
    return f"workers/{quote(name, safe='')}"


def _reading_options(
    image_size: int | None, classes: Sequence[str] | None, every: int | None
) -> dict[str, Any]:
    """Return the fields of a request that say how a data set's files are read.

    Names of classes are in NFC, as the service compares them: macOS writes NFD.
    """
    return {
        "image_size": image_size,
        "classes": None if classes is None else [normalize("NFC", name) for name in classes],
        "every": every,
    }


def _body(spec: Spec) -> dict[str, Any]:
    return spec.model_dump(mode="json") if isinstance(spec, BaseModel) else dict(spec)
