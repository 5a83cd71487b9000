"""Models, their aliases and lineage."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from distill_client import downloads
from distill_client.client.base import Requests, Spec, request_body, result_params
from distill_client.responses import Lineage, Model, Page, parse_response
from distill_client.uploads import UploadCollection


class ModelRequests(Requests):
    """Requests about models."""

    @property
    def _models(self) -> UploadCollection[Model]:
        return UploadCollection(self.transport, "models", Model)

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
            "network": request_body(network),
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
        deleted: bool = False,
    ) -> Iterator[Model]:
        """Iterate over all models, or over those of a series or with an alias.

        ``q``, ``sort``, ``results`` and ``deleted`` as those of ``jobs``.
        """
        filters = {
            "series": series,
            "alias": alias,
            "q": q,
            "sort": sort,
            "deleted": deleted or None,
        }
        params = {name: value for name, value in filters.items() if value is not None}
        return self._pages("models", Page[Model], {**params, **result_params(results)})

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


def _alias_path(series: str, alias: str) -> str:
    return f"models/{quote(series, safe='')}/aliases/{quote(alias, safe='')}"
