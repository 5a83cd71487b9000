"""Lineage of a model: what it was made from, and what was made from it.

    teacher ──> job ──> student ──> job ──> …
    start_from, extra data ─┘        └── evaluations end here

Upward the graph has the job that trained the model, that job's inputs, the jobs that trained these,
and so on. Downward it has the jobs that read the model, their students, and the jobs that read
those. The other inputs of a downward job are in the graph, too, but are not followed.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Row, or_, select
from sqlalchemy.orm import Session

from core.store.database.tables import DatasetRow, JobInputRow, JobRow, ModelRow
from core.store.database.unindexed import unindexed

NodeType = Literal["model", "job", "dataset"]
Bound = Literal["generations", "nodes"]
JOB_COLUMNS = (
    JobRow.id,
    JobRow.name,
    JobRow.kind,
    JobRow.student,
    JobRow.method,
    JobRow.dataset,
    JobRow.status,
    JobRow.results,
    JobRow.model_id,
    JobRow.cloned_from,
    JobRow.created_at,
    JobRow.deleted_at,
)


@dataclass(frozen=True)
class Edge:
    """Something that went from one node into another."""

    source: str
    """An id, as is ``target``."""
    target: str
    role: str
    """A role of ``JobInputRow`` where the source is an input of a job, or student."""


@dataclass
class Lineage:
    """The graph around one model, the root."""

    types: dict[str, NodeType]
    """Of every node, by id: the root first, then by distance."""
    edges: dict[Edge, None] = field(default_factory=dict)
    """An ordered set."""
    cut: set[Bound] = field(default_factory=set)
    """Which bounds left something out."""
    unfinished: set[str] = field(default_factory=set)
    """Nodes with neighbors that were left out."""
    models: dict[str, ModelRow] = field(default_factory=dict)
    """Rows of nodes, by id, like ``datasets``. What the collector has removed has none."""
    jobs: dict[str, Row[Any]] = field(default_factory=dict)
    """Also of jobs that are no nodes, but trained one. The columns are ``JOB_COLUMNS``."""
    datasets: dict[str, DatasetRow] = field(default_factory=dict)


def trace(
    session: Session, project_id: str, root: ModelRow, *, generations: int, max_nodes: int
) -> Lineage:
    """Return the graph around ``root``, with deleted rows.

    ``generations``: how many jobs it goes up and down from the root. Nodes beyond ``max_nodes`` are
    left out; of the jobs that read a model the newest are in the graph.
    """
    tracer = _Tracer(session, project_id, root, max_nodes)
    tracer.trace_upward(generations)
    tracer.trace_downward(generations)
    tracer.load_rows()
    return tracer.lineage


class _Tracer:
    """Walks the graph breadth first, with a few queries for each generation."""

    def __init__(self, session: Session, project_id: str, root: ModelRow, max_nodes: int) -> None:
        self.session = session
        self.project_id = project_id
        self.root = root
        self.max_nodes = max_nodes
        self._max_readers = 2 * max_nodes  # a job may read a model in two roles
        self.lineage = Lineage({root.id: "model"})

    def trace_upward(self, generations: int) -> None:
        model_ids = {self.root.id}
        for _ in range(generations):
            if not model_ids:
                return
            model_ids = self._add_jobs_that_trained(model_ids)
        source_jobs = self._source_jobs(model_ids).items()
        self._note_cut("generations", (model for model, job in source_jobs if self._is_new(job)))

    def trace_downward(self, generations: int) -> None:
        model_ids = {self.root.id}
        for _ in range(generations):
            if not model_ids:
                return
            model_ids = self._add_jobs_that_read(model_ids)
        readers = self._readers(model_ids)
        self._note_cut("generations", (row.input_id for row in readers if self._is_new(row.job_id)))

    def load_rows(self) -> None:
        """Load the rows of every node."""
        lineage = self.lineage
        node_ids = list(lineage.types)
        models = select(ModelRow).where(
            ModelRow.id.in_(node_ids), unindexed(ModelRow.project_id) == self.project_id
        )
        datasets = select(DatasetRow).where(
            DatasetRow.id.in_(node_ids),
            or_(DatasetRow.project_id == self.project_id, DatasetRow.project_id.is_(None)),
        )
        lineage.models = {model.id: model for model in self.session.scalars(models)}
        lineage.datasets = {dataset.id: dataset for dataset in self.session.scalars(datasets)}
        job_ids = {node_id for node_id, type in lineage.types.items() if type == "job"}
        job_ids |= {row.source_job_id for row in lineage.models.values() if row.source_job_id}
        lineage.jobs = self._load_jobs(job_ids)

    def _add_jobs_that_trained(self, model_ids: set[str]) -> set[str]:
        """Add a generation upward; return the models that are inputs of its jobs."""
        source_jobs = self._source_jobs(model_ids)
        for model_id, job_id in source_jobs.items():
            if self._add(job_id, "job", model_id):
                self._connect(job_id, model_id, "student")
        return self._add_inputs(set(source_jobs.values()) & set(self.lineage.types))

    def _add_jobs_that_read(self, model_ids: set[str]) -> set[str]:
        """Add a generation downward; return the students of its jobs."""
        job_ids: dict[str, None] = {}
        readers = self._readers(model_ids)
        if len(readers) == self._max_readers:
            self._note_cut("nodes", model_ids)
        for row in readers:
            if self._add(row.job_id, "job", row.input_id):
                job_ids[row.job_id] = None
        self._add_inputs(job_ids)
        student_ids = set()
        for job_id, job in self._load_jobs(job_ids).items():
            if job.model_id is not None and self._add(job.model_id, "model", job_id):
                self._connect(job_id, job.model_id, "student")
                student_ids.add(job.model_id)
        return student_ids

    def _add_inputs(self, job_ids: Collection[str]) -> set[str]:
        """Add the inputs of jobs of the graph; return the ids of the models among them."""
        statement = select(JobInputRow).where(JobInputRow.job_id.in_(job_ids))
        model_ids = set()
        for row in self.session.scalars(statement.order_by(JobInputRow.job_id, JobInputRow.role)):
            type: NodeType = "dataset" if row.role == "extra" else "model"
            if self._add(row.input_id, type, row.job_id):
                self._connect(row.input_id, row.job_id, row.role)
                if type == "model":
                    model_ids.add(row.input_id)
        return model_ids

    def _source_jobs(self, model_ids: Collection[str]) -> dict[str, str]:
        """Return the job that trained each model, where a job did."""
        statement = select(ModelRow.id, ModelRow.source_job_id).where(
            ModelRow.id.in_(model_ids),
            unindexed(ModelRow.project_id) == self.project_id,
            ModelRow.source_job_id.is_not(None),
        )
        return {row.id: str(row.source_job_id) for row in self.session.execute(statement)}

    def _readers(self, model_ids: Collection[str]) -> list[JobInputRow]:
        """Return the newest inputs of jobs that are among these models, of more jobs than nodes."""
        # Without a join, an index yields these rows in this order, however many there are.
        statement = (
            select(JobInputRow)
            .where(JobInputRow.input_id.in_(model_ids))
            .order_by(JobInputRow.created_at.desc(), JobInputRow.job_id.desc())
            .limit(self._max_readers)
        )
        rows = self.session.scalars(statement).all()
        visible = self._load_jobs({row.job_id for row in rows})
        return [row for row in rows if row.job_id in visible]

    def _load_jobs(self, job_ids: Iterable[str]) -> dict[str, Row[Any]]:
        """Return the jobs by id, the newest first."""
        ids = sorted(job_ids, reverse=True)  # in the order of time
        if not ids:
            return {}
        # By the primary key: SQLite would rather walk through all jobs of the project.
        statement = select(*JOB_COLUMNS).where(
            JobRow.id.in_(ids), unindexed(JobRow.project_id) == self.project_id
        )
        rows = {row.id: row for row in self.session.execute(statement)}
        return {job_id: rows[job_id] for job_id in ids if job_id in rows}

    def _add(self, node_id: str, type: NodeType, neighbor_id: str) -> bool:
        """Make a neighbor of a node a node, too; return whether it is one now."""
        types = self.lineage.types
        if self._is_new(node_id) and len(types) >= self.max_nodes:
            self._note_cut("nodes", [neighbor_id])
            return False
        types.setdefault(node_id, type)
        return True

    def _is_new(self, node_id: str) -> bool:
        return node_id not in self.lineage.types

    def _connect(self, source: str, target: str, role: str) -> None:
        self.lineage.edges[Edge(source, target, role)] = None

    def _note_cut(self, bound: Bound, node_ids: Iterable[str]) -> None:
        """Note that a bound left out neighbors of these nodes."""
        node_ids = set(node_ids)
        if node_ids:
            self.lineage.cut.add(bound)
            self.lineage.unfinished |= node_ids
