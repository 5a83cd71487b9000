"""Memory estimates of dry runs beside what CUDA really allocates.

    python benchmarks/memory_estimate.py [--out docs/results] [--smoke] [--measured FILE]

For each job the estimate comes from ``python -m core.distillation.memory_estimate``, as workers
make it. Then two steps of the job's trainer run on random images, and its held-out images are
attacked, and the peaks of ``torch.cuda.max_memory_allocated`` are read: of a step and of the
evaluation. Each row is printed at once. On one GPU it takes about two minutes. ``--smoke`` runs on
a CPU, tiny, with the peaks that the estimator's own counter sees. ``--measured FILE`` takes the
peaks from the JSON of an earlier run on a GPU, and only estimates anew.
"""

import argparse
import gc
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gpu_parts.session import network_description, on_device
from result_files import stamp, write

from core.distillation.data.batches import Batches
from core.distillation.data.images import Images
from core.distillation.memory_estimate.live_memory import LiveMemory
from core.distillation.metering.energy import Meter
from core.distillation.metering.stopwatch import Stopwatch
from core.distillation.methods import build
from core.distillation.models import from_description
from core.distillation.training.trainer import Trainer
from core.jobspec.cost.memory import MemoryRequest, training_request
from core.jobspec.data import DatasetDescription
from core.jobspec.defaults import resolve
from core.jobspec.job import AdversarialTrainingSpec, DistillationSpec
from core.jobspec.resolved import ResolvedTrainingSpec

MIB = 2**20
STEPS = 2
HELD_OUT_IMAGES = 512
CONCURRENT_ESTIMATES = 4


@dataclass(frozen=True)
class Case:
    """One job."""

    method: str
    student: str
    teacher: str | None
    batch: int
    precision: str

    @property
    def title(self) -> str:
        arrow = f"{self.teacher} -> " if self.teacher else ""
        return f"{self.method}, {arrow}{self.student}, batch {self.batch}, {self.precision}"


CASES = (
    Case("starship", "resnet18", "wrn_34_10", 128, "fp32"),
    Case("starship", "resnet18", "wrn_34_10", 128, "bf16"),
    Case("starship", "resnet18", "wrn_34_10", 512, "bf16"),
    Case("arkd", "mobilenet_v2", "wrn_34_10", 128, "fp32"),
    Case("arkd", "mobilenet_v2", "wrn_34_10", 512, "bf16"),
    Case("trades", "resnet18", None, 128, "fp32"),
    Case("trades", "wrn_34_10", None, 128, "bf16"),
    Case("trades", "deit_s", None, 128, "bf16"),
)
OTHER_CASES = (
    Case("rslad", "resnet18", "wrn_28_10", 256, "fp32"),
    Case("adaad", "resnet34", "resnet18", 128, "bf16"),
    Case("starship", "mobilenet_v2", "resnet34", 256, "fp32"),
    Case("pgd_at", "vit_b", None, 64, "bf16"),
    Case("arkd", "dm_wrn_28_10", "wrn_34_10", 64, "tf32"),
)
"""The constants of the estimate are fitted to the rows of CASES, and not to these."""
SMOKE_CASES = (
    Case("starship", "small_cnn", "small_cnn", 32, "fp32"),
    Case("trades", "small_cnn", None, 32, "fp32"),
)


def dataset(images: int) -> DatasetDescription:
    return DatasetDescription(
        source="packed",
        classes=10,
        class_names=tuple(f"class {number}" for number in range(10)),
        channels=3,
        height=32,
        width=32,
        train_images=images,
        test_images=1,
    )


def job_spec(case: Case, images: int) -> ResolvedTrainingSpec:
    body: dict[str, Any] = {
        "student": network_description(case.student).network.model_dump(),
        "data": {"dataset": "random images of CIFAR's shape"},
        "method": {"name": case.method},
        "schedule": {"batch_size": case.batch, "precision": case.precision, "epochs": 1},
        "adversary": {"name": "pgd", "steps": 2},
    }
    if case.teacher is None:
        return resolve(AdversarialTrainingSpec.model_validate(body), dataset(images))
    return resolve(DistillationSpec.model_validate({**body, "teacher": "teacher"}), dataset(images))


def memory_request(case: Case, images: int) -> MemoryRequest:
    teacher = None if case.teacher is None else network_description(case.teacher)
    return training_request(job_spec(case, images), dataset(images), teacher)


def estimate(request: MemoryRequest) -> dict[str, Any]:
    """Return the estimate of a process of its own, with the seconds that it took."""
    start = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-m", "core.distillation.memory_estimate"],
        input=request.model_dump_json(),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode != 0:
        return {"failed": process.stderr.strip().splitlines()[-1]}
    answer: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return answer | {"seconds": round(time.perf_counter() - start, 1)}


def make_trainer(case: Case, images: int, device: torch.device) -> Trainer:
    """Return the trainer of a job on random images, as a job's run makes it."""
    spec = job_spec(case, images)
    student = on_device(from_description(network_description(case.student)), device)
    teacher = None
    if case.teacher is not None:
        teacher = on_device(from_description(network_description(case.teacher)), device)
    method = build(spec.method, student, teacher, spec.schedule.precision)
    method.heads.to(device)
    source = Images(
        torch.randint(256, (images, 3, 32, 32), dtype=torch.uint8),
        torch.randint(10, (images,)),
    ).to(device)
    batches = Batches(
        source,
        batch_size=case.batch,
        augmentation=spec.data.augmentation,
        seed=0,
        device=device,
    )
    held_out = source.subset(torch.arange(min(images, HELD_OUT_IMAGES)))
    return Trainer(spec, method, batches, held_out, 10, Stopwatch(Meter([], None)))


class Peaks:
    """Reads the peak of the memory since the last reading, in bytes."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.counter = LiveMemory()

    def __enter__(self) -> "Peaks":
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        else:
            self.counter.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        if self.device.type != "cuda":
            self.counter.__exit__(*error)  # type: ignore[no-untyped-call]

    def read(self) -> int:
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            return peak
        peak = self.counter.peak_bytes
        self.counter.reset_peak()
        return peak


def measure(case: Case, images: int, device: torch.device) -> dict[str, Any]:
    """Return the peaks of a training step and of an attack on held-out images, in bytes."""
    with Peaks(device) as peaks:
        trainer = make_trainer(case, images, device)
        peaks.read()
        for _ in range(STEPS):
            for _ in trainer.train_step():
                pass
        training = peaks.read()
        reserved = torch.cuda.memory_reserved() if device.type == "cuda" else None
        copies = [trainer.copy_weights() for _ in range(2)]  # select_epoch makes the third
        trainer.select_epoch(1)
        evaluation = peaks.read()
        del copies, trainer
    return {"training": training, "evaluation": evaluation, "reserved": reserved}


def compare(
    case: Case,
    estimated: dict[str, Any],
    images: int,
    device: torch.device,
    earlier: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return the row of a case. ``earlier``: peaks by title, in place of measuring them."""
    row = {"case": case.title, "estimate": estimated}
    if "failed" in estimated:
        return {**row, "failed": estimated["failed"]}
    if earlier is not None:
        measured = earlier[case.title]
    else:
        try:
            measured = measure(case, images, device)
        except torch.OutOfMemoryError as error:
            return {**row, "failed": str(error)[:200]}
        finally:
            gc.collect()
    peak = max(measured["training"], measured["evaluation"])
    return {**row, "measured": measured, "ratio": round(estimated["bytes"] / peak, 3)}


def markdown(data: dict[str, Any]) -> str:
    lines = [
        "# Memory estimates",
        "",
        "What the dry run says that a job needs, beside the peaks that CUDA's allocator counted, "
        "in MiB. Ratio: estimate / measured peak. Reserved: what the allocator held after the "
        "training steps. The estimate's constants are fitted to the first "
        f"{len(CASES)} rows. Written by `benchmarks/memory_estimate.py`.",
        "",
        "| job | estimated: step | evaluation | measured: step | evaluation | ratio | reserved "
        "| estimate took |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in data["results"]:
        estimated = row["estimate"]
        if "failed" in estimated:
            lines.append(f"| {row['case']} | failed: {row['failed'][:80]} | | | | | | |")
            continue
        cells = [mib(estimated["training_bytes"]), mib(estimated["evaluation_bytes"])]
        if "failed" in row:
            cells += ["out of memory", "", "", ""]
        else:
            measured = row["measured"]
            cells += [mib(measured["training"]), mib(measured["evaluation"])]
            cells += [f"{row['ratio']:.2f}", mib(measured["reserved"])]
        lines.append(f"| {row['case']} | " + " | ".join(cells) + f" | {estimated['seconds']} s |")
    return "\n".join([*lines, "", *measured_by(data)]) + "\n"


def measured_by(data: dict[str, Any]) -> list[str]:
    """Return the line that says where peaks of an earlier run come from."""
    source = data.get("measured_by")
    if source is None:
        return []
    device = source["machine"]["device"]
    return [f"Measured on {device}, {source['date']}, torch {source['versions']['torch']}."]


def mib(size: int | None) -> str:
    return "" if size is None else f"{size / MIB:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--measured", type=Path)
    arguments = parser.parse_args()
    measured = json.loads(arguments.measured.read_text()) if arguments.measured else None
    smoke = arguments.smoke or (measured is None and not torch.cuda.is_available())
    device = torch.device("cpu" if smoke else "cuda")
    cases: tuple[Case, ...] = SMOKE_CASES if smoke else CASES + OTHER_CASES
    images = HELD_OUT_IMAGES if smoke else 50_000
    earlier = measured and {row["case"]: row["measured"] for row in measured["results"]}
    if earlier is not None:
        cases = tuple(case for case in cases if case.title in earlier)
    with ThreadPoolExecutor(1 if smoke else CONCURRENT_ESTIMATES) as pool:
        estimates = list(pool.map(lambda case: estimate(memory_request(case, images)), cases))
    rows = []
    for case, estimated in zip(cases, estimates, strict=True):
        rows.append(compare(case, estimated, images, device, earlier))
        print(json.dumps(rows[-1]), flush=True)
    own = stamp()
    source = own if measured is None else measured.get("measured_by", measured)
    data = {"results": rows, **own, "measured_by": {name: source[name] for name in own}}
    write(arguments.out, "memory_estimate", data, markdown(data))


if __name__ == "__main__":
    main()
