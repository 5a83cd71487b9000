"""The base class of every part of a spec, and the number types that several parts share."""

import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema


class Spec(BaseModel):
    """A frozen, strictly validated model: no coercion, no unknown fields, finite numbers only."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


FRACTION_PATTERN = r"^[0-9]{1,4}(\.[0-9]{1,6})?/[1-9][0-9]{0,4}$"


def _parse_fraction(value: Any) -> Any:
    """Return "8/255" as a float, and anything that is not a string as it is."""
    if not isinstance(value, str):
        return value
    if not re.match(FRACTION_PATTERN, value):
        raise ValueError('expected a number or a fraction such as "8/255"')
    numerator, denominator = value.split("/")
    return float(Fraction(numerator) / int(denominator))


def _number_or_fraction_schema(description: str, **bounds: float) -> WithJsonSchema:
    """Return the JSON Schema of a number with these bounds, or of a fraction."""
    alternatives = [{"type": "number", **bounds}, {"type": "string", "pattern": FRACTION_PATTERN}]
    return WithJsonSchema(
        {
            "anyOf": alternatives,
            "description": f'{description}, as a number or a fraction such as "8/255"',
        },
        mode="validation",
    )


PixelDistance = Annotated[
    float,
    BeforeValidator(_parse_fraction),
    Field(ge=0, le=1),
    _number_or_fraction_schema("a distance between pixel values in [0, 1]", minimum=0, maximum=1),
]
"""A distance in L-infinity: pixels are in [0, 1]."""

Radius = Annotated[
    float,
    BeforeValidator(_parse_fraction),
    Field(gt=0, le=64),
    _number_or_fraction_schema(
        "a distance above 0 between images with pixels in [0, 1]", exclusiveMinimum=0, maximum=64
    ),
]
"""A distance in L-infinity or, over the whole image, in L2."""

EpochCount = Annotated[int, Field(ge=0, le=10_000)]
