"""The table of contents of the methods, and the sum of a loss's terms."""

from pathlib import Path

import pytest
import torch

from core.distillation.methods import METHODS, LossTerm, Method, MethodLoss, build
from core.distillation.methods.method import DistillationMethod
from core.distillation.models.small_cnn import SmallCnn
from core.jobspec.defaults import resolve_starship
from core.jobspec.resolved import ResolvedDistillationMethodSettings, ResolvedIadSettings
from core.jobspec.training import methods as spec
from core.jobspec.training.presets import REFERENCE_SETTINGS
from core.jobspec.training.starship import StarshipSettings
from tests.distillation.methods.plain import backward

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "methods.md"


def test_every_method_has_settings_a_file_and_documentation() -> None:
    """A method is in both tables, is a file of its own, and has a row in docs/methods.md."""
    assert set(METHODS) == set(spec.METHODS)
    assert all(issubclass(method, Method) for method in METHODS.values())
    for name, kind in spec.METHODS.items():
        assert kind().name == name
        assert METHODS[name].__module__ == f"core.distillation.methods.{name}"
        assert name in REFERENCE_SETTINGS
        assert f"| `{name}` |" in DOCUMENTATION.read_text(), (
            f"docs/methods.md has no row for {name}"
        )


DISTILLATION = [
    resolve_starship(StarshipSettings(), student_features=16),
    spec.ArkdSettings(),
    spec.ArdSettings(),
    ResolvedIadSettings(begin=1),
    spec.RsladSettings(),
    spec.AkdSettings(),
    spec.AdaAdSettings(),
]


@pytest.mark.parametrize("settings", DISTILLATION, ids=lambda settings: settings.name)
def test_distillation_method_has_student_and_teacher(
    settings: ResolvedDistillationMethodSettings, student: SmallCnn, teacher: SmallCnn
) -> None:
    method = build(settings, student, teacher)
    assert type(method) is METHODS[settings.name]
    assert isinstance(method, DistillationMethod)
    assert method.student is student
    assert method.teacher is teacher


@pytest.mark.parametrize(
    "settings",
    [spec.TradesSettings(), spec.PgdAtSettings(), spec.ScoreSettings(), spec.NFgsmAtSettings()],
)
def test_training_method_has_no_teacher_and_no_heads(
    settings: spec.AdversarialTrainingMethodSettings, student: SmallCnn
) -> None:
    """A training method needs no teacher and trains nothing beside the student."""
    method = build(settings, student, None)
    assert type(method) is METHODS[settings.name]
    assert list(method.heads.parameters()) == []


def test_the_loss_is_the_sum_of_weights_times_values() -> None:
    terms = {
        "one": LossTerm(0.5, torch.tensor(4.0, requires_grad=True)),
        "two": LossTerm(3.0, torch.tensor(-1.0, requires_grad=True)),
        "none": LossTerm(0.0, torch.tensor(7.0, requires_grad=True)),
    }
    loss = MethodLoss(terms, {"metric": torch.tensor(100.0)}).total
    backward(loss)
    assert loss.item() == 0.5 * 4 - 3
    gradients = [term.value.grad for term in terms.values()]
    assert gradients == [torch.tensor(0.5), torch.tensor(3.0), torch.tensor(0.0)]
