"""What a trainer says that its job has cost."""

import pytest
import torch

from core.distillation.metering.cost import kind_of_measure, measured_cost
from core.distillation.run_state import RunState
from worker.resources.job_cost import MeasuredCost

RESULTS = {
    "clean": {"value": 0.5, "seconds": 1.0},
    "pgd-20@linf:8/255": {"value": 0.3, "seconds": 4.0},
    "pgd-5:restarts=3@linf:8/255#2": {"value": 0.3, "seconds": 2.0},
}


def state(best_epoch: int) -> RunState:
    return RunState(
        history=[{"epoch": 1}, {"epoch": 2}],
        best_epoch=best_epoch,
        measured={"best": RESULTS, "last": RESULTS},
        seconds={"training": 10.12345},
    )


@pytest.mark.parametrize(("best_epoch", "networks"), [(1, 2), (2, 1)])
def test_copied_results_cost_nothing(best_epoch: int, networks: int) -> None:
    """Where the last epoch is the best, its student is not evaluated again."""
    cost = MeasuredCost.model_validate(measured_cost(state(best_epoch), torch.device("cpu")))
    assert cost.networks == networks
    assert cost.measures == {"clean": 1.0 * networks, "pgd": 6.0 * networks}
    assert cost.seconds == {"training": 10.123}


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("clean", "clean"),
        ("autoattack:queries=10@l2:0.5", "autoattack"),
        ("cw-30@linf:8/255", "cw"),
        ("variance_gap@linf:8/255", "variance_gap"),
        ("gradient_checks", "gradient_checks"),
    ],
)
def test_kind_is_the_name_of_the_settings(key: str, kind: str) -> None:
    assert kind_of_measure(key) == kind
