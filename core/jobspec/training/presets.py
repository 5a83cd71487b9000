"""What a method implies for the rest of a job, and what its authors' own code did: settings that a caller's own override."""

from collections.abc import Mapping
from typing import Any, Literal

Preset = Literal["reference"]
Settings = dict[str, Any]

UNIFORM_TRAIN: Settings = {"name": "pgd", "start": "uniform", "student_mode": "train"}
N_FGSM: Settings = {"name": "n_fgsm"}


def _steps(*milestones: int) -> Settings:
    return {"name": "multi_step", "milestones": list(milestones), "factor": 0.1}


IMPLIED: dict[str, Settings] = {"n_fgsm": {"adversary": N_FGSM}}
"""Whatever the preset."""

REFERENCE: dict[str, Settings] = {
    "starship": {},
    "arkd": {},
    "ard": {
        "method": {"reduction": "mean"},
        "adversary": UNIFORM_TRAIN,
        # A second milestone, 150, stands in the authors' code, but sets the rate that the first has set.
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
"""By method, what its authors' code does; where METHODS are silent, the paper's common schedule stands."""


def complete(job: Mapping[str, Any]) -> Settings:
    """The job with the settings that its method and its preset bring along, wherever it says nothing itself."""
    method = job.get("method")
    name = method.get("name") if isinstance(method, Mapping) else None
    if not isinstance(name, str) or name not in REFERENCE:
        return dict(job)
    brought = IMPLIED.get(name, {})
    if job.get("preset") == "reference":
        brought = _filled(REFERENCE[name], brought)
    return _filled(job, brought)


def _filled(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> Settings:
    """``given``, and whatever of ``defaults`` it does not say. An object that names itself otherwise stays as it is."""
    found = dict(given)
    for key, default in defaults.items():
        if key not in found:
            found[key] = default
        elif (
            isinstance(default, Mapping)
            and isinstance(found[key], Mapping)
            and _same_kind(found[key], default)
        ):
            found[key] = _filled(found[key], default)
    return found


def _same_kind(given: Mapping[str, Any], default: Mapping[str, Any]) -> bool:
    return bool(given.get("name", default.get("name")) == default.get("name", given.get("name")))
