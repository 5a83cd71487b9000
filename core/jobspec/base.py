"""What every part of a spec has in common: frozen, unknown fields refused, finite numbers, "8/255" as a radius."""

import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema


class Spec(BaseModel):
    """Strict: a string is not a number, an unknown field is an error. Never edited after it was checked."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


FRACTION = r"^[0-9]{1,4}(\.[0-9]{1,6})?/[1-9][0-9]{0,4}$"


def _number_or_fraction(value: Any) -> Any:
    if isinstance(value, str):
        if not re.match(FRACTION, value):
            raise ValueError('a number or a fraction such as "8/255" is needed')
        return float(Fraction(value.split("/")[0]) / int(value.split("/")[1]))
    return value


def _schema(what: str, **bounds: float) -> WithJsonSchema:
    """Of a number with these bounds, or a fraction."""
    kinds = [{"type": "number", **bounds}, {"type": "string", "pattern": FRACTION}]
    return WithJsonSchema(
        {"anyOf": kinds, "description": f'{what}, as a number or a fraction such as "8/255"'},
        mode="validation",
    )


PixelDistance = Annotated[
    float,
    BeforeValidator(_number_or_fraction),
    Field(ge=0, le=1),
    _schema("a distance between pixel values in [0, 1]", minimum=0, maximum=1),
]

EpochCount = Annotated[int, Field(ge=0, le=10_000)]

Radius = Annotated[
    float,
    BeforeValidator(_number_or_fraction),
    Field(gt=0, le=64),
    _schema(
        "a distance above 0 between images with pixels in [0, 1]", exclusiveMinimum=0, maximum=64
    ),
]
