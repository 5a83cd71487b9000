"""What a model was made from, and what was made from it."""

from typing import Any

from sqlalchemy import Engine, delete

from core.jobspec.data import DIGITS
from core.jobspec.defaults import resolve
from core.jobspec.job import EvaluationJobSpec
from core.store import attempts, jobs
from core.store.database.engine import read_session, write_session
from core.store.database.tables import DEFAULT_PROJECT, DIGITS_ID, JobRow, ModelRow, ProjectRow
from core.store.registry import lineage, models, uploaded_items
from core.store.registry.lineage import Edge, Lineage
from tests.builders import (
    SHA256,
    create_attempt,
    create_teacher,
    distillation_spec,
    model_description,
    training_body,
    training_spec,
)


def distill(engine: Engine, teacher: ModelRow | None, **changes: Any) -> tuple[str, ModelRow]:
    """Let a job succeed; return its id and its student. Without a teacher it is a training."""
    spec = training_spec(**changes) if teacher is None else distillation_spec(**changes)
    teacher_id = None if teacher is None else teacher.id
    with write_session(engine) as session:
        job = jobs.submit(
            session, DEFAULT_PROJECT, spec, dataset_id=DIGITS_ID, teacher_id=teacher_id
        )
    attempt = create_attempt(engine, job)
    with attempt.fenced_session() as (session, job):
        student = models.publish(
            session, job, model_description(), object_key="key", size=1, sha256=SHA256
        )
        attempts.succeed(session, job, results={"best": {"clean": 0.5}}, model_id=student.id)
    return attempt.job_id, student


def evaluate(engine: Engine, model: ModelRow, reference: ModelRow | None = None) -> str:
    body = {"kind": "evaluation", "model": model.id, "data": {"dataset": "digits"}}
    if reference is not None:
        body["reference"] = reference.id
    spec = resolve(EvaluationJobSpec.model_validate(body), DIGITS)
    reference_id = None if reference is None else reference.id
    with write_session(engine) as session:
        job = jobs.submit(
            session, DEFAULT_PROJECT, spec, dataset_id=DIGITS_ID, teacher_id=reference_id
        )
    return job.id


def trace(
    engine: Engine, model: ModelRow, *, generations: int = 6, max_nodes: int = 200
) -> Lineage:
    with read_session(engine) as session:
        root = uploaded_items.get(session, ModelRow, DEFAULT_PROJECT, model.id)
        return lineage.trace(
            session, DEFAULT_PROJECT, root, generations=generations, max_nodes=max_nodes
        )


def test_lineage_goes_up_and_down(engine: Engine) -> None:
    uploaded = create_teacher(engine)
    teacher_job, teacher = distill(engine, None, start_from=uploaded.id)
    job, student = distill(engine, teacher)
    next_job, grandchild = distill(engine, student)
    evaluation = evaluate(engine, student, teacher)
    _, sibling = distill(engine, teacher)
    edges = {
        Edge(uploaded.id, teacher_job, "start_from"),
        Edge(teacher_job, teacher.id, "student"),
        Edge(teacher.id, job, "teacher"),
        Edge(job, student.id, "student"),
        Edge(student.id, next_job, "teacher"),
        Edge(next_job, grandchild.id, "student"),
        Edge(student.id, evaluation, "model"),
        Edge(teacher.id, evaluation, "reference"),
    }
    graph = trace(engine, student)
    assert set(graph.edges) == edges
    assert next(iter(graph.types)) == student.id
    assert (graph.cut, graph.unfinished) == (set(), set())
    assert sibling.id not in graph.types
    assert graph.models.keys() | graph.jobs.keys() == graph.types.keys()
    assert set(trace(engine, uploaded).edges) >= edges


def test_extra_data_and_two_roles_of_one_model(engine: Engine) -> None:
    teacher = create_teacher(engine)
    data = {**training_body()["data"], "extra": {"dataset": DIGITS_ID}}
    job, student = distill(engine, teacher, start_from=teacher.id, data=data)
    graph = trace(engine, student)
    assert set(graph.edges) == {
        Edge(teacher.id, job, "teacher"),
        Edge(teacher.id, job, "start_from"),
        Edge(DIGITS_ID, job, "extra"),
        Edge(job, student.id, "student"),
    }
    assert graph.types[DIGITS_ID] == "dataset"
    assert graph.datasets[DIGITS_ID].name == "digits"
    assert set(trace(engine, teacher).edges) == set(graph.edges)


def test_what_is_deleted_or_gone_is_in_the_lineage(engine: Engine) -> None:
    teacher = create_teacher(engine)
    job, student = distill(engine, teacher)
    with write_session(engine) as session:
        jobs.delete(session, DEFAULT_PROJECT, job)
        uploaded_items.delete_item(session, ModelRow, DEFAULT_PROJECT, teacher.id)
    graph = trace(engine, student)
    assert graph.types == {student.id: "model", job: "job", teacher.id: "model"}
    assert graph.jobs[job].deleted_at is not None
    assert graph.models[teacher.id].deleted_at is not None
    with write_session(engine) as session:
        session.execute(delete(ModelRow).where(ModelRow.id == teacher.id))
    assert teacher.id not in trace(engine, student).models
    with write_session(engine) as session:
        session.execute(delete(JobRow).where(JobRow.id == job))
    graph = trace(engine, student)
    assert graph.types == {student.id: "model", job: "job"}
    assert graph.jobs == {}


def test_generations_are_bounded_in_both_directions(engine: Engine) -> None:
    models_in_line = [create_teacher(engine)]
    for _ in range(4):
        models_in_line.append(distill(engine, models_in_line[-1])[1])
    graph = trace(engine, models_in_line[2], generations=1)
    nodes = {node for node, type in graph.types.items() if type == "model"}
    assert nodes == {model.id for model in models_in_line[1:4]}
    assert graph.cut == {"generations"}
    assert graph.unfinished == {models_in_line[1].id, models_in_line[3].id}
    graph = trace(engine, models_in_line[2], generations=2)
    assert (len(graph.types), graph.cut, graph.unfinished) == (9, set(), set())


def test_nodes_are_bounded_and_the_newest_jobs_stay(engine: Engine) -> None:
    teacher = create_teacher(engine)
    evaluations = [evaluate(engine, teacher) for _ in range(6)]
    graph = trace(engine, teacher, max_nodes=4)
    assert list(graph.types) == [teacher.id, *reversed(evaluations[3:])]
    assert (graph.cut, graph.unfinished) == ({"nodes"}, {teacher.id})
    assert len(graph.edges) == 3
    graph = trace(engine, teacher, max_nodes=7)
    assert (len(graph.types), graph.cut) == (7, set())


def test_other_projects_are_not_in_a_lineage(engine: Engine) -> None:
    """Even if a row of another project named the model, which no request can bring about."""
    teacher = create_teacher(engine)
    with write_session(engine) as session:
        session.add(ProjectRow(id="prj_other", name="other"))
        session.flush()
        jobs.submit(
            session, "prj_other", distillation_spec(), dataset_id=DIGITS_ID, teacher_id=teacher.id
        )
    assert trace(engine, teacher).types == {teacher.id: "model"}
