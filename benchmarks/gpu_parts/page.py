"""The page of gpu.py's results: one table a question."""

from typing import Any

Row = dict[str, Any]


def markdown(data: dict[str, Any]) -> str:
    settings = data["settings"]
    rows: list[Row] = data["results"]
    lines = [
        "# Where a training step's time goes on a GPU",
        "",
        f"Written by `benchmarks/gpu.py`: {settings['teacher']} -> {settings['student']} on "
        "random images of CIFAR's shape, PGD-10. *trainer*: the trainer's own step. *graph*: the "
        "same step as one CUDA graph. *folded*: attack and teacher on copies whose batch norms are "
        "folded into the convolutions, with weights in bf16. *compiled*: the networks by Inductor, "
        "then captured. An epoch is 50,000 images, without validation. *ms* is the median of three "
        "rounds of steps; *host ms* is how long the host takes to start them.",
        "",
    ]
    if settings["smoke"]:
        lines += ["**A smoke test on a CPU: its times mean nothing.**", ""]
    for section in (facts, steps, losses, profiles, pieces, evaluation, captures, problems):
        lines += section(rows)
    return "\n".join(lines)


def of(rows: list[Row], *parts: str) -> list[Row]:
    return [row for row in rows if row["part"] in parts and "failed" not in row]


def table(title: str, names: tuple[str, ...], cells: list[list[Any]]) -> list[str]:
    """Return a section with a table; nothing where it would have no rows."""
    if not cells:
        return []
    body = ["| " + " | ".join("" if c is None else str(c) for c in row) + " |" for row in cells]
    head = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    return [f"## {title}", "", *head, *body, ""]


def facts(rows: list[Row]) -> list[str]:
    for row in of(rows, "facts"):
        rates = ", ".join(f"{name} {rate:.0f}" for name, rate in row["tflops"].items())
        rates = rates or "(not measured)"
        counts = ", ".join(f"{name} {count}" for name, count in row["gflop_per_image"].items())
        return [
            f"Matrix products reach {rates} TFLOP/s. An operation of one element takes "
            f"{row['us_per_operation']} us. GFLOP of a step per image, convolutions: {counts}.",
            "",
        ]
    return []


def steps(rows: list[Row]) -> list[str]:
    """Steps by the time of an epoch, the fastest first."""
    measured = of(rows, "step", "benchmark")
    rate = next((row["tflops"].get("bf16") for row in of(rows, "facts")), None)
    counts: dict[str, float] = next((row["gflop_per_image"] for row in of(rows, "facts")), {})
    cells = []
    for row in sorted(measured, key=lambda row: row["epoch_s"]):
        share = None
        if rate and row["method"] in counts and row["precision"] == "bf16":
            share = f"{counts[row['method']] * row['images_s'] / rate / 10:.0f} %"
        form = row["form"] + (", cudnn.benchmark" if row["part"] == "benchmark" else "")
        sizes = [row["method"], form, row["precision"], row["batch"]]
        rates = [row["ms"], row["host_ms"], f"{row['images_s']:,}", row["epoch_s"], share]
        cells.append([*sizes, *rates, row["peak_mib"], row["first_step_s"]])
    names = ("method", "form", "precision", "batch", "ms", "host ms", "images/s", "s an epoch")
    more = ("of the matrix rate", "peak MiB", "first step s")
    return table("Steps, by the time of an epoch", (*names, *more), cells)


def losses(rows: list[Row]) -> list[str]:
    """The largest relative difference of the first five losses from the trainer's own."""
    expected = {
        (row["method"], row["precision"], row["batch"]): row["losses"]
        for row in of(rows, "step")
        if row["form"] == "trainer"
    }
    cells = []
    for row in of(rows, "repeat", "step", "benchmark"):
        key = (row["method"], row["precision"], row["batch"])
        if key not in expected or (row["part"] == "step" and row["form"] == "trainer"):
            continue
        form = "trainer, a second run" if row["part"] == "repeat" else row["form"]
        pairs = list(zip(row["losses"], expected[key], strict=True))
        first, *_ = differences = [abs(a - b) / abs(b) for a, b in pairs]
        cells.append([*key, form, row["part"] == "benchmark", f"{first:.1e}"])
        cells[-1].append(f"{max(differences):.1e}")
    names = ("method", "precision", "batch", "form", "cudnn.benchmark", "first step", "five steps")
    return table("Losses: largest relative difference from the trainer's", names, cells)


def profiles(rows: list[Row]) -> list[str]:
    lines: list[str] = []
    measured = of(rows, "profile")
    keys = ("method", "form", "batch", "kernels", "operations", "busy_ms", "span_ms")
    cells = [[row[key] for key in keys] for row in measured]
    names = (*keys[:5], "busy ms", "first to last ms")
    lines += table("Kernels of one step", names, cells)
    for row in measured:
        kinds = ", ".join(f"{kind} {value}" for kind, value in row["kinds"].items())
        lines += [f"{row['method']}, {row['form']}, batch {row['batch']}, in ms: {kinds}.", ""]
        for name, calls, milliseconds in row["top"][:8]:
            lines.append(f"- {milliseconds} ms in {calls}: `{name}`")
        lines.append("")
    return lines


def pieces(rows: list[Row]) -> list[str]:
    cells = []
    for row in of(rows, "piece"):
        graph = None if row["graph"] is None else row["graph"]["ms"]
        cells.append(
            [row["name"], row["batch"], row["eager"]["ms"], row["eager"]["host_ms"], graph]
        )
    names = ("piece", "batch", "ms", "host ms", "ms as a graph")
    lines = table("Pieces of a step, bf16", names, cells)
    for row in of(rows, "folded attack"):
        lines += [
            f"Batch {row['batch']}: the folded attack differs in "
            f"{100 * row['pixels_different']:.2f} % of the pixels, the folded teacher's logits by "
            f"{row['teacher_error']:.1e} (relative norm).",
            "",
        ]
    return lines


def evaluation(rows: list[Row]) -> list[str]:
    cells = []
    for row in of(rows, "evaluation"):
        benchmark = row.get("cudnn_benchmark", False)
        sizes = [row["form"], row["precision"], row["batch"], benchmark]
        cells.append([*sizes, row["ms"], f"{row['images_s']:,}"])
    names = ("form", "precision", "batch", "cudnn.benchmark", "ms", "images/s")
    return table("Evaluation: PGD-20 of the student", names, cells)


def captures(rows: list[Row]) -> list[str]:
    cells = []
    for row in of(rows, "capture"):
        waits = ", ".join(f"{place} ({times})" for place, times in row["waits"].items())
        pairs = list(zip(row["losses"], row["trainer"], strict=False))
        difference = max((abs(a - b) / abs(b) for a, b in pairs), default=None)
        largest = None if difference is None else f"{difference:.1e}"
        cells.append([row["method"], "yes" if row["captured"] else "no", waits, largest])
    names = ("step", "captured", "waits for the device at (times)", "largest difference of losses")
    return table("What a CUDA graph can hold", names, cells)


def problems(rows: list[Row]) -> list[str]:
    lines = [
        "- " + ", ".join(f"{key} {value}" for key, value in row.items() if key != "at")
        for row in rows
        if "failed" in row or "skipped" in row
    ]
    return ["## Failed or skipped", "", *lines, ""] if lines else []
