"""load.md: each figure beside the bound that it is held to."""

from collections.abc import Iterator
from typing import Any

MB, KB = 1e6, 1e3
Line = tuple[str, str, str]
"""What it is, the figure, and what is wanted."""
COUNTED = "with the number of all, one client"
"""To count a million rows takes as long as it takes: held to no bound."""


def markdown(data: dict[str, Any]) -> str:
    scale = data["settings"]["scale"]
    lines = [
        "# Under load",
        "",
        "Written by `benchmarks/load.py`. Clients, workers and databases ran on the same machine.",
        "",
    ]
    if scale != 1:
        lines += [
            f"**Made smaller ({scale:g} of the full size): none of this is held to its bound.**",
            "",
        ]
    for name, databases in data["rows"].items():
        lines += [
            f"## {name}: {TITLES[name]}",
            "",
            f"{data['dates'][name]}.",
            "",
            f"| | {' | '.join(databases)} | wanted |",
            "|---" * (len(databases) + 2) + "|",
        ]
        columns = [list(FIGURES[name](found)) for found in databases.values()]
        for cells in zip(*columns, strict=True):
            title, _, wanted = cells[0]
            lines.append(f"| {title} | {' | '.join(figure for _, figure, _ in cells)} | {wanted} |")
        lines.append("")
    return "\n".join(lines) + "\n"


def large(found: dict[str, Any]) -> Iterator[Line]:
    yield "jobs / metric points", f"{found['jobs']:,} / {found['points']:,}", ""
    first = found["questions"]["first page"]["p50_ms"]
    for name, wait in found["questions"].items():
        wanted = "" if name == COUNTED else "p95 ≤ 100"
        yield f"{name}: p50 / p95 (ms)", f"{wait['p50_ms']:.1f} / {wait['p95_ms']:.1f}", wanted
    half = found["questions"]["page half way"]["p50_ms"]
    yield (
        "page half way : first page (p50)",
        f"{half / first:.2f}",
        "about 1: a page costs the same wherever it is",
    )


def rate(found: dict[str, Any]) -> Iterator[Line]:
    yield "lists a second, 20 clients", f"{found['lists_per_second']:.0f}", "≥ 300"
    yield (
        "p50 / p99 (ms)",
        f"{found['waits']['p50_ms']:.1f} / {found['waits']['p99_ms']:.1f}",
        "p99 ≤ 200",
    )
    yield "processor time of the API for each (ms)", f"{found['cpu_ms_per_list']:.2f}", ""
    yield (
        "one client: p50 / p99 (ms)",
        f"{found['one_client']['p50_ms']:.1f} / {found['one_client']['p99_ms']:.1f}",
        "",
    )


def streams(found: dict[str, Any]) -> Iterator[Line]:
    yield "streams / jobs", f"{found['streams']:,} / {found['jobs']:,}", ""
    yield "events delivered", f"{found['delivered']:,}", "all"
    yield (
        "lost / twice, over a restart of the API",
        f"{found['missing']} / {found['twice']}",
        "0 / 0",
    )
    yield "of those, lost by the slow reader", f"{found['slow_reader_missed']}", "0"
    yield (
        "late: p50 / p99 (ms)",
        f"{found['late_ms']['p50']:.0f} / {found['late_ms']['p99']:.0f}",
        "",
    )
    yield "memory of a stream (kB)", f"{found['bytes_per_stream'] / KB:.1f}", "≤ 50"
    yield "SIGTERM to exit (s)", f"{found['seconds_from_sigterm_to_exit']:.2f}", "≤ 5"


def claims(found: dict[str, Any]) -> Iterator[Line]:
    yield "queued jobs, 16 processes", f"{found['queued']:,}", ""
    yield (
        "claims a second",
        f"{found['claims_per_second']:.0f}",
        "≥ 200 on Postgres, ≥ 50 on SQLite",
    )
    yield "claimed twice / left", f"{found['claimed_twice']} / {found['left']}", "0 / 0"


def uploads(found: dict[str, Any]) -> Iterator[Line]:
    gigabytes = found["bytes"] / 1e9
    for name, title in (
        ("one", f"one of {gigabytes:.2g} GB"),
        ("at_once", f"five of {gigabytes / 5:.2g} GB at once"),
    ):
        it = found[name]
        yield f"{title}: seconds", f"{it['seconds']:.1f}", ""
        yield f"{title}: more memory (MB)", f"{it['more_memory_bytes'] / MB:.0f}", "≤ 100"
        waits = it["bystander_ms"]
        yield (
            f"{title}: the event loop's lag, p50 / p99 (ms)",
            f"{waits['p50']:.1f} / {waits['p99']:.1f}",
            "p99 ≤ 50",
        )
    slow = found["slow"]
    figure = "not run" if slow is None else f"{slow['status']} after {slow['seconds']:.0f} s"
    yield "1 kB a second", figure, "408 at its deadline"


FIGURES = {"L1": large, "L2": rate, "L3": streams, "L4": claims, "L5": uploads}
TITLES = {
    "L1": "lists and job pages, ten clients at once",
    "L2": "one API process, while four workers report",
    "L3": "event streams",
    "L4": "claims",
    "L5": "uploads",
}
