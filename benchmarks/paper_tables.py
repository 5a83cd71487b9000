"""The paper's tables, made anew: a teacher, every student of a table under one schedule, several seeds, the same evaluation.

    python benchmarks/paper_tables.py --table 1 [--scale small] [--epochs 40] [--seeds 5] [--processes 2]
    python benchmarks/paper_tables.py --table 2 --scale cifar10 --data FOLDER --work FOLDER --minutes 25

Tables: 1 (a larger teacher), 2 (self-distillation), 6 (single-step adversary), 7 (ablation), 8 (distances).
small: scikit-learn's digits, TRADES teacher, CPU. cifar10: 32x32 images from a folder (train/CLASS/..., test/CLASS/...), sized
for one large GPU.
Every run is a job in a folder below --work: what was begun goes on where it stopped, what is done is not done again.
Writes docs/results/paper_table_N_SCALE.json and .md with whatever is done.
"""

import argparse
import json
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from machine import stamp, write

from core.distillation.__main__ import job
from core.distillation.data.importing import PACKED_NAME, import_dataset
from core.folder import Imported, JobFolder
from core.spec.data import DIGITS, DatasetDescription
from core.spec.fit import resolve
from core.spec.job import AdversarialTraining, Distillation, ImportDataset
from core.spec.network import ModelDescription

OFF = {"weight": 0.0}
N_FGSM = {"adversary": {"name": "n_fgsm"}}


def starship(**parts: Any) -> dict[str, Any]:
    return {"method": {"name": "starship", **parts}}


def distance(name: str) -> dict[str, Any]:
    chosen = {"distance": {"name": name}}
    return starship(covariance=chosen, gram=chosen)


COMPARED: dict[str, dict[str, Any]] = {
    "ARD": {"method": {"name": "ard"}},
    "IAD": {"method": {"name": "iad"}},
    "RSLAD": {"method": {"name": "rslad"}},
    "AKD": {"method": {"name": "akd"}},
    "AdaAD": {"method": {"name": "adaad"}},
    "ARKD": {"method": {"name": "arkd"}},
    "STARSHIP": starship(),
    "Ada-STARSHIP": starship(adaptive=True),
}
ABLATION: dict[str, dict[str, Any]] = {
    "ARKD": {"method": {"name": "arkd"}},
    "+ FCA": starship(gram=OFF, submatrices=OFF),
    "+ PGM": starship(covariance=OFF, submatrices=OFF),
    "+ FCA + PGM": starship(submatrices=OFF),
    "+ PGM + Omega(Gram)": starship(covariance=OFF, submatrices={"covariance": False}),
    "STARSHIP": starship(),
}
DISTANCES: dict[str, dict[str, Any]] = {
    "Frobenius": distance("frobenius"),
    "Power-Euclidean": distance("power_euclidean"),
    "KL": distance("kl"),
    "MaxExp": starship(),
}
TABLES: dict[int, tuple[str, dict[str, dict[str, Any]]]] = {
    1: ("Distilled from a larger teacher", COMPARED),
    2: ("Self-distillation", COMPARED),
    6: ("Single-step adversary", {name: row | N_FGSM for name, row in COMPARED.items()}),
    7: ("Ablation", ABLATION),
    8: ("Distances", DISTANCES),
}
MEASURES = ("clean", "pgd", "cw", "autoattack", "held_out_robust")


class Scale:
    """Networks, data and settings that all runs of a scale share."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.small = arguments.scale == "small"
        self.epochs = arguments.epochs or (40 if self.small else 30)
        radius = 0.15 if self.small else 8 / 255
        self.description = DIGITS if self.small else imported(arguments.data, arguments.work)
        self.dataset_file = None if self.small else arguments.work / "dataset" / "output" / PACKED_NAME
        narrow = {"architecture": "small_cnn", "width": 4} if self.small else {"architecture": "resnet18"}
        wide = {"architecture": "small_cnn", "width": 16} if self.small else {"architecture": "resnet34"}
        self.student = narrow
        self.teacher = narrow if arguments.table == 2 else wide
        schedule: dict[str, Any] = {"epochs": self.epochs, "checkpoint_seconds": 3600.0 if self.small else 60.0}
        schedule |= {} if self.small else {"precision": "bf16", "batch_size": 128}
        attacks: list[dict[str, Any]] = [{"name": "pgd"}, {"name": "cw"}, {"name": "autoattack"}]
        evaluation: dict[str, Any] = {"attacks": attacks, "every_epochs": 1 if self.small else 2}
        evaluation |= {} if self.small else {"limit": arguments.test_images, "batch_size": 1000}
        self.common: dict[str, Any] = {
            "data": {"dataset": "digits" if self.small else "cifar10", "held_out": 0.1 if self.small else 0.02},
            "adversary": {"name": "pgd", "radius": radius, "step_size": radius / 4, "steps": 10},
            "schedule": schedule,
            "evaluation": evaluation,
            "export": [],
        }

    def job_body(self, row: dict[str, Any], seed: int) -> dict[str, Any]:
        adversary = row.get("adversary", {})
        if adversary:
            adversary = {**adversary, "radius": self.common["adversary"]["radius"]}
        return {**self.common, **row, "adversary": adversary or self.common["adversary"], "seed": seed}


def imported(images: Path, work: Path) -> DatasetDescription:
    """The folder of images as one packed file, made once."""
    folder = JobFolder(work / "dataset")
    if not (folder.output / PACKED_NAME).exists():
        folder.lay_out(ImportDataset(dataset_id="benchmark", source="folder", folder="images"))
        folder.upload.unlink(missing_ok=True)
        folder.upload.symlink_to(images.absolute())
        import_dataset(folder)
    event = next(event for event in folder.read_events()[0] if isinstance(event, Imported))
    assert event.dataset is not None
    return event.dataset


def run(path: Path, body: dict[str, Any], scale: Scale, teacher: Path | None, deadline: float) -> dict[str, float] | None:
    """The numbers of the best checkpoint; None where the deadline came first, and the job can go on another time."""
    torch.set_num_threads(1 if scale.small else 8)
    kind = Distillation if teacher else AdversarialTraining
    spec = resolve(kind.model_validate(body), scale.description)
    folder = JobFolder(path)
    report = folder.output / "report.json"
    if not (report.exists() and folder.read_spec() == spec):
        description = ModelDescription.model_validate({"network": scale.teacher, **shape(scale.description)})
        folder.lay_out(spec, teacher=description if teacher else None, dataset=scale.description)
        if teacher is not None:
            folder.teacher_weights.write_bytes(teacher.read_bytes())
        if scale.dataset_file is not None and not folder.dataset_file.exists():
            folder.dataset_file.symlink_to(scale.dataset_file.absolute())
        newest = sorted(folder.output.glob("checkpoint-*.safetensors"))
        if newest:
            folder.checkpoint.write_bytes(newest[-1].read_bytes())
        if job(folder, spec, lambda: time.time() > deadline).run().outcome != "succeeded":
            return None
    content = json.loads(report.read_text())
    best = content["history"][content["network"]["best_epoch"] - 1]
    found = {name: it["value"] for name, it in content["results"]["best"].items()}
    return found | {"held_out_robust": best["held_out_robust"], "training_seconds": content["seconds"].get("training", 0.0)}


def shape(description: DatasetDescription) -> dict[str, int]:
    return {name: getattr(description, name) for name in ("classes", "channels", "height", "width")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=int, choices=TABLES, default=1)
    parser.add_argument("--scale", choices=["small", "cifar10"], default="small")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2, help="1 on a GPU")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop what is running then, and write what is done")
    parser.add_argument("--data", type=Path, help="folder of images, for cifar10")
    parser.add_argument("--test-images", type=int, default=1000, help="of cifar10's, for the evaluation")
    parser.add_argument("--work", type=Path, default=Path("paper-tables"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    deadline, began = time.time() + 60 * arguments.minutes, time.monotonic()
    scale = Scale(arguments)
    title, rows = TABLES[arguments.table]
    work = arguments.work / f"{arguments.scale}-{arguments.table}"
    with ProcessPoolExecutor(arguments.processes, get_context("spawn")) as pool:
        body = {**scale.common, "student": scale.teacher, "method": {"name": "trades"}, "seed": 1000}
        teacher = pool.submit(run, work / "teacher", body, scale, None, deadline).result()
        if teacher is None:
            print("The teacher is not done yet: run it again.")
            return
        weights = work / "teacher" / "output" / "best.safetensors"
        waiting = {}
        for seed in range(arguments.seeds):
            for name, row in rows.items():
                body = {**scale.job_body(row, seed), "teacher": "teacher", "student": scale.student}
                waiting[pool.submit(run, work / f"{name}-{seed}", body, scale, weights, deadline)] = (name, seed)
        students: dict[str, dict[int, dict[str, float]]] = {name: {} for name in rows}
        for future in as_completed(waiting):
            name, seed = waiting[future]
            found = future.result()
            if found is not None:
                students[name][seed] = found
    data: dict[str, Any] = {"table": arguments.table, "title": title, "scale": arguments.scale, "epochs": scale.epochs}
    data |= {"common": scale.common, "teacher_network": scale.teacher, "student_network": scale.student, "rows": rows}
    data |= {"teacher": teacher, "students": students, "seconds": round(time.monotonic() - began), **stamp()}
    write(arguments.out, f"paper_table_{arguments.table}_{arguments.scale}", data, markdown(data))


def markdown(data: dict[str, Any]) -> str:
    network = json.dumps(data["student_network"])
    lines = [
        f"# Table {data['table']} at scale {data['scale']}: {data['title'].lower()}",
        "",
        "Written by `benchmarks/paper_tables.py`. Test accuracy in % of the best checkpoint (chosen by held-out PGD-10), "
        f"mean ± SD over the seeds. TRADES teacher {json.dumps(data['teacher_network'])}, students {network}, "
        f"{data['epochs']} epochs each, one schedule for all.",
        "",
        "| row | seeds | clean | PGD-20 | CW | AutoAttack | held-out PGD-10 |",
        "|---|---|---|---|---|---|---|",
        "| teacher | 1 | " + " | ".join(f"{100 * data['teacher'][name]:.1f}" for name in MEASURES) + " |",
    ]
    for row, runs in data["students"].items():
        cells = " | ".join(spread([100 * each[name] for each in runs.values()]) for name in MEASURES)
        lines.append(f"| {row} | {len(runs)} | {cells} |")
    return "\n".join(lines) + "\n"


def spread(values: list[float]) -> str:
    if not values:
        return "-"
    return f"{statistics.mean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
