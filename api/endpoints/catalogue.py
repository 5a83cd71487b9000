"""The architectures and methods to choose from, with their settings as JSON Schema."""

from functools import cache
from typing import get_args

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api.dependencies import After, Limit, Reader
from api.http.authenticated_route import AuthenticatedRoute
from api.representation import schemas
from api.representation.pagination import paginate
from core.jobspec.network import ARCHITECTURES
from core.jobspec.training.methods import METHODS, AdversarialTrainingMethodSettings
from core.reportspec.report import Report

router = APIRouter(prefix="/v1", tags=["catalogue"], route_class=AuthenticatedRoute)


class SchemaResponse(JSONResponse):
    media_type = "application/schema+json"


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


@router.get(
    "/schemas/report",
    response_class=SchemaResponse,
    responses={200: {"content": {SchemaResponse.media_type: {"schema": {"type": "object"}}}}},
)
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
