"""What jobs have measured and published: comparisons, metrics, reports, files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from distill_client import downloads
from distill_client.client.base import Requests, job_path
from distill_client.errors import ClientError
from distill_client.responses import (
    Artifact,
    ComparedMetrics,
    Comparison,
    Leaderboard,
    Metrics,
    Page,
    parse_response,
)


class ResultRequests(Requests):
    """Requests about results."""

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
        return parse_response(Metrics, self.transport.get(f"{job_path(job_id)}/metrics", params))

    def compare_metrics(
        self, *job_ids: str, names: Sequence[str], points: int | None = None
    ) -> ComparedMetrics:
        """Return the same metrics of up to 300 jobs, at most ``points`` of each series."""
        params: dict[str, str | int | bool | list[str]] = {
            "jobs": ",".join(job_ids),
            "names": ",".join(names),
        }
        if points is not None:
            params["points"] = points
        return parse_response(ComparedMetrics, self.transport.get("compare/metrics", params))

    def report(self, job_id: str) -> dict[str, Any]:
        """Return a job's report, whose JSON Schema is at /v1/schemas/report."""
        response = self.transport.get(f"{job_path(job_id)}/report", {"format": "json"})
        report: dict[str, Any] = response.json()
        return report

    def report_page(self, job_id: str, format: Literal["md", "html", "json"]) -> str:
        """Return a job's report as text; the HTML has its figures inside."""
        response = self.transport.get(f"{job_path(job_id)}/report", {"format": format})
        return response.content.decode("utf-8")

    def artifacts(self, job_id: str) -> list[Artifact]:
        """Return the list of files that a job has published."""
        return list(self._pages(f"{job_path(job_id)}/artifacts", Page[Artifact]))

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
        path = f"{job_path(job_id)}/artifacts"
        return [
            downloads.download(self.transport, f"{path}/{name}", artifacts[name], Path(folder))
            for name in names
        ]


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
