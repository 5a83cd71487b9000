"""What there is to choose from: architectures and methods, with their settings as JSON Schema."""

from functools import cache
from typing import Any, get_args

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api.dependencies import After, Limit, Reader
from api.http import pagination
from api.http.authenticated_route import AuthenticatedRoute
from api.representation import schemas
from core.jobspec.network import ARCHITECTURES
from core.jobspec.training.methods import METHODS, TrainingMethodSettings
from core.reportspec.report import Report

router = APIRouter(prefix="/v1", tags=["catalogue"], route_class=AuthenticatedRoute)


class SchemaResponse(JSONResponse):
    media_type = "application/schema+json"


_TRAINING = get_args(get_args(TrainingMethodSettings)[0])


@router.get("/architectures")
def list_architectures(
    caller: Reader, limit: Limit = 50, after: After = None
) -> schemas.Page[schemas.ArchitectureResponse]:
    """Networks that can be students, or teachers."""
    return pagination.paginate(_architectures(), after, limit)


@cache
def _architectures() -> list[schemas.ArchitectureResponse]:
    return [
        schemas.ArchitectureResponse(
            name=name,
            title=facts.title,
            channels=list(facts.channels),
            smallest_side=facts.smallest_side,
            features=facts.features,
            parameters_10_classes=facts.parameters(10),
            settings=facts.settings.model_json_schema(),
        )
        for name, facts in ARCHITECTURES.items()
    ]


@router.get(
    "/schemas/report",
    response_class=SchemaResponse,
    responses={200: {"content": {SchemaResponse.media_type: {"schema": {"type": "object"}}}}},
)
def get_report_schema(caller: Reader) -> Any:
    """The JSON Schema (2020-12) of `report.json`."""
    return SchemaResponse(Report.json_schema())


@router.get("/methods")
def list_methods(
    caller: Reader, limit: Limit = 50, after: After = None
) -> schemas.Page[schemas.MethodResponse]:
    """Ways to train a student, from a teacher or without one."""
    return pagination.paginate(_methods(), after, limit)


@cache
def _methods() -> list[schemas.MethodResponse]:
    return [
        schemas.MethodResponse(
            name=name,
            kind="adversarial_training" if settings in _TRAINING else "distillation",
            summary=(settings.__doc__ or "").strip().split("\n")[0],
            settings=settings.model_json_schema(),
        )
        for name, settings in METHODS.items()
    ]
