"""``distill leaderboard`` and ``distill compare``: results of many models and jobs."""

from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from distill_client.client import Distill
from distill_client.display import echo, format_percent, show_json, show_table
from distill_client.measures import describe
from distill_client.options import AsJson
from distill_client.responses import (
    AccuracyValue,
    Comparison,
    ComparisonSection,
    DifferenceValue,
    LeaderboardSection,
    RankRange,
    ThreatModelDescription,
)

TextFormat = Annotated[
    Literal["csv", "md", "tex"] | None,
    typer.Option("--format", help="Print csv, md (Markdown) or tex (LaTeX, with booktabs)."),
]


def leaderboard(
    dataset: Annotated[
        str | None, typer.Option(help="Only this data set, an id or a name.")
    ] = None,
    norm: Annotated[str | None, typer.Option(help="Only this norm: linf or l2.")] = None,
    radius: Annotated[str | None, typer.Option(help="Only this radius, such as 8/255.")] = None,
    attack: Annotated[
        str | None, typer.Option(help="Rank by this attack, such as pgd-20, not by the strongest.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Models in each section.")] = 20,
    text_format: TextFormat = None,
    as_json: AsJson = False,
) -> None:
    """Rank the models, by data set and threat model."""
    filters = {
        "dataset": dataset,
        "norm": norm,
        "radius": radius,
        "attack": attack,
        "limit": limit,
    }
    with Distill() as service:
        if text_format is not None:
            echo(service.leaderboard_text(text_format, **filters).rstrip("\n"))
            return
        response = service.leaderboard(**filters)
    if as_json:
        show_json(response)
        return
    if not response.sections:
        echo("No model has been measured under such a threat model yet.")
    for section in response.sections:
        show_section_of_models(section)


def show_section_of_models(section: LeaderboardSection) -> None:
    echo(f"\n{section_title(section.dataset, section.threat_model)}, % (95 % interval)")
    rows = (
        [
            describe_rank(row.rank),
            row.name,
            row.method,
            f"{row.parameters:,}" if row.parameters else None,
            *(describe_accuracy(row.results.get(key)) for key in section.measures),
            describe_difference(row.difference),
        ]
        for row in section.rows
    )
    columns = [describe(key).label for key in section.measures]
    show_table(["rank", "model", "method", "parameters", *columns, "vs. teacher"], rows)
    if section.has_more:
        echo(f"There are more than these {len(section.rows)}.")


def compare(
    job_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of 2 to 300 jobs.")],
    base: Annotated[
        str | None, typer.Option(help="The job to compare the others to; default: the first.")
    ] = None,
    network: Annotated[
        Literal["best", "last"], typer.Option(help="The best epoch's student, or the last's.")
    ] = "best",
    text_format: TextFormat = None,
    as_json: AsJson = False,
) -> None:
    """Compare jobs: settings that differ, and accuracies on the same images."""
    with Distill() as service:
        if text_format is not None:
            text = service.compare_text(*job_ids, format=text_format, base=base, network=network)
            echo(text.rstrip("\n"))
            return
        comparison = service.compare(*job_ids, base=base, network=network)
    if as_json:
        show_json(comparison)
        return
    for section in comparison.sections:
        show_section_of_jobs(comparison, section)
    show_settings(comparison)


def show_section_of_jobs(comparison: Comparison, section: ComparisonSection) -> None:
    titles = job_titles(comparison)
    echo(f"\n{section_title(section.dataset, section.threat_model)}, % (95 % interval)")
    rows = []
    for row in section.rows:
        difference = row.differences.get(section.deciding)
        is_base = row.job_id == comparison.base
        rows.append(
            [
                titles[row.job_id],
                *(describe_accuracy(row.results.get(key)) for key in section.measures),
                "base" if is_base else describe_difference(difference),
                describe_verdict(difference),
            ]
        )
    columns = [describe(key).label for key in section.measures]
    deciding = describe(section.deciding).label
    show_table(["job", *columns, f"difference, {deciding}", ""], rows)


def show_settings(comparison: Comparison) -> None:
    settings = comparison.settings
    total = len(settings.different) + settings.equal
    echo(f"\n{len(settings.different)} of {total} settings differ.")
    if settings.different:
        columns = ["setting", *job_titles(comparison).values()]
        show_table(columns, ([item.path, *item.values] for item in settings.different))


def job_titles(comparison: Comparison) -> dict[str, str]:
    """Return what a column of each job is called: its name, and its id where names are equal."""
    names = [job.name for job in comparison.jobs]
    return {
        job.id: job.name if job.name and names.count(job.name) == 1 else job.id
        for job in comparison.jobs
    }


def section_title(dataset: str | None, threat_model: ThreatModelDescription | None) -> str:
    threat = "no attack" if threat_model is None else threat_model.title
    return f"{dataset or 'unknown data'}, {threat}"


def describe_rank(rank: RankRange | None) -> str:
    if rank is None:
        return ""
    return str(rank.low) if rank.low == rank.high else f"{rank.low}-{rank.high}"


def describe_accuracy(accuracy: AccuracyValue | None) -> str:
    if accuracy is None:
        return ""
    interval = format_interval(accuracy.low, accuracy.high)
    return f"{format_percent(accuracy.value)}{interval}"


def format_interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" ({100 * low:.1f}-{100 * high:.1f})"


def describe_difference(difference: DifferenceValue | None) -> str:
    if difference is None:
        return ""
    text = f"{100 * difference.value:+.2f}"
    if difference.low is None or difference.high is None:
        return text
    return f"{text} ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})"


def describe_verdict(difference: DifferenceValue | None) -> str:
    """Return the verdict with what it rests on: p, and the images that only one of both holds."""
    if difference is None:
        return ""
    parts: Sequence[str] = []
    if difference.adjusted_p is not None:
        parts = [f"p = {difference.adjusted_p:.2g}"]
    if difference.only_this is not None:
        parts = [*parts, f"{difference.only_this} : {difference.only_other} images"]
    if difference.adjusted_p is not None and not difference.paired:
        parts = [*parts, "not paired"]
    return f"{difference.verdict} ({', '.join(parts)})" if parts else difference.verdict
