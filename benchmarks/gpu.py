"""Where a training step's time goes on a GPU, and what CUDA graphs, folding and Inductor bring.

    python benchmarks/gpu.py [--minutes M] [--parts NAME ...] [--add] [--out docs/results] [--smoke]

WRN-28-10 -> ResNet-18 on 50,000 random images of CIFAR's shape. The step is the trainer's own, and
the same step as one CUDA graph (gpu_parts/graphed_step.py). Each result is printed at once as a
line of JSON; gpu.json and gpu.md are written after each part. A part that does not fit into the
time that remains is skipped, and the page says so. ``--add`` adds to the results of an earlier run
on the same device, in place of those with the same labels. ``--smoke`` runs on a CPU, tiny, without
graphs.
"""

import argparse
import time
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from flops import ConvolutionCounter, matrix_rate, synchronize
from gpu_parts.graphed_step import GraphedStep
from gpu_parts.pieces import measure_attack, measure_evaluation, measure_pieces
from gpu_parts.session import (
    METHODS,
    Session,
    latest_loss,
    make_step,
    make_trainer,
    new_network,
    rates,
    time_calls,
)

from core.distillation.training.trainer import Trainer

PASSES = {
    "STARSHIP": (2, 6, False),
    "ARKD": (2, 6, False),
    "TRADES": (0, 7, False),
    "RSLAD": (1, 6, False),
    "AdaAD": (2, 3, True),
    "Ada-STARSHIP": (2, 6, True),
}
"""Passes of teacher and student outside of the attack, and whether that goes through both."""
DISTANCES = {
    name: {
        "name": "starship",
        "covariance": {"distance": {"name": name}},
        "gram": {"distance": {"name": name}},
    }
    for name in ("frobenius", "power_euclidean", "kl")
}
CAPTURED: dict[str, dict[str, Any]] = {
    "ARD": {"method": {"name": "ard"}},
    "IAD": {"method": {"name": "iad"}},
    "AKD": {"method": {"name": "akd"}},
    "PGD-AT": {"method": {"name": "pgd_at"}},
    "SCORE": {"method": {"name": "score"}},
    "ARKD + IGDM": {"method": {"name": "arkd"}, "igdm": {}},
    "ARKD + AWP": {"method": {"name": "arkd"}, "awp": {"begin": 0}},
    "STARSHIP, Frobenius": {"method": DISTANCES["frobenius"]},
    "STARSHIP, MLP heads": {
        "method": {"name": "starship", "covariance": {"heads": {"kind": "mlp"}}}
    },
    "STARSHIP, KL": {"method": DISTANCES["kl"]},
    "STARSHIP, Power-Euclidean": {"method": DISTANCES["power_euclidean"]},
}
"""Spec fields of steps of which is only asked whether a CUDA graph can hold them."""
KERNEL_KINDS = {
    "copy, fill": ("memcpy", "memset", "copy_kernel", "fillfunctor"),
    "batch norm": ("batch_norm", "bn_fw", "bn_bw", "batchnorm"),
    "layout": ("nchwtonhwc", "nhwctonchw", "transpose"),
    "convolution, product": (
        "conv", "gemm", "cudnn", "cutlass", "xmma", "nvjet", "wgrad", "dgrad", "fprop", "sm90_",
        "sm80_",
    ),
    "optimizer, norms of lists": ("multi_tensor", "foreach", "fused_sgd"),
    "reduction": ("reduce", "softmax", "norm"),
    "element by element": ("elementwise", "triton_poi", "vectorized"),
}  # fmt: skip
"""By parts of a kernel's name, in lower case; the first that matches counts."""


def pass_flops(architecture: str) -> int:
    """FLOPs of the convolutions in one pass of one image."""
    with torch.no_grad(), ConvolutionCounter() as counter:  # type: ignore[no-untyped-call]
        new_network(architecture)(torch.rand(1, 3, 32, 32))
    return int(counter.flops)


def step_gflop(session: Session, name: str) -> float:
    """GFLOP of a step per image. A backward pass counts as one pass to the images alone, as two
    to images and weights.
    """
    teacher_passes, student_passes, teacher_is_attacked = PASSES[name]
    attack = 2 * session.attack_steps
    teacher = pass_flops(session.teacher) * (teacher_passes + attack * teacher_is_attacked)
    student = pass_flops(session.student) * (student_passes + attack)
    return round((teacher + student) / 1e9, 3)


def measure_step(
    session: Session, part: str, trainer: Trainer, form: str, **labels: Any
) -> list[float]:
    """Record a form's step: its time, its memory, and the losses of its first five steps."""
    cuda = session.device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    step = make_step(trainer, form)
    step()
    losses = [latest_loss(trainer, step)]
    prepared = time.perf_counter() - start
    for _ in range(4):
        step()
        losses.append(latest_loss(trainer, step))
    times = time_calls(session, step)
    schedule = trainer.spec.schedule
    session.record(
        part,
        form=form,
        precision=schedule.precision,
        batch=schedule.batch_size,
        **labels,
        **times,
        **rates(schedule.batch_size, times["ms"]),
        first_step_s=round(prepared, 2),
        peak_mib=round(torch.cuda.max_memory_reserved() / 2**20) if cuda else None,
        losses=losses,
    )
    return losses


def measure_forms(
    session: Session,
    part: str,
    name: str,
    forms: tuple[str, ...],
    *,
    precision: str = "",
    batch: int = 0,
    **labels: Any,
) -> None:
    """Measure one method's step in several forms, from the same weights and draws."""
    labels = {"method": name, **labels}
    precision = precision or session.precision
    size = batch or session.batch
    for form in forms:

        def measure(form: str = form) -> None:
            trainer = make_trainer(session, size, precision, method=METHODS[name])
            measure_step(session, part, trainer, form, **labels)

        session.attempt(part, measure, form=form, precision=precision, batch=size, **labels)


# -- the parts


def measure_facts(session: Session) -> None:
    """Rates of the device that bound everything else, and the FLOPs of a step."""
    scalar = torch.zeros(1, device=session.device)
    launches = 100 if session.smoke else 5000
    synchronize(session.device)
    start = time.perf_counter()
    for _ in range(launches):
        scalar.add_(1)
    synchronize(session.device)
    launch = (time.perf_counter() - start) / launches
    tflops = {
        precision: round(matrix_rate(session.device, precision, 10) / 1e12, 3)
        for precision in (() if session.smoke else ("bf16", "tf32", "fp32"))
    }
    counts = {name: step_gflop(session, name) for name in METHODS}
    session.record(
        "facts", tflops=tflops, us_per_operation=round(1e6 * launch, 2), gflop_per_image=counts
    )


def measure_methods(session: Session) -> None:
    """Every method's step in each form, bf16. The first comes twice: do its losses repeat?"""
    measure_forms(session, "repeat", "STARSHIP", ("trainer",))
    for name in METHODS:
        if session.fits(20):
            measure_forms(session, "step", name, ("trainer", "graph", "graph, folded"))


def measure_batches(session: Session) -> None:
    for batch in (2 * session.batch, 4 * session.batch):
        for name in ("STARSHIP", "ARKD", "TRADES"):
            if session.fits(20):
                if name == "STARSHIP":
                    measure_forms(session, "step", name, ("trainer",), batch=batch)
                measure_forms(session, "step", name, ("graph", "graph, folded"), batch=batch)


def measure_precisions(session: Session) -> None:
    for precision in ("fp32", "tf32"):
        measure_forms(session, "repeat", "STARSHIP", ("trainer",), precision=precision)
        measure_forms(session, "step", "STARSHIP", ("trainer", "graph"), precision=precision)


def measure_profiles(session: Session) -> None:
    for name, form, scale in (
        ("STARSHIP", "trainer", 1),
        ("STARSHIP", "graph", 1),
        ("STARSHIP", "graph, folded", 1),
        ("ARKD", "graph, folded", 1),
        ("STARSHIP", "graph, folded", 4),
    ):
        labels: dict[str, Any] = {"method": name, "form": form, "batch": scale * session.batch}
        session.attempt("profile", partial(profile_step, session, **labels), **labels)


def profile_step(session: Session, method: str, form: str, batch: int) -> None:
    """Record how many kernels a step has, how long they run, and of which kind they are."""
    trainer = make_trainer(session, batch, method=METHODS[method])
    step = make_step(trainer, form)
    for _ in range(5):
        step()
    synchronize(session.device)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if session.device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profiler:
        step()
        synchronize(session.device)
    events = list(profiler.events() or [])
    kernels = [event for event in events if str(event.device_type).endswith("CUDA")]
    microseconds: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    calls = Counter(event.name for event in kernels)
    for event in kernels:
        microseconds[event.name] += event.time_range.elapsed_us()
        kinds[kernel_kind(event.name)] += event.time_range.elapsed_us()
    busy = sum(microseconds.values())
    first = min((event.time_range.start for event in kernels), default=0)
    last = max((event.time_range.end for event in kernels), default=0)
    session.record(
        "profile",
        method=method,
        form=form,
        batch=batch,
        kernels=len(kernels),
        operations=sum(event.name.startswith("aten::") for event in events),
        busy_ms=round(busy / 1000, 2),
        span_ms=round((last - first) / 1000, 2),
        kinds={kind: round(value / 1000, 2) for kind, value in kinds.most_common()},
        top=[
            [short_name(name), calls[name], round(value / 1000, 2)]
            for name, value in microseconds.most_common(14)
        ],
    )


def short_name(kernel: str) -> str:
    """Return the part of a kernel's name that tells it from others."""
    for part in ("void ", "at::native::", "gpu_kernel_impl_nocast<", "(anonymous namespace)::"):
        kernel = kernel.replace(part, "")
    return kernel[:100]


def kernel_kind(name: str) -> str:
    lowered = name.lower()
    for kind, parts in KERNEL_KINDS.items():
        if any(part in lowered for part in parts):
            return kind
    return "other"


def measure_capture(session: Session) -> None:
    """Which steps a CUDA graph can hold, and where the trainer's step waits for the device."""
    for name, fields in CAPTURED.items():
        if session.fits(10):
            session.attempt(
                "capture",
                partial(try_capture, session, name, fields),
                method=name,
            )


def try_capture(session: Session, name: str, fields: dict[str, Any]) -> None:
    """Take three steps in both forms. What waits for the device is not captured: it cannot be."""
    trainer = make_trainer(session, session.batch, teacher=session.student, **fields)
    step = make_step(trainer, "trainer")
    expected = []
    for _ in range(3):
        step()
        expected.append(latest_loss(trainer, step))
    waits = synchronizations(session.device, step)
    losses = []
    if not waits:
        trainer = make_trainer(session, session.batch, teacher=session.student, **fields)
        graphed = GraphedStep(trainer)
        for _ in range(3):
            graphed()
            losses.append(float(graphed.loss))
    session.record(
        "capture", method=name, waits=waits, captured=not waits, trainer=expected, losses=losses
    )


def synchronizations(device: torch.device, step: Callable[[], None]) -> dict[str, int]:
    """Return where a step waits for the device, as file:line, and how often."""
    if device.type != "cuda":
        return {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    places = Counter(
        f"{Path(each.filename).name}:{each.lineno}"
        for each in caught
        if "called a synchronizing" in str(each.message)
    )
    return dict(places)


def measure_benchmark(session: Session) -> None:
    """The same with cuDNN's search for the fastest algorithm."""
    torch.backends.cudnn.benchmark = True
    try:
        measure_forms(session, "benchmark", "STARSHIP", ("graph", "graph, folded"))
        if session.fits(30):
            measure_forms(session, "benchmark", "STARSHIP", ("graph",), precision="fp32")
        if session.fits(20):
            batch = 4 * session.batch
            measure_forms(session, "benchmark", "STARSHIP", ("graph, folded",), batch=batch)
        if session.fits(20):
            labels: dict[str, Any] = {
                "form": "folded, graph",
                "precision": "fp32",
                "batch": 8 * session.batch,
            }
            session.attempt(
                "evaluation",
                partial(measure_attack, session, **labels, cudnn_benchmark=True),
                **labels,
            )
    finally:
        torch.backends.cudnn.benchmark = False


def measure_compiled(session: Session) -> None:
    """Networks compiled by Inductor, then captured. It compiles for a minute or more."""
    if session.smoke:
        return
    for name, batch, seconds in (("STARSHIP", 1, 100), ("ARKD", 1, 60), ("STARSHIP", 4, 100)):
        if session.fits(seconds):
            measure_forms(
                session, "step", name, ("graph, folded, compiled",), batch=batch * session.batch
            )


PARTS: dict[str, tuple[Callable[[Session], None], float]] = {
    "facts": (measure_facts, 10),
    "methods": (measure_methods, 30),
    "profiles": (measure_profiles, 30),
    "batches": (measure_batches, 20),
    "pieces": (measure_pieces, 30),
    "precisions": (measure_precisions, 30),
    "evaluation": (measure_evaluation, 20),
    "capture": (measure_capture, 10),
    "benchmark": (measure_benchmark, 30),
    "compiled": (measure_compiled, 90),
}
"""In their order, with the seconds below which one is not begun."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--add", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    if not arguments.smoke and not torch.cuda.is_available():
        parser.error("There is no CUDA device; --smoke runs on a CPU.")
    session = Session(arguments.smoke, 60 * arguments.minutes, arguments.out)
    if arguments.add:
        session.load()
    for name in arguments.parts:
        function, seconds = PARTS[name]
        if not session.fits(seconds):
            session.record(name, skipped=True)
            session.save()
            continue
        session.attempt(name, partial(function, session))
        session.save()
    print((session.out / "gpu.md").read_text())


if __name__ == "__main__":
    main()
