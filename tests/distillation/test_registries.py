"""Registries and unions of settings: every choice is implemented and documented."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from pydantic import BaseModel

from core import figures
from core.distillation import models
from core.distillation.adversaries import run_adversary
from core.distillation.evaluation import MEASURES, EvaluationTarget, Step, measure
from core.distillation.models.small_cnn import SmallCnn
from core.distillation.statistics.distances import squared_distance
from core.distillation.training.averaging import WeightAverage
from core.distillation.training.optimization import learning_rate_at
from core.jobspec.evaluation import Analysis, Attack
from core.jobspec.job import SubmittedSpec
from core.jobspec.network import ARCHITECTURES, Network
from core.jobspec.training.adversary import AdversarySettings
from core.jobspec.training.averaging import AveragingSettings
from core.jobspec.training.schedule import Decay, Schedule
from core.jobspec.training.starship import DistanceSettings
from core.reportspec.report import Report
from tests.distillation.evaluation.builders import digit_images, robust_network

DOCS = Path(__file__).parents[2] / "docs"


def kinds(union: Any) -> list[type[BaseModel]]:
    """Return the members of ``Annotated[A | B, discriminator]``."""
    return list(get_args(get_args(union)[0]))


def names(union: Any, key: str = "name") -> set[str]:
    """Return the values of the discriminator."""
    return {kind.model_fields[key].default for kind in kinds(union)}


@pytest.mark.parametrize(
    ("union", "page", "key"),
    [
        (Network, "architectures.md", "architecture"),
        (Attack, "evaluation.md", "name"),
        (Analysis, "evaluation.md", "name"),
        (AdversarySettings, "methods.md", "name"),
        (DistanceSettings, "methods.md", "name"),
        (AveragingSettings, "methods.md", "name"),
        (Decay, "methods.md", "name"),
    ],
)
def test_every_choice_has_a_row_in_a_page(union: Any, page: str, key: str) -> None:
    text = (DOCS / page).read_text()
    assert [name for name in sorted(names(union, key)) if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize("kind", [*kinds(Attack), *kinds(Analysis)], ids=lambda kind: kind.__name__)
def test_the_row_of_an_attack_or_analysis_has_its_settings(kind: type[BaseModel]) -> None:
    name = kind.model_fields["name"].default
    (row,) = re.findall(rf"^\| `{name}` \|.*$", (DOCS / "evaluation.md").read_text(), re.MULTILINE)
    settings = row.rsplit("|", 2)[1]
    assert set(re.findall(r"`(\w+)`", settings)) == set(kind.model_fields) - {"name"}


def test_every_field_of_a_report_has_a_row() -> None:
    text = (DOCS / "evaluation.md").read_text().split("## The report")[1].split("## Warnings")[0]
    fields = {field.alias or name for name, field in Report.model_fields.items()}
    cells = re.findall(r"^\| (`.+?`) \|", text, re.MULTILINE)
    assert fields == {name for cell in cells for name in re.findall(r"\w+", cell)}


def test_every_architecture_is_built_and_documented() -> None:
    """It has settings, facts, a builder, and a row with its parameters and settings."""
    assert set(ARCHITECTURES) == set(models.ARCHITECTURES) == names(Network, "architecture")
    text = (DOCS / "architectures.md").read_text()
    for name, facts in ARCHITECTURES.items():
        (row,) = re.findall(rf"^\| `{name}` \|.*$", text, re.MULTILINE)
        count = facts.count_parameters(10)
        assert count is None or f"| {count:,} |" in row
        settings = set(re.findall(r"`(\w+)`", row.rsplit("|", 2)[1]))
        assert settings == set(facts.settings.model_fields) - {"architecture", "normalization"}


def test_every_analysis_has_an_implementation_and_a_plot() -> None:
    assert {"clean", "gradient_checks"} | names(Attack) | names(Analysis) == set(MEASURES)
    assert names(Analysis) == set(figures.PLOTS)


def evaluation_target() -> EvaluationTarget:
    return EvaluationTarget(robust_network(), None, digit_images(4), 10, 4, 0, 0.1)


@pytest.mark.parametrize("kind", kinds(Attack), ids=lambda kind: kind.__name__)
def test_every_attack_runs(kind: Any) -> None:
    settings = kind(radius=0.1)
    if "step_size" in kind.model_fields:
        settings = settings.model_copy(update={"step_size": 0.05})
    assert isinstance(next(measure(evaluation_target(), settings)), Step)


@pytest.mark.parametrize("kind", kinds(AdversarySettings), ids=lambda kind: kind.__name__)
def test_every_adversary_climbs_its_objective(kind: Any) -> None:
    images = torch.full((2, 1, 8, 8), 0.5)
    adversarial = run_adversary(
        kind(radius=0.1),
        lambda x: x.flatten(1).sum(dim=1),
        images,
        torch.Generator().manual_seed(0),
    )
    assert (adversarial.flatten(1).sum(dim=1) > images.flatten(1).sum(dim=1)).all()


@pytest.mark.parametrize("kind", kinds(DistanceSettings), ids=lambda kind: kind.__name__)
def test_every_distance_is_0_only_between_equal_matrices(kind: Any) -> None:
    one = torch.eye(4)
    other = torch.diag(torch.tensor([4.0, 1.0, 1.0, 1.0]))
    settings = kind().model_dump()
    assert float(squared_distance(one, one, **settings)) == pytest.approx(0, abs=1e-5)
    assert float(squared_distance(one, other, **settings)) > 1e-3


@pytest.mark.parametrize("kind", kinds(AveragingSettings), ids=lambda kind: kind.__name__)
def test_every_average_is_updated(kind: Any) -> None:
    average = WeightAverage(
        kind(**({"begin": 0} if "begin" in kind.model_fields else {})),
        SmallCnn(10, width=1, channels=1),
    )
    average.after_step()
    average.after_epoch(1)
    assert average.updates == 1


@pytest.mark.parametrize("kind", kinds(Decay), ids=lambda kind: kind.__name__)
def test_every_decay_gives_a_rate_at_the_last_step(kind: Any) -> None:
    decay = kind(**({"milestones": (1,)} if "milestones" in kind.model_fields else {}))
    assert 0 <= learning_rate_at(Schedule(decay=decay), 99, 100, 10) <= 0.1


# -- settings


def all_settings(annotation: Any, visited: list[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """Yield every class of settings within an annotation, each once."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation in visited:
            return
        visited.append(annotation)
        yield annotation
        inner = [field.annotation for field in annotation.model_fields.values()]
    else:
        inner = list(get_args(annotation))
    for part in inner:
        yield from all_settings(part, visited)


SETTINGS = list(all_settings(SubmittedSpec, []))


def test_all_settings_are_covered() -> None:
    assert {
        *kinds(DistanceSettings),
        *kinds(Network),
        *kinds(Analysis),
        *kinds(AveragingSettings),
        *kinds(Decay),
    } <= set(SETTINGS)


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_every_setting_has_a_description_in_the_schema(kind: type[BaseModel]) -> None:
    schema = kind.model_json_schema()
    if "$ref" in schema:
        schema = schema["$defs"][kind.__name__]
    assert schema["description"]
    undescribed = [
        name
        for name, field in schema["properties"].items()
        if not field.get("description") and "const" not in field
    ]
    assert undescribed == []
