"""Settings that a method implies, and those of its authors' own code. A caller's override both.

Sources, commits and what stays different from them: docs/methods.md.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

Preset = Literal["reference"]
Settings = dict[str, Any]

N_FGSM: Settings = {"name": "n_fgsm"}


def _steps(*milestones: int) -> Settings:
    return {"name": "multi_step", "milestones": list(milestones), "factor": 0.1}


def _pgd(radius: float, step_size: float, *, start: str, student_mode: str) -> Settings:
    """Return ten steps of PGD."""
    return {
        "name": "pgd",
        "radius": radius,
        "step_size": step_size,
        "steps": 10,
        "start": start,
        "student_mode": student_mode,
    }


def _sgd(
    *, epochs: int, weight_decay: float, batch_size: int = 128, learning_rate: float = 0.1
) -> Settings:
    """Return a schedule of SGD with momentum 0.9, but for its decay."""
    return {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "momentum": 0.9,
        "weight_decay": weight_decay,
    }


IMPLIED_SETTINGS: dict[str, Settings] = {"n_fgsm": {"adversary": N_FGSM}}
"""By method, the settings that it implies with or without a preset."""

REFERENCE_SETTINGS: dict[str, Settings] = {
    "starship": {},
    "arkd": {},
    "ard": {
        "method": {
            "alpha": 1.0,
            "temperature": 30.0,
            "reduction": "mean",
            "statistics_passes": True,
        },
        "adversary": _pgd(8 / 255, 2 / 255, start="uniform_unclamped", student_mode="train"),
        # The authors' code has a second milestone, 150, which sets the same rate again.
        "schedule": {
            "epochs": 200,
            "learning_rate": 0.1,
            "momentum": 0.9,
            "weight_decay": 2e-4,
            "decay": _steps(100),
        },
    },
    "iad": {
        "method": {
            "temperature": 1.0,
            "exponent": 0.1,
            "begin": 60,
            "weigh_teacher": False,
            "statistics_passes": True,
        },
        "adversary": _pgd(8 / 255, 2 / 255, start="uniform_unclamped", student_mode="train"),
        "schedule": {**_sgd(epochs=200, weight_decay=2e-4), "decay": _steps(100)},
    },
    "rslad": {
        "method": {"clean_weight": 1 / 6, "reduction": "batch_mean_over_10"},
        "adversary": _pgd(8 / 255, 2 / 255, start="gaussian", student_mode="eval"),
        "schedule": {**_sgd(epochs=300, weight_decay=2e-4), "decay": _steps(215, 260, 285)},
    },
    "akd": {},
    "adaad": {
        "method": {"alpha": 1.0, "statistics_passes": True},
        "adversary": _pgd(8 / 255, 2 / 255, start="gaussian", student_mode="eval"),
        "schedule": {**_sgd(epochs=200, weight_decay=5e-4), "decay": _steps(100, 150)},
    },
    "trades": {
        "method": {"beta": 6.0, "statistics_passes": True},
        "adversary": _pgd(0.031, 0.007, start="gaussian", student_mode="eval"),
        # Its epochs count from 1: epochs 75 and 76 have the lower rate.
        "schedule": {**_sgd(epochs=76, weight_decay=2e-4), "decay": _steps(74)},
    },
    "pgd_at": {
        "method": {"statistics_passes": True},
        "adversary": _pgd(8 / 255, 2 / 255, start="uniform", student_mode="train"),
        "schedule": {**_sgd(epochs=200, weight_decay=5e-4), "decay": _steps(100, 150)},
    },
    "score": {
        # The beta of the published checkpoints; the example command has 4.
        "method": {"beta": 3.0},
        "adversary": _pgd(8 / 255, 2 / 255, start="uniform", student_mode="train_untracked"),
        "schedule": {
            **_sgd(epochs=400, batch_size=512, learning_rate=0.2, weight_decay=5e-4),
            "nesterov": True,
            "batch_norm_weight_decay": 0.0,
            "decay": {
                "name": "one_cycle",
                "rise": 0.025,
                "cycle_momentum": True,
                "update": "epoch",
            },
        },
        "averaging": {"name": "ema", "decay": 0.995, "warmup": 0.025},
    },
    "n_fgsm": {
        "adversary": {
            "name": "n_fgsm",
            "radius": 8 / 255,
            "step_factor": 1.0,
            "noise_factor": 2.0,
            "clamp_noise": True,
            "student_mode": "train",
        },
        "schedule": {
            **_sgd(epochs=30, learning_rate=0.2, weight_decay=5e-4),
            "decay": {"name": "triangular", "rise": 0.5, "cycle_momentum": True},
        },
    },
    "at_prm": {
        "method": {
            "masked": 1.0,
            "ramp_epochs": 10,
            "mixup": 0.8,
            "cutmix": 1.0,
            "mixing_probability": 0.3,
            "label_smoothing": 0.0,
        },
        "adversary": _pgd(8 / 255, 2 / 255, start="uniform", student_mode="eval"),
        "schedule": {
            **_sgd(epochs=40, batch_size=64, weight_decay=1e-4),
            "decay": _steps(35, 38),
            "max_gradient_norm": 1.0,
        },
    },
}
"""By method, the settings of its authors' code. What is missing keeps its default, which is the
schedule that the STARSHIP paper uses for all methods."""

MANY_CLASSES = 100
REFERENCE_SETTINGS_BY_CLASSES: dict[str, dict[int, Settings]] = {
    "ard": {
        0: {"schedule": {"batch_size": 128}},
        MANY_CLASSES: {"schedule": {"batch_size": 256}},
    },
    "adaad": {
        0: {"method": {"reduction": "mean"}},
        MANY_CLASSES: {"method": {"reduction": "batch_mean"}},
    },
}
"""By method and least number of classes, settings that the authors' code has for CIFAR-100 and not
for CIFAR-10. Fewer than 100 classes are treated like CIFAR-10's, more like CIFAR-100's."""

PART_SETTINGS: dict[tuple[str, str], Settings] = {
    # IGDM's authors train by AdaAD, with another loss and schedule than AdaAD's own authors.
    ("igdm", "adaad"): {
        "igdm": {"forward": 1.0, "backward": 1.0},
        "method": {"reduction": "batch_mean", "statistics_passes": False},
        "schedule": {"weight_decay": 2e-4},
    },
    ("awp", "pgd_at"): {"awp": {"gamma": 0.01, "begin": 0}},
    # Its epochs count from 1: the tenth is the first with AWP, the hundredth has a lower rate.
    ("awp", "trades"): {
        "awp": {"gamma": 0.005, "begin": 9},
        "adversary": {"name": "pgd", "radius": 8 / 255, "step_size": 2 / 255},
        "schedule": {"epochs": 200, "weight_decay": 5e-4, "decay": _steps(99, 149)},
    },
}
"""By a part that a job may have beside its method, and the method: settings of the part's authors.
They override those of the method's authors."""

PART_SETTINGS_BY_CLASSES: dict[tuple[str, str], dict[int, Settings]] = {
    # Only beside AdaAD, whose loss is a batch mean then. Beside a smaller loss, such as that of
    # RSLAD's preset, these weights would be too large.
    ("igdm", "adaad"): {0: {"igdm": {"weight": 1.0}}, MANY_CLASSES: {"igdm": {"weight": 10.0}}},
}
"""By part, method and least number of classes."""


def apply_preset(job: Mapping[str, Any]) -> Settings:
    """Return the body of a job with the settings of its method and preset filled in.

    What depends on the number of classes is filled in later: ``settings_by_classes``.
    """
    method = job.get("method")
    name = method.get("name") if isinstance(method, Mapping) else None
    if not isinstance(name, str) or name not in REFERENCE_SETTINGS:
        return dict(job)
    defaults = IMPLIED_SETTINGS.get(name, {})
    if job.get("preset") == "reference":
        defaults = _fill_in(REFERENCE_SETTINGS[name], defaults)
        for (part, method_name), settings in PART_SETTINGS.items():
            if method_name == name and job.get(part) is not None:
                defaults = _fill_in(settings, defaults)
    return _fill_in(job, defaults)


def settings_by_classes(method: str, parts: Iterable[str], classes: int) -> Settings:
    """Return the reference settings that depend on the number of classes.

    ``parts`` are the fields of the parts that the job has beside its method, such as "igdm".
    """
    settings = _for_classes(REFERENCE_SETTINGS_BY_CLASSES.get(method, {}), classes)
    for part in parts:
        by_classes = PART_SETTINGS_BY_CLASSES.get((part, method), {})
        settings = _fill_in(_for_classes(by_classes, classes), settings)
    return settings


def _for_classes(by_classes: Mapping[int, Settings], classes: int) -> Settings:
    """Return the settings of the largest number of classes that is not above ``classes``."""
    reached = [least for least in by_classes if least <= classes]
    return by_classes[max(reached)] if reached else {}


def _fill_in(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> Settings:
    """Return ``settings`` with whatever it lacks of ``defaults``, at every depth.

    An object of another kind than its default ("name": "pgd" and "n_fgsm") gets nothing from it.
    """
    filled = dict(settings)
    for key, default in defaults.items():
        if key not in filled:
            filled[key] = default
            continue
        value = filled[key]
        both_objects = isinstance(value, Mapping) and isinstance(default, Mapping)
        if both_objects and _is_same_kind(value, default):
            filled[key] = _fill_in(value, default)
    return filled


def _is_same_kind(settings: Mapping[str, Any], default: Mapping[str, Any]) -> bool:
    """Compare the names; an object without one is of the other's kind."""
    return bool(
        settings.get("name", default.get("name")) == default.get("name", settings.get("name"))
    )
