"""Settings that a method implies, and those of its authors' own code. A caller's override both."""

from collections.abc import Mapping
from typing import Any, Literal

Preset = Literal["reference"]
Settings = dict[str, Any]

UNIFORM_TRAIN: Settings = {"name": "pgd", "start": "uniform", "student_mode": "train"}
N_FGSM: Settings = {"name": "n_fgsm"}


def _steps(*milestones: int) -> Settings:
    return {"name": "multi_step", "milestones": list(milestones), "factor": 0.1}


IMPLIED_SETTINGS: dict[str, Settings] = {"n_fgsm": {"adversary": N_FGSM}}
"""By method, the settings that it implies with or without a preset."""

REFERENCE_SETTINGS: dict[str, Settings] = {
    "starship": {},
    "arkd": {},
    "ard": {
        "method": {"reduction": "mean"},
        "adversary": UNIFORM_TRAIN,
        # The authors' code has a second milestone, 150, which sets the same rate again.
        "schedule": {"epochs": 200, "weight_decay": 2e-4, "decay": _steps(100)},
    },
    "iad": {
        "method": {"begin": 60},
        "adversary": UNIFORM_TRAIN,
        "schedule": {"epochs": 200, "weight_decay": 2e-4, "decay": _steps(100)},
    },
    "rslad": {
        "method": {"reduction": "mean"},
        "schedule": {"epochs": 300, "weight_decay": 2e-4, "decay": _steps(215, 260, 285)},
    },
    "akd": {},
    "adaad": {
        "method": {"reduction": "mean"},
        "schedule": {"epochs": 200, "weight_decay": 5e-4, "decay": _steps(100, 150)},
    },
    "trades": {"schedule": {"epochs": 76, "weight_decay": 2e-4, "decay": _steps(75)}},
    "pgd_at": {
        "adversary": {"name": "pgd", "start": "uniform"},
        "schedule": {"epochs": 200, "weight_decay": 5e-4, "decay": _steps(100, 150)},
    },
    "score": {"averaging": {"name": "ema", "decay": 0.995}},
    "n_fgsm": {
        "schedule": {
            "epochs": 30,
            "learning_rate": 0.2,
            "decay": {"name": "one_cycle", "rise": 0.5},
        }
    },
    "at_prm": {"schedule": {"epochs": 40, "weight_decay": 1e-4, "decay": _steps(36, 38)}},
}
"""By method, the settings of its authors' code. What is missing keeps its default, which is the
schedule that the STARSHIP paper uses for all methods."""


def apply_preset(job: Mapping[str, Any]) -> Settings:
    """Return the body of a job with the settings of its method and preset filled in."""
    method = job.get("method")
    name = method.get("name") if isinstance(method, Mapping) else None
    if not isinstance(name, str) or name not in REFERENCE_SETTINGS:
        return dict(job)
    defaults = IMPLIED_SETTINGS.get(name, {})
    if job.get("preset") == "reference":
        defaults = _fill_in(REFERENCE_SETTINGS[name], defaults)
    return _fill_in(job, defaults)


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
