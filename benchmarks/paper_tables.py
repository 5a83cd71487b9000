"""The paper's tables, made anew: a teacher, every student of a table under one schedule, several seeds, the same evaluation.

    python benchmarks/paper_tables.py --table 1 [--scale small] [--epochs 40] [--seeds 5] [--processes 2]
    python benchmarks/paper_tables.py --table 2 --scale cifar10 --data FOLDER --work FOLDER --minutes 25

A table's rows are those of docs/paper/tableN.yaml (or readings.yaml), a sweep as the service takes it; the scale says on what.
small: scikit-learn's digits and narrow networks, CPU.
cifar10: 32x32 images from a folder (train/CLASS/..., test/CLASS/...), sized for one large GPU.
Every run is a job in a folder below --work: what was begun goes on where it stopped, what is done is not done again.
Writes docs/results/paper_table_N_SCALE.json and .md with whatever is done.
"""

import argparse
import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from machine import stamp, write
from rates import flops_per_image, matrix_rate

from client import jobfile
from core.distillation.__main__ import job
from core.distillation.jobs.dataset_import import PACKED_NAME, import_dataset
from core.distillation.jobs.run import chosen_device
from core.job_folder import Imported, JobFolder
from core.jobspec.compatibility import steps_per_epoch
from core.jobspec.data import DIGITS, DatasetDescription
from core.jobspec.defaults import resolve
from core.jobspec.job import AdversarialTrainingSpec, DistillationSpec, ImportDatasetSpec
from core.jobspec.merge_patch import merged
from core.jobspec.network import ModelDescription
from core.jobspec.sweep import SweepSpec, points
from core.reportspec.measures import heading
from core.reportspec.table import Outcome, Table, tabulate

SPECS = Path(__file__).parents[1] / "docs" / "paper"
TABLES = {
    "1": "table 1, distilled from a larger teacher",
    "2": "table 2, self-distillation",
    "6": "table 6, single-step adversary",
    "7": "table 7, ablation",
    "8": "table 8, distances",
    "readings": "what the paper leaves open",
}
TEACHER_SEED = 1000
ATTACKS = ["pgd", "cw", "autoattack"]
SHOWN = ("clean", "pgd", "cw", "autoattack", "held_out_robust")
SECONDS, SPEED, SHARE = (
    "training_seconds_per_epoch",
    "training_images_per_second",
    "training_share_of_matrix_rate",
)
TITLES = {SECONDS: "s per epoch", SPEED: "images/s", SHARE: "share of the matrix rate"}
NARROW, WIDE = {"architecture": "small_cnn", "width": 4}, {"architecture": "small_cnn", "width": 16}
RESNET_18, RESNET_34 = {"architecture": "resnet18"}, {"architecture": "resnet34"}


@dataclass(frozen=True)
class Scale:
    """What a table is made on: the same for all of its rows."""

    name: str
    radius: float
    networks: tuple[dict[str, Any], dict[str, Any]]
    """Students', and that of a larger teacher."""
    description: DatasetDescription
    dataset_file: Path | None
    changes: dict[str, Any]
    """A merge patch on the table's base."""
    threads: int

    def sweep(self, table: str, seeds: int, chosen: list[str]) -> SweepSpec:
        spec = jobfile.load(
            SPECS / (f"{table}.yaml" if table == "readings" else f"table{table}.yaml"), []
        )
        own = {
            "student": self.networks[0],
            "teacher": "teacher",
            "adversary": self.adversary(spec["base"]["adversary"]),
        }
        base = merged(merged(spec["base"], self.changes), own, tags=("architecture",))
        rows = [row for row in spec["rows"] if not chosen or row["name"] in chosen]
        return SweepSpec.model_validate(
            {"base": base, "rows": rows, "axes": {"seed": list(range(seeds))}}
        )

    def adversary(self, its: dict[str, Any]) -> dict[str, Any]:
        steps = {"step_size": self.radius / 4} if "step_size" in its else {}
        return {"radius": self.radius, **steps}

    def teacher(self, table: str) -> dict[str, Any]:
        """A TRADES network, trained as its students are: theirs in self-distillation, else the larger one."""
        adversary = {
            "name": "pgd",
            "radius": self.radius,
            "step_size": self.radius / 4,
            "steps": 10,
        }
        own = {
            "student": self.networks[0 if table == "2" else 1],
            "method": {"name": "trades"},
            "adversary": adversary,
        }
        return dict(merged({"seed": TEACHER_SEED, **own}, self.changes))


def small(arguments: argparse.Namespace) -> Scale:
    changes = {
        "data": {"dataset": "digits", "held_out": arguments.held_out or 0.1},
        "schedule": {"epochs": arguments.epochs or 40, "checkpoint_seconds": 3600.0},
        "evaluation": {"attacks": attacks(arguments)},
        "export": [],
    }
    networks = ({**NARROW, "width": arguments.width}, WIDE)
    return Scale("small", 0.15, networks, DIGITS, None, changes, threads=1)


def cifar10(arguments: argparse.Namespace) -> Scale:
    changes = {
        "data": {"dataset": "cifar10", "held_out": arguments.held_out or 0.02},
        "schedule": {
            "epochs": arguments.epochs or 30,
            "precision": "bf16",
            "compile": arguments.compile,
        },
        "evaluation": {
            "attacks": attacks(arguments),
            "limit": arguments.test_images,
            "batch_size": 1000,
            "every_epochs": 2,
        },
        "export": [],
    }
    description = imported(arguments.data, arguments.work)
    packed = arguments.work / "dataset" / "output" / PACKED_NAME
    return Scale(
        "cifar10", 8 / 255, (RESNET_18, RESNET_34), description, packed, changes, threads=8
    )


def attacks(arguments: argparse.Namespace) -> list[dict[str, str]]:
    return [{"name": name} for name in arguments.attacks]


def imported(images: Path, work: Path) -> DatasetDescription:
    """The folder of images as one packed file, made once."""
    folder = JobFolder(work / "dataset")
    if not (folder.output / PACKED_NAME).exists():
        folder.lay_out(ImportDatasetSpec(dataset_id="benchmark", source="folder", folder="images"))
        folder.upload.unlink(missing_ok=True)
        folder.upload.symlink_to(images.absolute())
        import_dataset(folder)
    event = next(event for event in folder.read_events()[0] if isinstance(event, Imported))
    assert event.dataset is not None
    return event.dataset


@dataclass(frozen=True)
class Run:
    """One job in its folder, in a process of its own."""

    scale: Scale
    path: Path
    body: dict[str, Any]
    teacher: Path | None = None
    teacher_network: dict[str, Any] | None = None

    @property
    def spec(self) -> AdversarialTrainingSpec | DistillationSpec:
        kind = DistillationSpec if self.teacher else AdversarialTrainingSpec
        return resolve(kind.model_validate(self.body), self.scale.description)

    def __call__(self, deadline: float) -> dict[str, float] | None:
        """The numbers of the best checkpoint; None where the deadline came first, and the job can go on another time."""
        torch.set_num_threads(self.scale.threads)
        spec = self.spec
        folder = JobFolder(self.path)
        report = folder.output / "report.json"
        if not (report.exists() and folder.read_spec() == spec):
            self.lay_out(folder, spec)
            if job(folder, spec, lambda: time.time() > deadline).run().outcome != "succeeded":
                return None
        return self.numbers(json.loads(report.read_text()))

    @property
    def taught_by(self) -> ModelDescription:
        return ModelDescription.model_validate(
            {"network": self.teacher_network, **shape(self.scale.description)}
        )

    def share(self, images_per_second: float, rate: float) -> float:
        """Of the device's matrix rate, that the training's arithmetic makes up: judging epochs on held-out images costs it."""
        assert isinstance(self.spec, DistillationSpec)
        return (
            images_per_second
            * flops_per_image(self.spec, self.taught_by, self.scale.description)
            / rate
        )

    def lay_out(self, folder: JobFolder, spec: AdversarialTrainingSpec | DistillationSpec) -> None:
        scale = self.scale
        folder.lay_out(
            spec, teacher=self.taught_by if self.teacher else None, dataset=scale.description
        )
        if self.teacher is not None:
            folder.teacher_weights.write_bytes(self.teacher.read_bytes())
        if scale.dataset_file is not None and not folder.dataset_file.exists():
            folder.dataset_file.symlink_to(scale.dataset_file.absolute())
        newest = sorted(folder.output.glob("checkpoint-*.safetensors"))
        if newest:
            folder.checkpoint.write_bytes(newest[-1].read_bytes())

    def numbers(self, report: dict[str, Any]) -> dict[str, float]:
        best = report["history"][report["network"]["best_epoch"] - 1]
        measured = {
            name: it["value"]
            for name, it in report["results"]["best"].items()
            if it["value"] is not None
        }
        seconds = report["seconds"].get("training", 0.0) / len(report["history"])
        images = steps_per_epoch(self.spec, self.scale.description) * self.spec.schedule.batch_size
        speed = {SECONDS: seconds, SPEED: images / max(seconds, 1e-9)}
        return measured | speed | {"held_out_robust": best["held_out_robust"]}


def shape(description: DatasetDescription) -> dict[str, int]:
    return {name: getattr(description, name) for name in ("classes", "channels", "height", "width")}


def main() -> None:
    arguments = asked()
    deadline, began = time.time() + 60 * arguments.minutes, time.monotonic()
    scale = {"small": small, "cifar10": cifar10}[arguments.scale](arguments)
    rate = matrix_rate(chosen_device(), scale.changes["schedule"].get("precision", "fp32"))
    work = arguments.work / f"{arguments.scale}-{arguments.table}"
    teacher_body = scale.teacher(arguments.table)
    with ProcessPoolExecutor(arguments.processes, get_context("spawn")) as pool:
        teacher = pool.submit(Run(scale, work / "teacher", teacher_body), deadline).result()
        if teacher is None:
            print("The teacher is not done yet: run it again.")
            return
        weights = work / "teacher" / "output" / "best.safetensors"
        sweep = scale.sweep(arguments.table, arguments.seeds, arguments.rows)
        waiting = {}
        for point in points(sweep):
            run = Run(
                scale,
                work / point.title.replace("/", " "),
                point.body,
                weights,
                teacher_body["student"],
            )
            waiting[pool.submit(run, deadline)] = (point, run)
        students = []
        for future in as_completed(waiting):
            (point, run), found = waiting[future], future.result()
            if found is not None:
                found[SHARE] = run.share(found[SPEED], rate)
            students.append({"line": point.line, "seed": point.settings["seed"], "results": found})
    order = [row.name for row in sweep.rows]
    students.sort(key=lambda it: (order.index(it["line"]), it["seed"]))
    data: dict[str, Any] = {
        "table": arguments.table,
        "title": TABLES[arguments.table],
        "scale": arguments.scale,
    }
    data |= {
        "base": sweep.base,
        "rows": {row.name: row.changes for row in sweep.rows},
        "teacher_body": teacher_body,
    }
    data |= {
        "teacher": teacher,
        "students": students,
        "matrix_flops": rate,
        "seconds": round(time.monotonic() - began),
        **stamp(),
    }
    write(arguments.out, f"paper_table_{arguments.table}_{arguments.scale}", data, markdown(data))


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", choices=TABLES, default="1")
    parser.add_argument("--scale", choices=["small", "cifar10"], default="small")
    parser.add_argument(
        "--rows", nargs="+", default=[], metavar="ROW", help="of the table; all, if not given"
    )
    parser.add_argument(
        "--attacks", nargs="+", choices=ATTACKS, default=ATTACKS, help="of the evaluation"
    )
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--width", type=int, default=4, help="of the small students")
    parser.add_argument(
        "--held-out", type=float, help="share of the training images that choose the best epoch"
    )
    parser.add_argument("--processes", type=int, default=2, help="1 on a GPU")
    parser.add_argument(
        "--minutes",
        type=float,
        default=1e6,
        help="stop what is running then, and write what is done",
    )
    parser.add_argument(
        "--compile", action="store_true", help="cifar10's networks, through torch.compile"
    )
    parser.add_argument("--data", type=Path, help="folder of images, for cifar10")
    parser.add_argument(
        "--test-images", type=int, default=1000, help="of cifar10's, for the evaluation"
    )
    parser.add_argument("--work", type=Path, default=Path("paper-tables"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    return parser.parse_args()


def markdown(data: dict[str, Any]) -> str:
    table = tabulate(outcomes(data))
    # Several processes on one CPU: their speed says nothing.
    speeds = () if data["scale"] == "small" else TITLES
    measures = [name for name in (*SHOWN, *speeds) if name in table.measures]
    schedule = data["base"]["schedule"]
    lines = [
        f"# {data['title'].capitalize()}, at scale {data['scale']}",
        "",
        "Written by `benchmarks/paper_tables.py`. Test accuracy in % of the best checkpoint (chosen by held-out PGD-10), "
        f"mean ± SD over the seeds. TRADES teacher {json.dumps(data['teacher_body']['student'])}, "
        f"students {json.dumps(data['base']['student'])}, {schedule['epochs']} epochs each, one schedule for all. "
        "In bold the row with the highest held-out accuracy."
        + (f" Measured matrix rate: {data['matrix_flops'] / 1e12:.3g} TFLOP/s." if speeds else ""),
        "",
        "| row | seeds | "
        + " | ".join(TITLES.get(name) or heading(name) for name in measures)
        + " |",
        "|" + "---|" * (len(measures) + 2),
        "| teacher | 1 | " + " | ".join(teachers(data, name) for name in measures) + " |",
    ]
    return "\n".join([*lines, *rows(table, measures)]) + "\n"


def outcomes(data: dict[str, Any]) -> Iterator[Outcome]:
    for each in data["students"]:
        yield Outcome(each["line"], each["results"] is not None, {"best": each["results"] or {}})


def teachers(data: dict[str, Any], measure: str) -> str:
    value = data["teacher"].get(measure)
    return "–" if value is None else f"{value:.4g}" if measure in TITLES else f"{100 * value:.2f}"


def rows(table: Table, measures: list[str]) -> Iterator[str]:
    for line in table.lines:
        cells = [line.name, str(line.done), *(line.text(name) or "–" for name in measures)]
        yield "| " + " | ".join(f"**{cell}**" if line.best else cell for cell in cells) + " |"


if __name__ == "__main__":
    main()
