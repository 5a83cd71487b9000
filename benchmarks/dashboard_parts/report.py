"""Format dashboard.md: each figure beside its bound, and MLflow's beside ours."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from dashboard_parts.browser import LIMIT_MS

MB = 1e6
KB = 1e3
TITLES = {
    "list": "list of {runs} runs",
    "run": "one run, with its results",
    "compare": "{compared} runs compared, {points:,} points each",
}


def markdown(data: dict[str, Any]) -> str:
    settings = data["settings"]
    lines = [
        "# The dashboard",
        "",
        "Written by `benchmarks/dashboard.py`: Chromium, the embedded service and, where it was "
        "measured, MLflow ran on the same machine. Times are medians, with the largest in "
        "parentheses. A page's time is from its navigation, with an empty cache.",
        "",
    ]
    if settings["smoke"]:
        lines += ["**Much smaller than the full size: the bounds do not apply.**", ""]
    lines += ["| | result | bound |", "|---|---|---|"]
    lines += [f"| {' | '.join(cells)} |" for cells in _rows(data)]
    lines += ["", "## An hour of events", "", *_memory(data["live"])]
    lines += ["", "## Beside MLflow", "", *_beside_mlflow(data)]
    return "\n".join(lines) + "\n"


def _rows(data: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    first, chart, pages = data["first_load"], data["chart"], data["pages"]
    yield "first load: script, gzipped (kB)", f"{first['script_bytes'] / KB:.0f}", "≤ 250"
    yield "first load: the overview is usable (ms)", _times(first["usable_ms"]), "≤ 1,000"
    title = f"chart of 2 × {chart['points']:,} points"
    yield f"{title}: drawn, once its data is read (ms)", _times(chart["drawn_ms"]), "≤ 100"
    yield f"{title}: redrawn, from the click (ms)", _times(chart["redrawn_ms"]), "≤ 30"
    title = TITLES["compare"].format(**data["settings"])
    yield f"{title}: its curves are drawn (ms)", _times(pages["compare"]), "≤ 1,500"


def _memory(live: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{live['seconds']:,} seconds of three running jobs, {live['events']:,} events, with two "
        "pages open. What their script keeps in the JavaScript heap after a garbage collection "
        "(MB), by share of the events. Beside it what the engine has compiled: more, the more "
        "often a function has run, in minutes here instead of an hour."
    )
    yield ""
    shares = live["shares"]
    yield f"| | {' | '.join(f'{share:.0%}' for share in shares)} | compiled | nodes | listeners |"
    yield "|---" * (len(shares) + 4) + "|"
    for name, samples in live["samples"].items():
        first, last = samples[0], samples[-1]
        kept = [f"{sample['kept_bytes'] / MB:.2f}" for sample in samples]
        compiled = " → ".join(f"{sample['compiled_bytes'] / MB:.1f}" for sample in (first, last))
        counts = [f"{first[key]:,} → {last[key]:,}" for key in ("nodes", "listeners")]
        yield f"| {name} | {' | '.join([*kept, compiled, *counts])} |"


def _beside_mlflow(data: dict[str, Any]) -> Iterator[str]:
    mlflow, pages = data["mlflow"], data["pages"]
    yield (
        "The same runs in MLflow's tracking server on SQLite, its pages in the same browser. Its "
        "list shows the first 100 runs. Of a comparison, the page with the curves was opened."
    )
    yield ""
    yield f"| (ms) | here | MLflow {mlflow['version'] if mlflow else ''} | MLflow : here |"
    yield "|---|---|---|---|"
    for name, title in TITLES.items():
        cells = ["not run", ""]
        if mlflow:
            ratio = statistics.median(mlflow["pages"][name]) / statistics.median(pages[name])
            cells = [_times(mlflow["pages"][name]), f"{ratio:.1f}"]
        yield f"| {' | '.join([title.format(**data['settings']), _times(pages[name]), *cells])} |"


def _times(milliseconds: Sequence[float]) -> str:
    if max(milliseconds) >= LIMIT_MS:
        return f"> {LIMIT_MS:,}"
    return f"{statistics.median(milliseconds):,.0f} ({max(milliseconds):,.0f})"
