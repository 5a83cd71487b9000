"""What every refusal has in common: a problem document that shows nothing of the machine."""

import json
from pathlib import Path

import httpx2

from tests.intruders.raw_client import RawResponse

CANARY = "canary-4d1f0c9a77"
"""Content of files that no response may contain."""
PROBLEM_FIELDS = {
    "type",
    "title",
    "status",
    "detail",
    "instance",
    "code",
    "param",
    "request_id",
    "errors",
}


def assert_problem(response: RawResponse | httpx2.Response, *codes: str) -> None:
    """Assert that this is a problem document with one of the codes (any, if none is named).

    It contains no traceback and no path of this machine.
    """
    if isinstance(response, RawResponse):
        status = response.status
        text = response.body.decode()
    else:
        status = response.status_code
        text = response.text
    assert 400 <= status < 500, (status, text[:500])
    assert response.headers["content-type"] == "application/problem+json"
    problem = json.loads(text)
    assert set(problem) == PROBLEM_FIELDS, problem
    assert problem["status"] == status
    assert not codes or problem["code"] in codes, problem
    assert_no_internals(text)


def assert_no_internals(text: str) -> None:
    """Assert that the text contains no traceback, path, canary or name of the database."""
    for internal in (
        "Traceback",
        'File "',
        "site-packages",
        "/tmp/",
        "/home/",
        str(Path.cwd()),
        CANARY,
        "sqlite",
        "psycopg",
    ):
        assert internal not in text, (internal, text[:500])
