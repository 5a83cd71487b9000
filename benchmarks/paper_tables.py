"""Reproduce the paper's tables: one teacher, all students of a table, one schedule, several seeds.

    python benchmarks/paper_tables.py --table 1 [--scale small] [--epochs 40] [--seeds 5]
                                      [--processes 2]
    python benchmarks/paper_tables.py --table 2 --scale cifar10 --data FOLDER --work FOLDER
                                      --minutes 25

The rows are those of docs/paper/tableN.yaml (or readings.yaml), a sweep as the service runs it.
The scale says on what:

small: scikit-learn's digits and narrow networks, on a CPU.
cifar10: 32x32 images from a folder (train/CLASS/..., test/CLASS/...), sized for one large GPU.

Every run is a job folder below --work: an interrupted run resumes, a finished one is not repeated.
Writes docs/results/paper_table_N_SCALE.json and .md with the runs that are finished.
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
from flops import flops_per_image, matrix_rate
from result_files import stamp, write

from core.distillation.__main__ import create_run
from core.distillation.jobs.dataset_import import PACKED_NAME, import_dataset
from core.distillation.jobs.run import select_device
from core.job_folder import Imported, JobFolder
from core.jobspec.compatibility import steps_per_epoch
from core.jobspec.data import DIGITS, DatasetDescription
from core.jobspec.defaults import resolve
from core.jobspec.job import AdversarialTrainingSpec, DistillationSpec, ImportDatasetSpec
from core.jobspec.merge_patch import merge
from core.jobspec.network import ModelDescription
from core.jobspec.resolved import ResolvedDistillationSpec, ResolvedTrainingSpec
from core.jobspec.sweep import SweepPoint, SweepSpec, expand
from core.reportspec.attack_keys import held_out_key
from core.reportspec.measures import HELD_OUT_ROBUST, column_heading, describe
from core.reportspec.table import JobOutcome, Table, tabulate
from distill_client import spec_file

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
COLUMNS = ("clean", *ATTACKS, HELD_OUT_ROBUST)
SECONDS = "training_seconds_per_epoch"
SPEED = "training_images_per_second"
SHARE = "training_share_of_matrix_rate"
TITLES = {SECONDS: "s per epoch", SPEED: "images/s", SHARE: "share of the matrix rate"}
NARROW = {"architecture": "small_cnn", "width": 4}
WIDE = {"architecture": "small_cnn", "width": 16}
RESNET_18 = {"architecture": "resnet18"}
RESNET_34 = {"architecture": "resnet34"}


@dataclass(frozen=True)
class Scale:
    """Data, networks and radius of a table, the same for all of its rows."""

    name: str
    radius: float
    networks: tuple[dict[str, Any], dict[str, Any]]
    """The students' network, and that of a larger teacher."""
    description: DatasetDescription
    dataset_file: Path | None
    changes: dict[str, Any]
    """A merge patch on the table's base."""
    threads: int

    def sweep(self, table: str, seeds: int, row_names: list[str]) -> SweepSpec:
        """The table as a sweep on this scale; without ``row_names``, all rows."""
        spec = spec_file.load(
            SPECS / (f"{table}.yaml" if table == "readings" else f"table{table}.yaml"), []
        )
        own = {
            "student": self.networks[0],
            "teacher": "teacher",
            "adversary": self.adversary(spec["base"]["adversary"]),
        }
        base = merge(merge(spec["base"], self.changes), own, discriminators=("architecture",))
        rows = [row for row in spec["rows"] if not row_names or row["name"] in row_names]
        return SweepSpec.model_validate(
            {"base": base, "rows": rows, "axes": {"seed": list(range(seeds))}}
        )

    def adversary(self, table_adversary: dict[str, Any]) -> dict[str, Any]:
        """The table's adversary at this scale's radius."""
        steps = {"step_size": self.radius / 4} if "step_size" in table_adversary else {}
        return {"radius": self.radius, **steps}

    def teacher(self, table: str) -> dict[str, Any]:
        """The TRADES teacher's job; in self-distillation its network is the students'."""
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
        return dict(merge({"seed": TEACHER_SEED, **own}, self.changes))


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
    description = import_images(arguments.data, arguments.work)
    packed = arguments.work / "dataset" / "output" / PACKED_NAME
    return Scale(
        "cifar10", 8 / 255, (RESNET_18, RESNET_34), description, packed, changes, threads=8
    )


def attacks(arguments: argparse.Namespace) -> list[dict[str, str]]:
    return [{"name": name} for name in arguments.attacks]


def import_images(images: Path, work: Path) -> DatasetDescription:
    """Import the folder of images into one packed file, once."""
    folder = JobFolder(work / "dataset")
    if not (folder.output / PACKED_NAME).exists():
        folder.create(ImportDatasetSpec(dataset_id="benchmark", source="folder", folder="images"))
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
    def spec(self) -> ResolvedTrainingSpec:
        kind = DistillationSpec if self.teacher else AdversarialTrainingSpec
        return resolve(kind.model_validate(self.body), self.scale.description)

    def __call__(self, deadline: float) -> dict[str, float] | None:
        """Results of the best checkpoint; None if the deadline came first. It can be resumed."""
        torch.set_num_threads(self.scale.threads)
        spec = self.spec
        folder = JobFolder(self.path)
        report = folder.output / "report.json"
        if not (report.exists() and folder.read_spec() == spec):
            self.lay_out(folder, spec)
            ended = create_run(folder, spec, lambda: time.time() > deadline).run()
            if ended.outcome != "succeeded":
                return None
        return self.numbers(json.loads(report.read_text()))

    @property
    def teacher_description(self) -> ModelDescription:
        return ModelDescription.model_validate(
            {"network": self.teacher_network, **shape(self.scale.description)}
        )

    def share(self, images_per_second: float, rate: float) -> float:
        """Share of the device's matrix rate that training reaches, validation time included."""
        assert isinstance(self.spec, ResolvedDistillationSpec)
        return (
            images_per_second
            * flops_per_image(self.spec, self.teacher_description, self.scale.description)
            / rate
        )

    def lay_out(self, folder: JobFolder, spec: ResolvedTrainingSpec) -> None:
        scale = self.scale
        folder.create(
            spec,
            teacher=self.teacher_description if self.teacher else None,
            dataset=scale.description,
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
        values = {
            name: entry["value"]
            for name, entry in report["results"]["best"].items()
            if entry["value"] is not None
        }
        seconds = report["seconds"].get("training", 0.0) / len(report["history"])
        images = steps_per_epoch(self.spec, self.scale.description) * self.spec.schedule.batch_size
        speed = {SECONDS: seconds, SPEED: images / max(seconds, 1e-9)}
        held_out = held_out_key(self.spec.adversary.radius)
        return values | speed | {held_out: best["held_out_robust"]}


def shape(description: DatasetDescription) -> dict[str, int]:
    return {name: getattr(description, name) for name in ("classes", "channels", "height", "width")}


def main() -> None:
    arguments = parse_arguments()
    deadline = time.time() + 60 * arguments.minutes
    start = time.monotonic()
    scale = {"small": small, "cifar10": cifar10}[arguments.scale](arguments)
    rate = matrix_rate(select_device(), scale.changes["schedule"].get("precision", "fp32"))
    work = arguments.work / f"{arguments.scale}-{arguments.table}"
    teacher_body = scale.teacher(arguments.table)
    with ProcessPoolExecutor(arguments.processes, get_context("spawn")) as pool:
        teacher = pool.submit(Run(scale, work / "teacher", teacher_body), deadline).result()
        if teacher is None:
            print("The teacher is not finished: run this again.")
            return
        sweep = scale.sweep(arguments.table, arguments.seeds, arguments.rows)
        runs = student_runs(scale, sweep, work, teacher_body["student"])
        students = run_students(pool, runs, deadline, rate)
    order = [row.name for row in sweep.rows]
    students.sort(key=lambda student: (order.index(student["line"]), student["seed"]))
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
        "seconds": round(time.monotonic() - start),
        **stamp(),
    }
    write(arguments.out, f"paper_table_{arguments.table}_{arguments.scale}", data, markdown(data))


def student_runs(
    scale: Scale, sweep: SweepSpec, work: Path, teacher_network: dict[str, Any]
) -> list[tuple[SweepPoint, Run]]:
    """One run for each point of the sweep, all with the same teacher."""
    weights = work / "teacher" / "output" / "best.safetensors"
    return [
        (point, Run(scale, work / folder_name(point), point.body, weights, teacher_network))
        for point in expand(sweep)
    ]


def folder_name(point: SweepPoint) -> str:
    return point.title.replace("/", " ")


def run_students(
    pool: ProcessPoolExecutor, runs: list[tuple[SweepPoint, Run]], deadline: float, rate: float
) -> list[dict[str, Any]]:
    """Line, seed and results of each run; results are None where the deadline came first."""
    futures = {pool.submit(run, deadline): (point, run) for point, run in runs}
    students = []
    for future in as_completed(futures):
        point, run = futures[future]
        results = future.result()
        if results is not None:
            results[SHARE] = run.share(results[SPEED], rate)
        students.append(
            {"line": point.line_name, "seed": point.settings["seed"], "results": results}
        )
    return students


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", choices=TABLES, default="1")
    parser.add_argument("--scale", choices=["small", "cifar10"], default="small")
    parser.add_argument(
        "--rows", nargs="+", default=[], metavar="ROW", help="rows of the table; default: all"
    )
    parser.add_argument(
        "--attacks", nargs="+", choices=ATTACKS, default=ATTACKS, help="attacks of the evaluation"
    )
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--width", type=int, default=4, help="width of the small students")
    parser.add_argument("--held-out", type=float, help="share of training images held out")
    parser.add_argument("--processes", type=int, default=2, help="1 on a GPU")
    parser.add_argument(
        "--minutes",
        type=float,
        default=1e6,
        help="stop after this time, and write what is finished",
    )
    parser.add_argument("--compile", action="store_true", help="compile cifar10's networks")
    parser.add_argument("--data", type=Path, help="folder of images, for cifar10")
    parser.add_argument("--test-images", type=int, default=1000, help="test images of cifar10")
    parser.add_argument("--work", type=Path, default=Path("paper-tables"))
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    return parser.parse_args()


def markdown(data: dict[str, Any]) -> str:
    table = tabulate(outcomes(data))
    # Several processes share one CPU: their speed says nothing.
    speeds = () if data["scale"] == "small" else TITLES
    measures = [key for key in table.measures if describe(key).name in (*COLUMNS, *speeds)]
    schedule = data["base"]["schedule"]
    lines = [
        f"# {data['title'].capitalize()}, at scale {data['scale']}",
        "",
        "Written by `benchmarks/paper_tables.py`. Test accuracy in % of the best checkpoint "
        "(chosen by held-out PGD-10), mean ± SD over the seeds. "
        f"TRADES teacher {json.dumps(data['teacher_body']['student'])}, "
        f"students {json.dumps(data['base']['student'])}, {schedule['epochs']} epochs each, one "
        "schedule for all. In bold the row with the highest held-out accuracy."
        + (f" Measured matrix rate: {data['matrix_flops'] / 1e12:.3g} TFLOP/s." if speeds else ""),
        "",
        "| row | seeds | "
        + " | ".join(TITLES.get(name) or column_heading(name) for name in measures)
        + " |",
        "|" + "---|" * (len(measures) + 2),
        "| teacher | 1 | " + " | ".join(teacher_cell(data, name) for name in measures) + " |",
    ]
    return "\n".join([*lines, *rows(table, measures)]) + "\n"


def outcomes(data: dict[str, Any]) -> Iterator[JobOutcome]:
    for each in data["students"]:
        yield JobOutcome(each["line"], each["results"] is not None, {"best": each["results"] or {}})


def teacher_cell(data: dict[str, Any], measure: str) -> str:
    value = data["teacher"].get(measure)
    if value is None:
        return "–"
    return f"{value:.4g}" if measure in TITLES else f"{100 * value:.2f}"


def rows(table: Table, measures: list[str]) -> Iterator[str]:
    for line in table.lines:
        cells = [line.name, str(line.done), *(line.text(name) or "–" for name in measures)]
        yield "| " + " | ".join(f"**{cell}**" if line.best else cell for cell in cells) + " |"


if __name__ == "__main__":
    main()
