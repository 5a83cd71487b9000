"""Tables 7 and 8 of the paper, on scikit-learn's digits: which part and which distance gives how much robustness.

    python benchmarks/digits_table.py [--epochs 20 80] [--seeds 5] [--processes 2] [--resume] [--out docs/results]

One TRADES teacher (width 16), students of width 4. Each row: mean ± SD over the seeds of the best checkpoint's test
accuracy. Writes digits_table.json and digits_table.md.
"""

import argparse
import json
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from machine import stamp, write

from core.distillation.__main__ import job
from core.folder import JobFolder
from core.spec.data import DIGITS
from core.spec.fit import resolve
from core.spec.job import AdversarialTraining, Distillation
from core.spec.network import ModelDescription, SmallCnn

RADIUS = 0.15
COMMON: dict[str, Any] = {
    "data": {"dataset": "digits", "held_out": 0.1},
    "adversary": {"name": "pgd", "radius": RADIUS, "step_size": RADIUS / 4, "steps": 10},
    "evaluation": {"attacks": [{"name": "pgd", "steps": 20}, {"name": "cw"}]},
    "export": [],
}
TEACHER = ModelDescription(network=SmallCnn(width=16), classes=10, channels=1, height=8, width=8)
OFF = {"weight": 0.0}


def starship(**parts: Any) -> dict[str, Any]:
    return {"name": "starship", **parts}


def distance(name: str, **settings: Any) -> dict[str, Any]:
    chosen = {"distance": {"name": name, **settings}}
    return starship(covariance=chosen, gram=chosen)


ROWS: dict[str, dict[str, Any]] = {
    "ARKD": {"name": "arkd"},
    "+ FCA": starship(gram=OFF, submatrices=OFF),
    "+ PGM": starship(covariance=OFF, submatrices=OFF),
    "+ FCA + PGM": starship(submatrices=OFF),
    "+ PGM + Omega(Gram)": starship(covariance=OFF, submatrices={"covariance": False}),
    "STARSHIP (MaxExp)": starship(),
    "STARSHIP, teacher's head trained": starship(covariance={"heads": {"teacher": "trained"}}),
    "Ada-STARSHIP (MaxExp)": starship(adaptive=True),
    "STARSHIP, Frobenius": distance("frobenius"),
    "STARSHIP, Power-Euclidean": distance("power_euclidean"),
    "STARSHIP, KL": distance("kl"),
}


def train_teacher(folder: Path) -> dict[str, float]:
    spec = AdversarialTraining.model_validate(
        {**COMMON, "student": TEACHER.network.model_dump(), "schedule": {"epochs": 20}, "seed": 0}
    )
    return run(spec, folder, None)


def run(spec: AdversarialTraining | Distillation, path: Path, teacher: Path | None) -> dict[str, float]:
    """Test accuracies of the best checkpoint, and its PGD-10 accuracy on held-out images, by which readings are chosen."""
    torch.set_num_threads(1)
    folder = JobFolder(path)
    folder.lay_out(resolve(spec, DIGITS), teacher=TEACHER if teacher else None, dataset=DIGITS)
    if teacher is not None:
        folder.teacher_weights.write_bytes(teacher.read_bytes())
    found = folder.read_spec()
    assert isinstance(found, AdversarialTraining | Distillation)
    summary = job(folder, found, lambda: False).run().summary
    history = json.loads((folder.output / "report.json").read_text())["history"]
    return {**summary["accuracy"]["best"], "held_out": history[summary["best_epoch"] - 1]["held_out_robust"]}


def student(method: dict[str, Any], epochs: int, seed: int, teacher: Path) -> dict[str, float]:
    spec = Distillation.model_validate(
        {
            **COMMON,
            "teacher": "teacher",
            "student": {"architecture": "small_cnn", "width": 4},
            "method": method,
            "schedule": {"epochs": epochs},
            "seed": seed,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        return run(spec, Path(folder), teacher)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, nargs="+", default=[20, 80])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--resume", action="store_true", help="keep the rows that are in the result already")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(arguments.processes, get_context("spawn")) as pool:
        teacher = pool.submit(train_teacher, Path(scratch)).result()
        weights = Path(scratch) / "output" / "best.safetensors"
        seeds = range(arguments.seeds)
        settings = {"common": COMMON, "rows": ROWS, "seeds": list(seeds), "teacher_epochs": 20}
        students: dict[str, Any] = earlier(arguments.out, settings) if arguments.resume else {}
        for epochs in arguments.epochs:
            rows = students.setdefault(str(epochs), {})
            missing = {row: method for row, method in ROWS.items() if row not in rows}
            waiting = {
                row: [pool.submit(student, method, epochs, seed, weights) for seed in seeds] for row, method in missing.items()
            }
            for row, futures in waiting.items():
                rows[row] = [future.result() for future in futures]
                data = {"settings": settings, "teacher": teacher, "students": students}
                data |= {"seconds": round(time.monotonic() - began), **stamp()}
                write(arguments.out, "digits_table", data, markdown(data))


def earlier(folder: Path, settings: dict[str, Any]) -> dict[str, dict[str, list[dict[str, float]]]]:
    """The rows that an interrupted run of the same settings has written."""
    path = folder / "digits_table.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"settings": None}
    if found["settings"] != json.loads(json.dumps(settings)):
        raise SystemExit(f"{path} is of other settings; run without --resume.")
    students: dict[str, dict[str, list[dict[str, float]]]] = found["students"]
    return students


def summarise(runs: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation over the seeds, in %."""
    values = {name: [100 * each[name] for each in runs] for name in runs[0]}
    return {name: (statistics.mean(it), statistics.stdev(it) if len(it) > 1 else 0.0) for name, it in values.items()}


def markdown(data: dict[str, Any]) -> str:
    teacher = " | ".join(f"{100 * data['teacher'][name]:.1f}" for name in ("clean", "pgd", "cw", "held_out"))
    lines = [
        "# STARSHIP's parts and distances on digits",
        "",
        f"Written by `benchmarks/digits_table.py`. Test accuracy in %, mean ± SD over {len(data['settings']['seeds'])} seeds; "
        f"8x8 digits, radius {RADIUS}, teacher of width 16 (TRADES, 20 epochs), students of width 4.",
    ]
    for epochs, rows in data["students"].items():
        lines += [
            "",
            f"## {epochs} epochs",
            "",
            "| row | clean | PGD-20 | CW | held-out PGD-10 |",
            "|---|---|---|---|---|",
            f"| teacher | {teacher} |",
        ]
        for row, runs in rows.items():
            cells = " | ".join(f"{mean:.1f} ± {sd:.1f}" for mean, sd in summarise(runs).values())
            lines.append(f"| {row} | {cells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
