"""Requests that ``Distill`` makes."""

from core.jobspec.job import parse_submitted
from distill_client import Distill
from tests.builders import distillation_body
from tests.client.fake_server import FakeServer, job, json_response, page_response


def test_unknown_fields_are_kept(server: FakeServer, service: Distill) -> None:
    server.respond("GET /v1/jobs/job_1", json_response(job(color="blue")))
    assert service.job("job_1").model_dump()["color"] == "blue"


def test_pydantic_spec_can_be_submitted(server: FakeServer, service: Distill) -> None:
    server.respond("POST /v1/jobs", json_response(job("queued"), 201))
    spec = parse_submitted(distillation_body())
    service.submit(spec)
    assert parse_submitted(server.requests[0].json) == spec


def test_lists_go_through_every_page(server: FakeServer, service: Distill) -> None:
    pages = [
        page_response(job(id="job_1"), next_cursor="c1"),
        page_response(job(id="job_2"), next_cursor="c2"),
        page_response(job(id="job_3")),
    ]
    server.respond("GET /v1/jobs", *pages)
    jobs = service.jobs(status=["queued", "running"], method="arkd", metadata={"team": "a"})
    assert [item.id for item in jobs] == ["job_1", "job_2", "job_3"]
    queries = [request.query for request in server.requests]
    assert [query.get("after") for query in queries] == [None, ["c1"], ["c2"]]
    for query in queries:
        filters = (query["status"], query["method"], query["metadata[team]"])
        assert filters == (["queued", "running"], ["arkd"], ["a"])


def test_an_edit_can_depend_on_an_etag(server: FakeServer, service: Distill) -> None:
    server.respond("GET /v1/jobs/job_1", json_response(job(), ETag='W/"1.2"'))
    server.respond("PATCH /v1/jobs/job_1", json_response(job(notes="n"), ETag='W/"2.3"'))
    etag = service.job("job_1").etag
    edited = service.update_job("job_1", {"notes": "n"}, if_match=etag)
    assert (etag, edited.etag, edited.notes) == ('W/"1.2"', 'W/"2.3"', "n")
    assert server.requests[1].headers["if-match"] == etag
    assert server.requests[1].json == {"notes": "n"}
    assert "etag" not in edited.model_dump()
