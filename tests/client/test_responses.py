"""The client's response models against the service's OpenAPI document.

Each model may leave fields out and may accept more than the service sends, but whatever the service
sends must be accepted, and enumerations must be the same.
"""

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from api.app import create_app
from api.representation import (
    attempts,
    comparisons,
    dataset_images,
    job_lists,
    lineage,
    project_events,
    schemas,
    sessions,
)
from api.representation.service import installation, storage
from api.representation.submission import dry_run, examples
from core import hardware
from core.jobspec.status import STATUSES, TERMINAL
from core.reportspec import accuracies, comparison, leaderboard, measures, report, table
from distill_client import responses
from distill_client.responses import JobStatus, ResponseModel

Schema = dict[str, Any]
Document = dict[str, Any]

COMPONENTS: dict[type[ResponseModel], list[type[BaseModel]]] = {
    responses.Architecture: [schemas.ArchitectureResponse],
    responses.Artifact: [schemas.ArtifactResponse],
    responses.Attempt: [attempts.AttemptResponse],
    responses.AuditEntry: [schemas.AuditEntryResponse],
    responses.Dataset: [schemas.DatasetResponse],
    responses.DatasetImage: [dataset_images.DatasetImageResponse],
    responses.Device: [hardware.Device],
    responses.DryRun: [dry_run.DryRunResponse],
    responses.Editable: [
        schemas.JobResponse,
        schemas.JobSummaryResponse,
        schemas.ModelResponse,
        schemas.DatasetResponse,
    ],
    responses.Estimate: [dry_run.Estimate],
    responses.Event: [schemas.EventResponse],
    responses.Example: [examples.ExampleResponse],
    responses.ExampleJob: [examples.ExampleJob],
    responses.Failure: [schemas.Failure],
    responses.AccuracyValue: [accuracies.AccuracyValue],
    responses.ComparedJob: [comparisons.ComparedJob],
    responses.ComparedSetting: [comparison.ComparedSetting],
    responses.ComparedSettings: [comparison.ComparedSettings],
    responses.Comparison: [comparisons.ComparisonResponse],
    responses.ComparisonRow: [comparison.ComparisonRow],
    responses.ComparisonSection: [comparison.ComparisonSection],
    responses.DifferenceValue: [accuracies.DifferenceValue],
    responses.Interval: [schemas.Interval],
    responses.Leaderboard: [leaderboard.Leaderboard],
    responses.LeaderboardRow: [leaderboard.LeaderboardRow],
    responses.LeaderboardSection: [leaderboard.LeaderboardSection],
    responses.ModelResult: [schemas.ModelResult],
    responses.RankRange: [leaderboard.RankRange],
    responses.ThreatModelDescription: [report.ThreatModelDescription],
    responses.Job: [schemas.JobResponse, schemas.JobSummaryResponse],
    responses.JobCounts: [job_lists.JobCountsResponse],
    responses.JobSeries: [comparisons.JobSeries],
    responses.ComparedMetrics: [comparisons.ComparedMetricsResponse],
    responses.JobProgress: [schemas.JobProgress],
    responses.JobWarning: [schemas.JobWarning],
    responses.ItemState: [project_events.ItemState],
    responses.Key: [schemas.KeyResponse],
    responses.LogLine: [attempts.LogLineResponse],
    responses.LogSummary: [attempts.LogSummary],
    responses.Lineage: [lineage.LineageResponse],
    responses.LineageEdge: [lineage.LineageEdge],
    responses.LineageNode: [lineage.LineageNode],
    responses.Measure: [measures.Measure],
    responses.Method: [schemas.MethodResponse],
    responses.MetricSeries: [schemas.MetricSeries],
    responses.Metrics: [schemas.MetricsResponse],
    responses.Model: [schemas.ModelResponse],
    responses.NewKey: [schemas.NewKeyResponse],
    responses.NewProject: [schemas.NewProjectResponse],
    responses.Page: [schemas.Page[schemas.ModelResponse], job_lists.JobPage],
    responses.ProjectEvent: [project_events.ProjectEventResponse],
    responses.Project: [schemas.ProjectResponse],
    responses.ListedSession: [sessions.ListedSessionResponse],
    responses.Installation: [installation.ServiceResponse],
    responses.Session: [sessions.SessionResponse],
    responses.SignInToken: [sessions.SignInTokenResponse],
    responses.Sweep: [schemas.SweepResponse, schemas.SweepSummaryResponse],
    responses.SweepCell: [table.TableCell],
    responses.SweepDryRun: [dry_run.SweepDryRunResponse],
    responses.SweepDryRunJob: [dry_run.SweepDryRunJob],
    responses.SweepEstimate: [dry_run.SweepEstimate],
    responses.Storage: [storage.StorageResponse],
    responses.StorageTotal: [storage.StorageTotal],
    responses.TimeEstimate: [dry_run.TimeEstimate],
    responses.MemoryEstimate: [dry_run.MemoryEstimate],
    responses.QueueEstimate: [dry_run.QueueEstimate],
    responses.Gpu: [hardware.Gpu],
    responses.Hardware: [hardware.Hardware],
    responses.SweepLine: [table.TableLine],
    responses.SweepTable: [table.Table],
    responses.Upload: [schemas.ModelResponse, schemas.DatasetResponse],
    responses.Worker: [schemas.WorkerResponse],
}
"""The service's classes that each model reads; their names are those of the OpenAPI components.

The first has all of the model's fields; another one may lack optional fields.
"""

CASES = [(model, component) for model, components in COMPONENTS.items() for component in components]


@pytest.fixture(scope="module")
def document() -> Document:
    return create_app().openapi()


def test_every_response_model_is_compared() -> None:
    modules = [
        import_module(f"{responses.__name__}.{module.name}")
        for module in pkgutil.iter_modules(responses.__path__)
    ]
    models = {
        value
        for module in modules
        for _, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, ResponseModel) and value is not ResponseModel
    }
    assert models == set(COMPONENTS)


@pytest.mark.parametrize(("model", "component"), CASES)
def test_model_reads_what_the_service_sends(
    document: Document, model: type[ResponseModel], component: type[BaseModel]
) -> None:
    client = model.model_json_schema()
    service = component_schema(document, component)
    path = component.__name__
    assert list(object_mismatches(Definitions(client, document), client, service, path)) == []


@pytest.mark.parametrize(("model", "components"), COMPONENTS.items())
def test_every_field_of_a_model_exists(
    document: Document, model: type[ResponseModel], components: list[type[BaseModel]]
) -> None:
    service = component_schema(document, components[0])
    assert model.model_json_schema()["properties"].keys() <= service["properties"].keys()


def component_schema(document: Document, component: type[BaseModel]) -> Schema:
    name = component.__name__.replace("[", "_").replace("]", "_")
    schema: Schema = document["components"]["schemas"][name]
    return schema


def test_job_statuses_are_those_of_the_service() -> None:
    assert get_args(JobStatus) == STATUSES
    assert responses.TERMINAL_STATUSES == TERMINAL


class Definitions:
    """Resolves the references of both sides."""

    def __init__(self, client: Schema, document: Document) -> None:
        self.client_definitions = client.get("$defs", {})
        self.components = document["components"]["schemas"]

    def of_client(self, schema: Schema) -> Schema:
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/$defs/")
            return self.of_client(self.client_definitions[name])
        return schema

    def of_service(self, schema: Schema) -> Schema:
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/components/schemas/")
            return self.of_service(self.components[name])
        return schema


def object_mismatches(
    definitions: Definitions, client: Schema, service: Schema, path: str
) -> Iterator[str]:
    """Yield the fields of an object that the client would not read."""
    service_required = service.get("required", [])
    required = client.get("required", [])
    for field, expected in client["properties"].items():
        actual = service["properties"].get(field)
        if field in required and field not in service_required:
            yield f"{path}.{field} is required by the client, but may be missing"
        if actual is None:
            continue
        yield from mismatches(definitions, expected, actual, f"{path}.{field}")
        if field in required and is_nullable(expected) and not is_nullable(actual):
            yield f"{path}.{field} may be None in the client, but never is"


def mismatches(
    definitions: Definitions, client: Schema, service: Schema, path: str
) -> Iterator[str]:
    """Yield what the service may send and the client would not accept."""
    client = definitions.of_client(client)
    service = definitions.of_service(service)
    if "type" not in client and "anyOf" not in client:
        return
    for alternative in alternatives(service):
        actual = definitions.of_service(alternative)
        errors = [
            list(alternative_mismatches(definitions, definitions.of_client(expected), actual, path))
            for expected in alternatives(client)
        ]
        if all(errors):
            yield from min(errors, key=len)


def alternative_mismatches(
    definitions: Definitions, client: Schema, service: Schema, path: str
) -> Iterator[str]:
    """Compare two definitions that are not unions."""
    types = {client["type"], "integer"} if client["type"] == "number" else {client["type"]}
    if service.get("type") not in types:
        yield f"{path} is {service.get('type')}, not {client['type']}"
    elif "enum" in client or "const" in client:
        if values(client) != values(service):
            yield f"{path} is one of {values(service)}, not of {values(client)}"
    elif client["type"] == "array":
        yield from array_mismatches(definitions, client, service, path)
    elif "properties" in client:
        yield from object_mismatches(definitions, client, service, path)
    elif isinstance(client.get("additionalProperties"), dict):
        service_values = service.get("additionalProperties", {})
        yield from mismatches(
            definitions, client["additionalProperties"], service_values, f"{path}.*"
        )


def array_mismatches(
    definitions: Definitions, client: Schema, service: Schema, path: str
) -> Iterator[str]:
    expected = client.get("prefixItems", [client.get("items", {})])
    actual = service.get("prefixItems", [service.get("items", {})])
    if len(expected) != len(actual):
        yield f"{path} has {len(actual)} items, not {len(expected)}"
    for client_item, service_item in zip(expected, actual, strict=False):
        yield from mismatches(definitions, client_item, service_item, f"{path}[]")


def alternatives(schema: Schema) -> list[Schema]:
    return schema.get("anyOf") or schema.get("oneOf") or [schema]


def values(schema: Schema) -> set[Any]:
    return set(schema.get("enum", [schema.get("const")]))


def is_nullable(schema: Schema) -> bool:
    return any(each.get("type") == "null" for each in alternatives(schema))


@pytest.mark.parametrize(
    ("client", "service"),
    [
        ({"type": "string"}, {"type": "integer"}),
        ({"type": "string"}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"enum": ["a"], "type": "string"}, {"enum": ["a", "b"], "type": "string"}),
        ({"enum": ["a", "b"], "type": "string"}, {"enum": ["a"], "type": "string"}),
        ({"enum": ["a"], "type": "string"}, {"type": "string"}),
        (
            {"type": "array", "items": {"type": "integer"}},
            {"type": "array", "items": {"type": "number"}},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            {"type": "object", "additionalProperties": {"type": "integer"}},
        ),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"type": "object", "properties": {"a": {"type": "string"}}},
        ),
    ],
)
def test_comparison_notices_a_difference(client: Schema, service: Schema) -> None:
    definitions = Definitions({}, {"components": {"schemas": {}}})
    assert list(mismatches(definitions, client, service, "field"))
    assert not list(mismatches(definitions, service, service, "field"))
