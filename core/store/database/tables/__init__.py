"""The tables, in modules by noun.

Columns named ``…_at`` are times in milliseconds since the epoch, by the database's clock.

projects ─┬─ api_keys ── idempotency, sessions, sign_in_tokens
          ├─ sweeps ── jobs
          ├─ jobs ── labels, inputs, attempts, logs, events, metrics, artifacts, job_results
          ├─ models ── aliases, job_results
          ├─ series (of models)
          ├─ datasets (without a project: for everyone) ── thumbnail_sheets
          └─ audit
search_words (of jobs, models and data sets)
project_events, project_event_log
workers
job_costs, memory_estimates
"""

from core.store.database.tables.access import (
    DEFAULT_PROJECT,
    ApiKeyRow,
    AuditRow,
    IdempotencyRow,
    ProjectRow,
    SessionRow,
    SignInTokenRow,
)
from core.store.database.tables.attempts import (
    ArtifactRow,
    AttemptRow,
    EventRow,
    LogChunkRow,
    LogRow,
    MetricRow,
)
from core.store.database.tables.base import Base
from core.store.database.tables.estimates import JobCostRow, MemoryEstimateRow
from core.store.database.tables.jobs import JobInputRow, JobLabelRow, JobRow, SweepRow
from core.store.database.tables.project_events import (
    IS_SUPERSEDED,
    ProjectEventLogRow,
    ProjectEventRow,
)
from core.store.database.tables.registry import (
    DIGITS_ID,
    DatasetRow,
    ModelAliasRow,
    ModelRow,
    ModelSeriesRow,
    ThumbnailSheetRow,
)
from core.store.database.tables.results import JobResultRow
from core.store.database.tables.search_words import SearchWordRow
from core.store.database.tables.workers import WorkerRow

__all__ = [
    "DEFAULT_PROJECT",
    "DIGITS_ID",
    "IS_SUPERSEDED",
    "ApiKeyRow",
    "ArtifactRow",
    "AttemptRow",
    "AuditRow",
    "Base",
    "DatasetRow",
    "EventRow",
    "IdempotencyRow",
    "JobCostRow",
    "JobInputRow",
    "JobLabelRow",
    "JobResultRow",
    "JobRow",
    "LogChunkRow",
    "LogRow",
    "MemoryEstimateRow",
    "MetricRow",
    "ModelAliasRow",
    "ModelRow",
    "ModelSeriesRow",
    "ProjectEventLogRow",
    "ProjectEventRow",
    "ProjectRow",
    "SearchWordRow",
    "SessionRow",
    "SignInTokenRow",
    "SweepRow",
    "ThumbnailSheetRow",
    "WorkerRow",
]
