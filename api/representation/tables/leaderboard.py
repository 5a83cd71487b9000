"""The leaderboard as text."""

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
from core.reportspec.leaderboard import (
    Leaderboard,
    LeaderboardRow,
    LeaderboardSection,
    RankRange,
)

NOTE = (
    "Ranks are ranges: from one more than the number of significantly better models to the number "
    "of those that are not significantly worse (McNemar's exact test on the same images where "
    "both were measured on them, adjusted by Holm's method)."
)
COLUMNS = (
    *SECTION_COLUMNS,
    *("rank_low", "rank_high", "model", "model_id", "method"),
    *("architecture", "parameters", "deciding", "job_id", "teacher_id"),
)


def leaderboard_tables(leaderboard: Leaderboard) -> list[TextTable]:
    return [_table(section) for section in leaderboard.sections]


def _table(section: LeaderboardSection) -> TextTable:
    rows = [
        [
            rank_text(row.rank),
            row.name,
            row.method or "",
            "" if row.parameters is None else f"{row.parameters:,}",
            *(accuracy_text(row.results.get(key)) for key in section.measures),
            difference_text(row.difference),
        ]
        for row in section.rows
    ]
    columns = headings(section.descriptions, section.measures)
    return TextTable(
        section_title(section.dataset, section.threat_model),
        ["rank", "model", "method", "parameters", *columns, "vs. teacher"],
        rows,
        note=NOTE,
    )


def rank_text(rank: RankRange | None) -> str:
    """3–7, or 1 for a range of one rank."""
    if rank is None:
        return ""
    return str(rank.low) if rank.low == rank.high else f"{rank.low}–{rank.high}"


def leaderboard_csv(leaderboard: Leaderboard) -> str:
    """Return one table of all sections; a model has a row in each of its sections."""
    measures = all_measures(section.measures for section in leaderboard.sections)
    columns = [*COLUMNS, *result_columns(measures)]
    rows = [
        _csv_row(section, row, measures) for section in leaderboard.sections for row in section.rows
    ]
    return to_csv(columns, rows)


def _csv_row(section: LeaderboardSection, row: LeaderboardRow, measures: list[str]) -> list[Cell]:
    return [
        *section_cells(section.dataset, section.threat_model),
        None if row.rank is None else row.rank.low,
        None if row.rank is None else row.rank.high,
        row.name,
        row.model_id,
        row.method,
        row.architecture,
        row.parameters,
        row.deciding,
        row.job_id,
        row.teacher_id,
        *result_cells(measures, row.results, row.difference),
    ]
