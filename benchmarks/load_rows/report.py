"""Format load.md: each result beside its bound."""

from collections.abc import Iterator
from typing import Any

MB = 1e6
KB = 1e3
Line = tuple[str, str, str]
"""Name, result and bound."""
COUNTED = "with the number of all, one client"
"""Counting a million rows has no bound."""


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
            f"**Scaled down ({scale:g} of the full size): the bounds do not apply.**",
            "",
        ]
    for name, databases in data["rows"].items():
        lines += [
            f"## {name}: {TITLES[name]}",
            "",
            f"{data['dates'][name]}.",
            "",
            f"| | {' | '.join(databases)} | bound |",
            "|---" * (len(databases) + 2) + "|",
        ]
        columns = [list(FORMATTERS[name](results)) for results in databases.values()]
        for cells in zip(*columns, strict=True):
            title, _, bound = cells[0]
            lines.append(f"| {title} | {' | '.join(result for _, result, _ in cells)} | {bound} |")
        lines.append("")
    return "\n".join(lines) + "\n"


def large(results: dict[str, Any]) -> Iterator[Line]:
    yield "jobs / metric points", f"{results['jobs']:,} / {results['points']:,}", ""
    first = results["questions"]["first page"]["p50_ms"]
    for name, latency in results["questions"].items():
        bound = "" if name == COUNTED else "p95 ≤ 100"
        values = f"{latency['p50_ms']:.1f} / {latency['p95_ms']:.1f}"
        yield f"{name}: p50 / p95 (ms)", values, bound
    half = results["questions"]["page half way"]["p50_ms"]
    yield (
        "page half way : first page (p50)",
        f"{half / first:.2f}",
        "about 1: a page costs the same wherever it is",
    )


def rate(results: dict[str, Any]) -> Iterator[Line]:
    yield "lists per second, 20 clients", f"{results['lists_per_second']:.0f}", "≥ 300"
    yield (
        "p50 / p99 (ms)",
        f"{results['waits']['p50_ms']:.1f} / {results['waits']['p99_ms']:.1f}",
        "p99 ≤ 200",
    )
    yield "processor time of the API per list (ms)", f"{results['cpu_ms_per_list']:.2f}", ""
    yield (
        "one client: p50 / p99 (ms)",
        f"{results['one_client']['p50_ms']:.1f} / {results['one_client']['p99_ms']:.1f}",
        "",
    )


def streams(results: dict[str, Any]) -> Iterator[Line]:
    yield "streams / jobs", f"{results['streams']:,} / {results['jobs']:,}", ""
    yield "events delivered", f"{results['delivered']:,}", "all"
    yield (
        "lost / twice, over a restart of the API",
        f"{results['missing']} / {results['twice']}",
        "0 / 0",
    )
    yield "of those, lost by the slow reader", f"{results['slow_reader_missed']}", "0"
    yield (
        "delay: p50 / p99 (ms)",
        f"{results['late_ms']['p50']:.0f} / {results['late_ms']['p99']:.0f}",
        "",
    )
    yield "memory per stream (kB)", f"{results['bytes_per_stream'] / KB:.1f}", "≤ 50"
    yield "SIGTERM to exit (s)", f"{results['seconds_from_sigterm_to_exit']:.2f}", "≤ 5"


def claims(results: dict[str, Any]) -> Iterator[Line]:
    yield "queued jobs, 16 processes", f"{results['queued']:,}", ""
    yield (
        "claims per second",
        f"{results['claims_per_second']:.0f}",
        "≥ 200 on Postgres, ≥ 50 on SQLite",
    )
    yield "claimed twice / left", f"{results['claimed_twice']} / {results['left']}", "0 / 0"


def uploads(results: dict[str, Any]) -> Iterator[Line]:
    gigabytes = results["bytes"] / 1e9
    for name, title in (
        ("one", f"one of {gigabytes:.2g} GB"),
        ("at_once", f"five of {gigabytes / 5:.2g} GB at once"),
    ):
        upload = results[name]
        yield f"{title}: seconds", f"{upload['seconds']:.1f}", ""
        yield f"{title}: more memory (MB)", f"{upload['more_memory_bytes'] / MB:.0f}", "≤ 100"
        lag = upload["bystander_ms"]
        yield (
            f"{title}: event loop lag, p50 / p99 (ms)",
            f"{lag['p50']:.1f} / {lag['p99']:.1f}",
            "p99 ≤ 50",
        )
    slow = results["slow"]
    outcome = "not run" if slow is None else f"{slow['status']} after {slow['seconds']:.0f} s"
    yield "1 kB per second", outcome, "408 at its deadline"


FORMATTERS = {"L1": large, "L2": rate, "L3": streams, "L4": claims, "L5": uploads}
TITLES = {
    "L1": "lists and job pages, ten clients at once",
    "L2": "one API process, while four workers report",
    "L3": "event streams",
    "L4": "claims",
    "L5": "uploads",
}
