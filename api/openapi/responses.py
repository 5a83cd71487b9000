"""What openapi.json says in addition to the types: problems, headers, links, examples."""

from http import HTTPStatus
from typing import Any

from api.http.problems import MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]

_WHEN = {
    400: "The request is malformed: its body is not JSON, or is nested too deeply",
    401: "The API key is missing or not valid",
    403: "The API key lacks the required scope",
    404: "The API key's project has no such resource",
    405: "The method is not allowed at this address",
    408: "The body did not arrive in time",
    409: "The current state does not allow the request",
    412: "Changed since the response whose ETag If-Match names",
    413: "The body is too large",
    415: "The media type of the body is not supported",
    416: "The file has no such byte range",
    422: "The request is invalid: `errors` has one entry per field",
    429: "Too many requests; try again after `Retry-After` seconds",
    500: "The service failed",
    503: "A part of the service is unavailable; try again after `Retry-After` seconds",
    507: "The disk of the object store is full",
}
ETAG = {"ETag": {"schema": {"type": "string"}}}


def problems(*statuses: int) -> Responses:
    """Describe the problems of an endpoint beyond those that every endpoint has."""
    return {status: problem(status) for status in statuses}


def problem(status: int) -> dict[str, Any]:
    """Describe the problem document of one status."""
    response: dict[str, Any] = {
        "description": _WHEN.get(status, HTTPStatus(status).phrase),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in {429, 503}:
        response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "required": True}}
    if status == 401:
        response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}, "required": True}}
    return response


def created(location: str, parameter: str, *operations: str) -> Responses:
    """Describe a 201 with its Location.

    ``operations`` are linked: they take the new resource's id as their path ``parameter``.
    """
    header = {"schema": {"type": "string"}, "description": location, "required": True}
    links = {
        name: {"operationId": name, "parameters": {parameter: "$response.body#/id"}}
        for name in operations
    }
    replayed = {
        "schema": {"type": "string"},
        "description": "`true` if the Idempotency-Key was used before: this response is a replay, "
        "and nothing was done",
    }
    headers = {"Location": header, "Idempotency-Replayed": replayed}
    return {201: {"description": "Created", "headers": headers, "links": links}}


def any_body(description: str, *media_types: str) -> dict[str, Any]:
    """Describe a body of any schema."""
    return {"description": description, "content": {media_type: {} for media_type in media_types}}


COOKIE_SET: Responses = {
    201: {
        "description": "Signed in",
        "headers": {
            "Set-Cookie": {
                "schema": {"type": "string"},
                "description": "The session, HttpOnly and SameSite=Strict",
                "required": True,
            }
        },
    }
}
COOKIE_CLEARED: Responses = {
    204: {
        "description": "Signed out",
        "headers": {"Set-Cookie": {"schema": {"type": "string"}, "required": True}},
    },
    **problems(404),
}
REDIRECT: Responses = {
    303: {
        "description": "The browser goes on to Location",
        "headers": {
            "Location": {"schema": {"type": "string"}, "required": True},
            "Set-Cookie": {"schema": {"type": "string"}},
        },
    }
}

NOT_MODIFIED: Responses = {
    304: {"description": "Not modified: If-None-Match names the current ETag", "headers": ETAG}
}

MERGE_PATCH: dict[str, Any] = {
    "requestBody": {"content": {"application/merge-patch+json": {"schema": {"type": "object"}}}}
}
"""The same body may be sent under the media type of JSON merge patches (RFC 7396)."""

DOWNLOAD_RESPONSES: Responses = {
    200: {
        **any_body("The complete file", "*/*"),
        "headers": {
            **ETAG,
            "Accept-Ranges": {"schema": {"type": "string"}},
            "Repr-Digest": {
                "schema": {"type": "string"},
                "description": "SHA-256 of the complete file (RFC 9530)",
            },
            "Content-Disposition": {"schema": {"type": "string"}},
        },
    },
    206: {
        **any_body("The part of the file that Range requests", "*/*"),
        "headers": {"Content-Range": {"schema": {"type": "string"}}},
    },
    307: {
        "description": "The file is at the object store, at Location",
        "headers": {"Location": {"schema": {"type": "string"}}},
    },
    **NOT_MODIFIED,
    **problems(404, 416),
}

UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

METADATA_FILTER: dict[str, Any] = {
    "name": "metadata",
    "in": "query",
    "required": False,
    "style": "deepObject",
    "explode": True,
    "description": "`metadata[key]=value`: jobs with this entry in their metadata. "
    "With several, jobs that have all of them.",
    "schema": {
        "type": "object",
        "propertyNames": {"pattern": "^[A-Za-z0-9_.-]{1,64}$"},
        "additionalProperties": {"type": "string", "maxLength": 200},
    },
}

RESULT_FILTER: dict[str, Any] = {
    "name": "result",
    "in": "query",
    "required": False,
    "style": "deepObject",
    "explode": True,
    "description": "`result[key]>=0.5`: only those with such a result; also `<=`, `>` and `<`, or "
    "two bounds with a comma, `result[key]=>=0.4,<0.5`. The key is that of a measure, such as "
    "`autoattack@linf:8/255`; of jobs, it is of the best student or the evaluated model, and "
    "`last:autoattack@linf:8/255` of the last epoch's student. In an address, write # as %23.",
    "schema": {
        "type": "object",
        "propertyNames": {"maxLength": 210},
        "additionalProperties": {"type": "string", "maxLength": 100},
    },
}

JOB_EXAMPLES: Any = {
    "starship": {
        "summary": "STARSHIP into a MobileNetV2",
        "value": {
            "kind": "distillation",
            "name": "mobilenet from wrn",
            "metadata": {"team": "vision"},
            "teacher": "wrn-34-10-trades",
            "student": {"architecture": "mobilenet_v2", "normalization": "cifar10"},
            "data": {"dataset": "cifar10"},
            "method": {"name": "starship", "adaptive": False},
            "adversary": {"name": "pgd", "radius": "8/255", "step_size": "2/255", "steps": 10},
            "schedule": {"epochs": 200, "batch_size": 128},
            "seed": 0,
        },
    },
    "teacher": {
        "summary": "A small robust teacher on the built-in digits",
        "value": {
            "kind": "adversarial_training",
            "student": {"architecture": "small_cnn", "width": 32},
            "data": {"dataset": "digits"},
            "method": {"name": "trades", "beta": 6.0},
            "schedule": {"epochs": 20, "batch_size": 64, "learning_rate": 0.05},
        },
    },
}
JOB_EXAMPLES["evaluation"] = {
    "summary": "AutoAttack on an existing model",
    "value": {
        "kind": "evaluation",
        "model": "wrn-34-10-trades",
        "data": {"dataset": "cifar10"},
        "radius": "8/255",
        "evaluation": {"attacks": [{"name": "autoattack"}], "analyses": [{"name": "calibration"}]},
    },
}
SWEEP_EXAMPLES: Any = {
    "methods and seeds": {
        "summary": "Three methods, three seeds each: nine jobs, a table of three lines",
        "value": {
            "name": "methods on digits",
            "base": {
                "kind": "distillation",
                "teacher": "digits-teacher",
                "student": {"architecture": "small_cnn", "width": 4},
                "data": {"dataset": "digits", "held_out": 0.1},
                "adversary": {"name": "pgd", "radius": 0.15, "step_size": 0.0375},
                "schedule": {"epochs": 20},
            },
            "axes": {"method": ["starship", "rslad", "adaad"], "seed": [0, 1, 2]},
        },
    },
    "rows": {
        "summary": "Named rows, for jobs that differ in more than one field",
        "value": {
            "base": {
                "kind": "distillation",
                "teacher": "wrn-34-10-trades",
                "student": {"architecture": "mobilenet_v2"},
                "data": {"dataset": "cifar10"},
            },
            "rows": [
                {"name": "ARKD", "changes": {"method": {"name": "arkd"}}},
                {
                    "name": "without FCA",
                    "changes": {"method": {"name": "starship", "covariance": {"weight": 0}}},
                },
            ],
            "axes": {"seed": [0, 1, 2]},
        },
    },
}
DATASET_EXAMPLES: Any = {
    "archive": {
        "summary": "An archive of class folders, or an .npz file, to be uploaded",
        "value": {"name": "birds"},
    },
    "imagenet-100": {
        "summary": "Every tenth class of the operator's ImageNet, stored encoded, used at 224 "
        "pixels",
        "value": {"name": "imagenet-100", "folder": "imagenet", "image_size": 224, "every": 10},
    },
    "chosen classes": {
        "summary": "Two classes, labeled in this order",
        "value": {"name": "pets", "folder": "animals", "classes": ["dog", "cat"]},
    },
}
CLONE_EXAMPLES: Any = {
    "another seed": {"value": {"name": "second run", "seed": 1}},
    "another method": {
        "summary": "An object that changes its kind is replaced, not merged",
        "value": {"method": {"name": "arkd"}},
    },
}
