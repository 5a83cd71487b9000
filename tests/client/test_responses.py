import pytest

from core.jobspec.job import parse_submitted
from distill_client.client import Distill
from distill_client.errors import DistillProblem
from tests.builders import distillation_body
from tests.client.fake import Answer, Fake, as_json, job, problem


def refusal(service: Distill) -> str:
    with pytest.raises(DistillProblem) as refused:
        service.submit({})
    return str(refused.value)


def test_a_problem_shows_every_field_with_its_path(fake: Fake, service: Distill) -> None:
    errors = [
        {"path": ["evaluation", "attacks", 0, "steps"], "message": "A whole number is needed."},
        {"path": ["teacher"], "message": "There is no model 'x'."},
    ]
    fake.on("POST /v1/jobs", problem(422, "invalid_request", "Two fields are wrong.", errors))
    assert refusal(service) == (
        "Two fields are wrong.\n  evaluation.attacks.0.steps: A whole number is needed.\n  teacher: There is no model 'x'."
    )


def test_a_problem_of_one_field_is_said_once(fake: Fake, service: Distill) -> None:
    errors = [{"path": ["teacher"], "message": "There is no model 'x'."}]
    fake.on("POST /v1/jobs", problem(422, "invalid_request", "There is no model 'x'.", errors))
    assert refusal(service) == "teacher: There is no model 'x'."


def test_an_error_page_of_a_proxy_is_described_not_repeated(fake: Fake, service: Distill) -> None:
    fake.on("POST /v1/jobs", Answer(413, b"<html>nginx</html>", {"Content-Type": "text/html"}))
    said = refusal(service)
    assert "413" in said
    assert "html>" not in said


def test_fields_that_this_client_does_not_know_are_kept(fake: Fake, service: Distill) -> None:
    fake.on("GET /v1/jobs/job_1", as_json(job(colour="blue")))
    assert service.job("job_1").model_dump()["colour"] == "blue"


def test_a_spec_can_be_submitted_as_it_is(fake: Fake, service: Distill) -> None:
    fake.on("POST /v1/jobs", as_json(job("queued"), 201))
    spec = parse_submitted(distillation_body())
    service.submit(spec)
    assert parse_submitted(fake.requests[0].json) == spec


def test_lists_go_through_every_page(fake: Fake, service: Distill) -> None:
    pages = [
        {"data": [job(id=f"job_{n}")], "has_more": n < 3, "next_cursor": f"c{n}" if n < 3 else None}
        for n in (1, 2, 3)
    ]
    fake.on("GET /v1/jobs", *map(as_json, pages))
    found = service.jobs(status=["queued", "running"], method="arkd", metadata={"team": "a"})
    assert [it.id for it in found] == ["job_1", "job_2", "job_3"]
    queries = [request.query for request in fake.requests]
    assert [query.get("after") for query in queries] == [None, ["c1"], ["c2"]]
    for query in queries:
        assert (query["status"], query["method"], query["metadata[team]"]) == (
            ["queued", "running"],
            ["arkd"],
            ["a"],
        )
