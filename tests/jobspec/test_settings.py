"""Every setting's default and its bounds, by hand."""

import inspect
import math
from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError

from core.jobspec import data, evaluation, job, network
from core.jobspec.base import Spec
from core.jobspec.data import (
    Augmentation,
    DatasetDescription,
    ExtraData,
    ImportOptions,
    ResizedCrop,
    ThumbnailSheet,
    TrainingData,
)
from core.jobspec.evaluation import (
    AutoAttack,
    Calibration,
    CwAttack,
    Evaluation,
    Examples,
    GradCam,
    GradientMasking,
    PgdAttack,
    RadiusSweep,
    VarianceGap,
)
from core.jobspec.job import (
    AdversarialTrainingSpec,
    DistillationSpec,
    EvaluationData,
    EvaluationJobSpec,
    ImportDatasetSpec,
)
from core.jobspec.network import DeitS, ModelDescription, SmallCnn, VitB
from core.jobspec.training import (
    adversary,
    averaging,
    methods,
    schedule,
    starship,
    weight_perturbation,
)
from core.jobspec.training.adversary import NFgsmAdversarySettings, PgdAdversarySettings
from core.jobspec.training.averaging import EmaSettings, SwaSettings
from core.jobspec.training.methods import (
    AdaAdSettings,
    AkdSettings,
    ArdSettings,
    ArkdSettings,
    AtPrmSettings,
    IadSettings,
    IgdmSettings,
    PgdAtSettings,
    RsladSettings,
    ScoreSettings,
    TradesSettings,
)
from core.jobspec.training.schedule import MultiStep, OneCycle, Schedule, Triangular
from core.jobspec.training.starship import (
    CovarianceAlignmentSettings,
    GramMatchingSettings,
    MaxExpSettings,
    NormalKlSettings,
    PowerEuclideanSettings,
    ProjectionHeadSettings,
    StarshipSettings,
    SubmatrixAlignmentSettings,
)
from core.jobspec.training.weight_perturbation import AwpSettings

REQUIRED = object()
Row = tuple[Any, str]
"""A default, and bounds: "[1, 10]" for whole numbers, "(0.0, 1.0]" for others, "" for no number.

A round bracket excludes its bound.
"""

SHARE = "[0.0, 1.0]"
PIXELS = "[0.0, 1.0]"
EPOCHS = "[0, 10000]"
SEED = "[0, 2147483647]"

SETTINGS: dict[type[Spec], dict[str, Row]] = {
    PgdAdversarySettings: {
        "radius": (8 / 255, PIXELS),
        "step_size": (2 / 255, PIXELS),
        "steps": (10, "[1, 1000]"),
        "start": ("gaussian", ""),
        "student_mode": ("eval", ""),
    },
    NFgsmAdversarySettings: {
        "radius": (8 / 255, PIXELS),
        "step_factor": (1.0, "(0.0, 10.0]"),
        "noise_factor": (2.0, "[0.0, 10.0]"),
        "clamp_noise": (False, ""),
        "student_mode": ("eval", ""),
    },
    OneCycle: {
        "rise": (0.25, "(0.0, 1.0)"),
        "cycle_momentum": (True, ""),
        "update": ("step", ""),
    },
    Triangular: {"rise": (0.5, "(0.0, 1.0)"), "cycle_momentum": (True, "")},
    MultiStep: {"factor": (0.1, "(0.0, 1.0]")},
    Schedule: {
        "epochs": (200, "[1, 10000]"),
        "batch_size": (128, "[2, 8192]"),
        "learning_rate": (0.1, "(0.0, 100.0]"),
        "momentum": (0.9, "[0.0, 1.0)"),
        "nesterov": (False, ""),
        "weight_decay": (5e-4, SHARE),
        "batch_norm_weight_decay": (None, SHARE),
        "max_gradient_norm": (None, "(0.0, 1000000.0]"),
        "decay": (OneCycle(rise=0.25, cycle_momentum=True), ""),
        "precision": ("fp32", ""),
        "compile": (False, ""),
        "checkpoint_seconds": (60.0, "[0.0, 86400.0]"),
    },
    EmaSettings: {"decay": (0.995, "(0.0, 1.0)"), "warmup": (0.0, "[0.0, 1.0)")},
    SwaSettings: {"begin": (None, EPOCHS)},
    AwpSettings: {"gamma": (0.005, "(0.0, 1.0]"), "begin": (0, EPOCHS)},
    ArdSettings: {
        "alpha": (1.0, SHARE),
        "temperature": (30.0, "(0.0, 1000.0]"),
        "reduction": ("batch_mean", ""),
        "statistics_passes": (False, ""),
    },
    IadSettings: {
        "temperature": (1.0, "(0.0, 1000.0]"),
        "exponent": (0.1, "[0.0, 10.0]"),
        "begin": (None, EPOCHS),
        "weigh_teacher": (False, ""),
        "statistics_passes": (False, ""),
    },
    RsladSettings: {"clean_weight": (1 / 6, SHARE), "reduction": ("batch_mean", "")},
    AkdSettings: {"alpha": (0.5, SHARE)},
    AdaAdSettings: {
        "alpha": (1.0, SHARE),
        "reduction": ("batch_mean", ""),
        "statistics_passes": (False, ""),
    },
    ArkdSettings: {"beta": (0.8, SHARE), "adaptive": (False, "")},
    TradesSettings: {"beta": (6.0, "[0.0, 100.0]"), "statistics_passes": (False, "")},
    PgdAtSettings: {"statistics_passes": (False, "")},
    ScoreSettings: {"beta": (3.0, "[0.0, 100.0]")},
    AtPrmSettings: {
        "masked": (1.0, SHARE),
        "ramp_epochs": (10, EPOCHS),
        "mixup": (0.8, "[0.0, 10.0]"),
        "cutmix": (1.0, "[0.0, 10.0]"),
        "mixing_probability": (1.0, SHARE),
        "label_smoothing": (0.1, "[0.0, 1.0)"),
    },
    IgdmSettings: {
        "weight": (1.0, "(0.0, 1000.0]"),
        "forward": (1.0, "(0.0, 10.0]"),
        "backward": (1.0, "[0.0, 10.0]"),
    },
    StarshipSettings: {"beta": (0.8, SHARE), "adaptive": (False, "")},
    CovarianceAlignmentSettings: {
        "weight": (1.0, "[0.0, 1000.0]"),
        "distance": (MaxExpSettings(eta=10, ridge=1e-6), ""),
    },
    GramMatchingSettings: {
        "weight": (2.0, "[0.0, 1000.0]"),
        "distance": (MaxExpSettings(eta=10, ridge=1e-6), ""),
    },
    SubmatrixAlignmentSettings: {
        "weight": (1.0, "[0.0, 1000.0]"),
        "factor": (0.5, "(0.0, 10.0]"),
        "covariance": (True, ""),
        "gram": (True, ""),
    },
    ProjectionHeadSettings: {
        "kind": ("linear", ""),
        "dimension": (None, "[2, 2048]"),
        "normalize": (True, ""),
        "teacher": ("frozen", ""),
        "perturbation": (0.01, SHARE),
        "perturbation_steps": (1, "[1, 20]"),
        "cosine_weight": (1.0, "[0.0, 100.0]"),
    },
    PowerEuclideanSettings: {"gamma": (0.5, "(0.0, 1.0]"), "ridge": (1e-3, "[1e-06, 1.0]")},
    MaxExpSettings: {"eta": (10, "[1, 1000]"), "ridge": (1e-6, "[1e-12, 1.0]")},
    NormalKlSettings: {"ridge": (1e-3, "[1e-06, 1.0]"), "per_dimension": (True, "")},
    PgdAttack: {
        "radius": (None, PIXELS),
        "step_size": (None, PIXELS),
        "steps": (20, "[1, 10000]"),
        "restarts": (1, "[1, 100]"),
    },
    CwAttack: {
        "radius": (None, PIXELS),
        "step_size": (None, PIXELS),
        "steps": (30, "[1, 10000]"),
        "confidence": (50.0, "[0.0, 1000000.0]"),
    },
    AutoAttack: {
        "norm": ("linf", ""),
        # In L-infinity; in L2 it may be larger.
        "radius": (None, "(0.0, 1.0]"),
        "stages": (("apgd-ce", "apgd-t", "fab-t", "square"), ""),
        "queries": (5000, "[1, 100000]"),
        "iterations": (100, "[2, 10000]"),
    },
    RadiusSweep: {"radii": (None, ""), "steps": (20, "[1, 10000]")},
    VarianceGap: {"radii": (None, "")},
    GradCam: {"images": (8, "[1, 64]")},
    Examples: {"count": (16, "[1, 32]")},
    Calibration: {"bins": (15, "[2, 100]")},
    GradientMasking: {"queries": (1000, "[1, 100000]")},
    Evaluation: {
        "attacks": ((PgdAttack(), CwAttack()), ""),
        "analyses": ((), ""),
        "limit": (None, "[1, 10000000]"),
        "batch_size": (256, "[1, 8192]"),
        "every_epochs": (1, "[1, 10000]"),
        "seed": (0, SEED),
    },
    ResizedCrop: {"scale": ((0.08, 1.0), ""), "ratio": ((3 / 4, 4 / 3), "")},
    Augmentation: {
        "crop_padding": (4, "[0, 64]"),
        "resized_crop": (None, ""),
        "flip": (True, ""),
    },
    ExtraData: {"ratio": (0.7, "(0.0, 1.0)")},
    TrainingData: {
        "held_out": (0.02, "(0.0, 0.5]"),
        "limit": (None, "[1, 100000000]"),
        "extra": (None, ""),
        "augmentation": (None, ""),
    },
    ImportOptions: {
        "image_size": (None, "[8, 512]"),
        "classes": (None, ""),
        "every": (None, "[2, 10000]"),
    },
    ImportDatasetSpec: {"image_size": (None, "[8, 512]"), "every": (None, "[2, 10000]")},
    DatasetDescription: {
        "classes": (REQUIRED, "[2, 100000]"),
        "channels": (REQUIRED, "[1, 3]"),
        "height": (REQUIRED, "[8, 512]"),
        "width": (REQUIRED, "[8, 512]"),
        "train_images": (REQUIRED, ""),
        "test_images": (REQUIRED, ""),
    },
    ThumbnailSheet: {
        "columns": (REQUIRED, "[1, 256]"),
        "tile_width": (REQUIRED, "[1, 64]"),
        "tile_height": (REQUIRED, "[1, 64]"),
    },
    ModelDescription: {
        "classes": (REQUIRED, "[2, 100000]"),
        "channels": (REQUIRED, "[1, 3]"),
        "height": (REQUIRED, "[8, 512]"),
        "width": (REQUIRED, "[8, 512]"),
    },
    SmallCnn: {"width": (16, "[1, 512]"), "normalization": ("none", "")},
    # What sizes fit together: test_network.py.
    VitB: {"image_size": (32, ""), "patch_size": (4, ""), "normalization": ("cifar10", "")},
    DeitS: {"image_size": (32, ""), "patch_size": (4, ""), "normalization": ("cifar10", "")},
    AdversarialTrainingSpec: {
        "preset": (None, ""),
        "adversary": (PgdAdversarySettings(), ""),
        "method": (TradesSettings(), ""),
        "averaging": (None, ""),
        "awp": (None, ""),
        "export": (("onnx", "torch_export"), ""),
        "seed": (0, SEED),
    },
    DistillationSpec: {"method": (StarshipSettings(), ""), "igdm": (None, ""), "seed": (0, SEED)},
    EvaluationJobSpec: {
        "reference": (None, ""),
        "radius": (8 / 255, PIXELS),
        "export": ((), ""),
    },
}
ROWS = [
    pytest.param(settings, field, row, id=f"{settings.__name__}.{field}")
    for settings, fields in SETTINGS.items()
    for field, row in fields.items()
]


BOUNDED_ROWS = [row for row in ROWS if row.values[2][1]]  # type: ignore[index]
MODULES = (
    adversary,
    averaging,
    data,
    evaluation,
    job,
    methods,
    network,
    schedule,
    starship,
    weight_perturbation,
)


@pytest.mark.parametrize(("settings", "field", "row"), ROWS)
def test_default_by_hand(settings: type[Spec], field: str, row: Row) -> None:
    info = settings.model_fields[field]
    if row[0] is REQUIRED:
        assert info.is_required()
        return
    assert info.default == (pytest.approx(row[0]) if isinstance(row[0], float) else row[0])
    assert isinstance(info.default, type(row[0]))


def is_accepted(settings: type[Spec], field: str, value: Any) -> bool:
    """Return whether the value is; other fields may be missing."""
    try:
        settings.model_validate({field: value})
    except ValidationError as error:
        return all(problem["loc"][:1] not in ((), (field,)) for problem in error.errors())
    return True


def limits(bounds: str) -> tuple[float, float, float, float]:
    """Return the lowest and the highest value accepted, and the next ones, which are refused."""
    is_whole = "." not in bounds and "e" not in bounds
    lowest, highest = (
        int(bound) if is_whole else float(bound) for bound in bounds[1:-1].split(",")
    )
    below = lowest - 1 if is_whole else math.nextafter(lowest, -math.inf)
    above = highest + 1 if is_whole else math.nextafter(highest, math.inf)
    if bounds[0] == "(":
        below, lowest = lowest, math.nextafter(lowest, math.inf)
    if bounds[-1] == ")":
        above, highest = highest, math.nextafter(highest, -math.inf)
    return lowest, highest, below, above


@pytest.mark.parametrize(("settings", "field", "row"), BOUNDED_ROWS)
def test_bounds_by_hand(settings: type[Spec], field: str, row: Row) -> None:
    lowest, highest, below, above = limits(row[1])
    assert is_accepted(settings, field, lowest)
    assert is_accepted(settings, field, highest)
    assert not is_accepted(settings, field, below)
    assert not is_accepted(settings, field, above)


def bounded_fields(module: ModuleType) -> set[tuple[str, str]]:
    """Return the class and the name of each field that a module bounds."""
    return {
        (settings.__name__, name)
        for settings in vars(module).values()
        if inspect.isclass(settings) and issubclass(settings, Spec)
        if settings.__module__ == module.__name__ and not settings.__name__.startswith("_")
        for name, info in settings.model_fields.items()
        if any(hasattr(bound, end) for bound in info.metadata for end in ("ge", "gt", "le", "lt"))
    }


def test_every_bounded_field_is_here() -> None:
    fields = set().union(*map(bounded_fields, MODULES))
    here = {(settings.__name__, field) for settings, rows in SETTINGS.items() for field in rows}
    assert fields - here == set()


@pytest.mark.parametrize(
    ("settings", "field", "length", "item"),
    [
        (MultiStep, "milestones", (1, 20), 3),
        (Evaluation, "attacks", (0, 8), {"name": "pgd"}),
        (RadiusSweep, "radii", (2, 64), 0.1),
        (VarianceGap, "radii", (1, 64), 0.1),
        (AutoAttack, "stages", (1, 4), "square"),
    ],
)
def test_lengths_by_hand(
    settings: type[Spec], field: str, length: tuple[int, int], item: Any
) -> None:
    def problems(count: int) -> set[str]:
        try:
            settings.model_validate({field: [item] * count})
        except ValidationError as error:
            return {problem["type"] for problem in error.errors()}
        return set()

    shortest, longest = length
    for count in length:
        assert problems(count).isdisjoint({"too_short", "too_long"})
    assert problems(longest + 1) == {"too_long"}
    if shortest:
        assert problems(shortest - 1) == {"too_short"}


def test_milestones_are_epochs() -> None:
    for milestone, accepted in ((0, False), (1, True), (10_000, True), (10_001, False)):
        assert is_accepted(MultiStep, "milestones", [milestone]) == accepted


@pytest.mark.parametrize(
    ("settings", "field", "shortest", "longest"),
    [
        (DistillationSpec, "teacher", 1, 200),
        (DistillationSpec, "start_from", 1, 200),
        (DistillationSpec, "name", 0, 200),
        (EvaluationJobSpec, "model", 1, 200),
        (EvaluationJobSpec, "reference", 1, 200),
        (TrainingData, "dataset", 1, 100),
        (ExtraData, "dataset", 1, 100),
        (EvaluationData, "dataset", 1, 100),
    ],
)
def test_lengths_of_texts(settings: type[Spec], field: str, shortest: int, longest: int) -> None:
    assert is_accepted(settings, field, "x" * shortest)
    assert is_accepted(settings, field, "x" * longest)
    assert not is_accepted(settings, field, "x" * (longest + 1))
    assert is_accepted(settings, field, "") == (shortest == 0)


def test_labels_at_their_limits() -> None:
    for count, accepted in ((32, True), (33, False)):
        labels = {f"label-{number}": "x" * 200 for number in range(count)}
        assert is_accepted(DistillationSpec, "metadata", labels) == accepted
    for key, accepted in (("k" * 64, True), ("k" * 65, False), ("", False), ("a.B_c-9", True)):
        assert is_accepted(DistillationSpec, "metadata", {key: ""}) == accepted
    for key in ("a b", "a/b", "\u00e4"):
        assert not is_accepted(DistillationSpec, "metadata", {key: ""})
    assert not is_accepted(DistillationSpec, "metadata", {"key": "x" * 201})


def test_json_schema_has_the_bounds_of_radii() -> None:
    """A number, or a text such as 8/255."""
    pixels = PgdAdversarySettings.model_json_schema()["properties"]["radius"]
    assert pixels["anyOf"] == [
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "string", "pattern": r"^[0-9]{1,4}(\.[0-9]{1,6})?/[1-9][0-9]{0,4}$"},
    ]
    radius = AutoAttack.model_json_schema()["properties"]["radius"]
    number = radius["anyOf"][0]["anyOf"][0]
    assert number == {"type": "number", "exclusiveMinimum": 0, "maximum": 64}
    for value, accepted in ((64, True), (64.01, False), ("64/1", True), ("65/1", False)):
        radius_in_l2 = {"norm": "l2", "radius": value}
        try:
            AutoAttack.model_validate(radius_in_l2)
        except ValidationError:
            assert not accepted
        else:
            assert accepted
