"""The settings of every method declare what a training step costs."""

import pytest

from core.jobspec.training.methods import METHODS


@pytest.mark.parametrize("name", METHODS)
def test_every_method_declares_its_cost(name: str) -> None:
    """In its own class, so that no method is costed as another one."""
    settings = METHODS[name]
    assert {"loss_passes", "attacks_teacher"} <= vars(settings).keys()
    assert settings().loss_passes >= 1
    assert settings().attacks_teacher in (False, True)


@pytest.mark.parametrize("name", METHODS)
def test_cost_is_no_field_of_the_settings(name: str) -> None:
    assert {"loss_passes", "attacks_teacher"}.isdisjoint(METHODS[name].model_fields)
