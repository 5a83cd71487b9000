"""What a job can be made of: architectures, methods, JSON Schemas, and examples to start from."""

from functools import cache
from typing import get_args

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api.dependencies import After, Limit, Reader
from api.http.authenticated_route import AuthenticatedRoute
from api.openapi.responses import Responses
from api.representation import schemas
from api.representation.pagination import paginate
from api.representation.submission.examples import ExampleResponse
from api.submission.examples import load_examples
from core.jobspec.job import submitted_schema
from core.jobspec.network import ARCHITECTURES
from core.jobspec.sweep import SweepSpec
from core.jobspec.training.methods import METHODS, AdversarialTrainingMethodSettings
from core.reportspec.report import Report

router = APIRouter(prefix="/v1", tags=["catalogue"], route_class=AuthenticatedRoute)


class SchemaResponse(JSONResponse):
    media_type = "application/schema+json"


SCHEMA: Responses = {200: {"content": {SchemaResponse.media_type: {"schema": {"type": "object"}}}}}
TRAINING_METHODS = get_args(get_args(AdversarialTrainingMethodSettings)[0])
"""Settings classes of the methods without a teacher: the members of an annotated union."""


@router.get("/architectures")
def list_architectures(
    caller: Reader, limit: Limit = 50, after: After = None
) -> schemas.Page[schemas.ArchitectureResponse]:
    """List the networks that can be students or teachers."""
    return paginate(_architectures(), after, limit)


@cache
def _architectures() -> list[schemas.ArchitectureResponse]:
    return [
        schemas.ArchitectureResponse(
            name=name,
            title=architecture.title,
            channels=list(architecture.channels),
            smallest_side=architecture.min_side,
            features=architecture.fixed_feature_width,
            parameters_10_classes=architecture.count_parameters(10),
            settings=architecture.settings.model_json_schema(),
        )
        for name, architecture in ARCHITECTURES.items()
    ]


@router.get("/examples")
def list_examples(
    caller: Reader, limit: Limit = 50, after: After = None
) -> schemas.Page[ExampleResponse]:
    """List example jobs, and the sweeps that make the tables and figures of the STARSHIP paper."""
    return paginate(load_examples(), after, limit)


@router.get("/schemas/job", response_class=SchemaResponse, responses=SCHEMA)
def get_job_schema(caller: Reader) -> SchemaResponse:
    """Get the JSON Schema (draft 2020-12) of the body of `POST /v1/jobs`.

    An editor of YAML files completes and checks a job by it.
    """
    return SchemaResponse(submitted_schema())


@router.get("/schemas/sweep", response_class=SchemaResponse, responses=SCHEMA)
def get_sweep_schema(caller: Reader) -> SchemaResponse:
    """Get the JSON Schema (draft 2020-12) of the body of `POST /v1/sweeps`."""
    return SchemaResponse(SweepSpec.model_json_schema())


@router.get("/schemas/report", response_class=SchemaResponse, responses=SCHEMA)
def get_report_schema(caller: Reader) -> SchemaResponse:
    """Get the JSON Schema (draft 2020-12) of `report.json`."""
    return SchemaResponse(Report.json_schema())


@router.get("/methods")
def list_methods(
    caller: Reader, limit: Limit = 50, after: After = None
) -> schemas.Page[schemas.MethodResponse]:
    """List the methods to train a student, with or without a teacher."""
    return paginate(_methods(), after, limit)


@cache
def _methods() -> list[schemas.MethodResponse]:
    return [
        schemas.MethodResponse(
            name=name,
            kind="adversarial_training" if settings in TRAINING_METHODS else "distillation",
            summary=" ".join((settings.__doc__ or "").split()),
            settings=settings.model_json_schema(),
        )
        for name, settings in METHODS.items()
    ]
