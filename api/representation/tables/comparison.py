"""A comparison of jobs as text."""

import json
from typing import Any

from api.representation.comparisons import ComparedJob, ComparisonResponse
from api.representation.tables.accuracies import (
    SECTION_COLUMNS,
    accuracy_text,
    all_measures,
    difference_text,
    headings,
    result_cells,
    result_columns,
    section_cells,
    section_title,
)
from api.representation.tables.text import Cell, TextTable, to_csv
from core.reportspec.comparison import ComparisonRow, ComparisonSection

COLUMNS = (
    *SECTION_COLUMNS,
    *("job", "job_id", "kind", "method", "student", "parameters"),
    *("network", "deciding", "pareto"),
)


def comparison_tables(comparison: ComparisonResponse) -> list[TextTable]:
    """Return a table for each section, and one of the settings that differ."""
    jobs = {job.id: job for job in comparison.jobs}
    tables = [_table(section, jobs, comparison.base) for section in comparison.sections]
    return [*tables, _settings_table(comparison)]


def _table(section: ComparisonSection, jobs: dict[str, ComparedJob], base_id: str) -> TextTable:
    rows = []
    for row in section.rows:
        difference = row.differences.get(section.deciding)
        is_base = row.job_id == base_id
        rows.append(
            [
                title(jobs[row.job_id]),
                jobs[row.job_id].method or "",
                *(accuracy_text(row.results.get(key)) for key in section.measures),
                "base" if is_base else difference_text(difference),
                "" if difference is None else difference.verdict,
            ]
        )
    deciding = section.descriptions[section.deciding].label
    return TextTable(
        section_title(section.dataset, section.threat_model),
        [
            "job",
            "method",
            *headings(section.descriptions, section.measures),
            f"difference, {deciding}",
            "verdict",
        ],
        rows,
        note=_note(section, jobs.get(base_id)),
    )


def _note(section: ComparisonSection, base: ComparedJob | None) -> str:
    if base is None or not section.comparisons:
        return ""
    differences = [row.differences.get(section.deciding) for row in section.rows]
    unpaired = sum(value is not None and not value.paired for value in differences)
    note = (
        f"Differences to {title(base)} in points, with intervals and p adjusted for "
        f"{section.comparisons} comparisons (McNemar's exact test and Holm's method; Newcombe's "
        "intervals at Bonferroni's level)."
    )
    if unpaired:
        note += f" {unpaired} could not be paired and are compared as two samples."
    return note


def _settings_table(comparison: ComparisonResponse) -> TextTable:
    settings = comparison.settings
    rows = [
        [setting.path, *(_setting_text(value) for value in setting.values)]
        for setting in settings.different
    ]
    total = len(settings.different) + settings.equal
    return TextTable(
        f"{len(settings.different)} of {total} settings differ",
        ["setting", *(title(job) for job in comparison.jobs)],
        rows,
    )


def _setting_text(value: Any) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value)


def title(job: ComparedJob) -> str:
    return job.name or job.id


def comparison_csv(comparison: ComparisonResponse) -> str:
    """Return one table of all sections; the settings that differ are columns of it."""
    jobs = {job.id: job for job in comparison.jobs}
    measures = all_measures(section.measures for section in comparison.sections)
    paths = [setting.path for setting in comparison.settings.different]
    settings = {
        job.id: [_setting_cell(setting.values[index]) for setting in comparison.settings.different]
        for index, job in enumerate(comparison.jobs)
    }
    rows = [
        [*_csv_row(section, row, jobs[row.job_id], measures), *settings[row.job_id]]
        for section in comparison.sections
        for row in section.rows
    ]
    columns = [*COLUMNS, *result_columns(measures), *paths]
    return to_csv(columns, rows)


def _setting_cell(value: Any) -> Cell:
    if value is None or isinstance(value, str | int | float):
        return value
    return json.dumps(value)


def _csv_row(
    section: ComparisonSection, row: ComparisonRow, job: ComparedJob, measures: list[str]
) -> list[Cell]:
    return [
        *section_cells(section.dataset, section.threat_model),
        job.name,
        job.id,
        job.kind,
        job.method,
        job.student,
        job.parameters,
        row.network,
        section.deciding,
        row.pareto,
        *result_cells(measures, row.results, row.differences.get(section.deciding)),
    ]
