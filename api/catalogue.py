"""What there is to choose from: architectures and methods, with their settings as JSON Schema."""

from functools import cache
from typing import Any, get_args

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api import pages, schemas
from api.dependencies import After, Limit, Reader
from api.routes import KeyedRoute
from core.spec.method import METHODS, TrainingMethod
from core.spec.network import ARCHITECTURES
from core.spec.report import Report

router = APIRouter(prefix="/v1", tags=["catalogue"], route_class=KeyedRoute)


class SchemaResponse(JSONResponse):
    media_type = "application/schema+json"


_TRAINING = get_args(get_args(TrainingMethod)[0])


@router.get("/architectures")
def list_architectures(caller: Reader, limit: Limit = 50, after: After = None) -> schemas.Page[schemas.Architecture]:
    """Networks that can be students, or teachers."""
    return pages.cut(_architectures(), after, limit)


@cache
def _architectures() -> list[schemas.Architecture]:
    return [
        schemas.Architecture(
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
def list_methods(caller: Reader, limit: Limit = 50, after: After = None) -> schemas.Page[schemas.MethodInfo]:
    """Ways to train a student, from a teacher or without one."""
    return pages.cut(_methods(), after, limit)


@cache
def _methods() -> list[schemas.MethodInfo]:
    return [
        schemas.MethodInfo(
            name=name,
            kind="adversarial_training" if settings in _TRAINING else "distillation",
            summary=(settings.__doc__ or "").strip().split("\n")[0],
            settings=settings.model_json_schema(),
        )
        for name, settings in METHODS.items()
    ]
