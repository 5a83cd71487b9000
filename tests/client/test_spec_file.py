from pathlib import Path
from typing import Any

import pytest

from core.jobspec.job import AdversarialTrainingSpec, DistillationSpec, parse_submitted
from distill_client import spec_file
from distill_client.errors import ClientError

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def load(tmp_path: Path, text: str, *changes: str) -> dict[str, Any]:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    return spec_file.load(path, list(changes))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_a_valid_job(path: Path) -> None:
    assert isinstance(parse_submitted(spec_file.load(path, [])), AdversarialTrainingSpec | DistillationSpec)


def test_the_papers_example_is_what_the_defaults_are() -> None:
    written = parse_submitted(spec_file.load(EXAMPLES / "cifar10-starship.yaml", []))
    assert isinstance(written, DistillationSpec)
    bare = DistillationSpec.model_validate(
        {"teacher": "x", "student": {"architecture": "resnet18"}, "data": {"dataset": "cifar10"}},
    )
    assert (written.method, written.adversary, written.schedule) == (
        bare.method,
        bare.adversary,
        bare.schedule,
    )


def test_numbers_are_read_as_yaml_1_2_has_them(tmp_path: Path) -> None:
    found = load(
        tmp_path, "{rate: 1e-3, plain: 5e-4, word: no, radius: 8/255, octal: 010, time: 12:30}"
    )
    assert found == {
        "rate": 0.001,
        "plain": 0.0005,
        "word": "no",
        "radius": "8/255",
        "octal": 10,
        "time": "12:30",
    }


def test_changes_reach_any_depth_and_make_what_is_missing(tmp_path: Path) -> None:
    text = "evaluation: {attacks: [{name: pgd}, {name: cw}]}"
    changes = (
        "schedule.epochs=5",
        "evaluation.attacks.1.steps=40",
        "name=a=b",
        "data.augmentation={flip: false}",
        "seed=",
    )
    assert load(tmp_path, text, *changes) == {
        "evaluation": {"attacks": [{"name": "pgd"}, {"name": "cw", "steps": 40}]},
        "schedule": {"epochs": 5},
        "name": "a=b",
        "data": {"augmentation": {"flip": False}},
        "seed": None,
    }


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("epochs", "is no change such as"),
        (".epochs=1", "is no change such as"),
        ("=1", "is no change such as"),
        ("name.first=a", "leads into name"),
        ("attacks.2.steps=1", "in a list of 1"),
        ("attacks.first=1", "in a list of 1"),
        ("seed={", "is not YAML"),
        ("seed=.nan", "does not have"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused_with_a_sentence(
    tmp_path: Path, change: str, sentence: str
) -> None:
    with pytest.raises(ClientError, match=sentence):
        load(tmp_path, "{name: digits, attacks: [{name: pgd}]}", change)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "is not YAML"),
        ("a: 1\na: 2", "is not YAML"),
        ("!!python/object/apply:os.system [ls]", "is not YAML"),
        ("- a", "does not hold a mapping"),
        ("", "does not hold a mapping"),
        ("name: 2026-01-31", "in quotes"),
    ],
)
def test_a_file_that_is_no_job_is_refused_with_a_sentence(
    tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(ClientError, match=sentence):
        load(tmp_path, text)


def test_a_file_that_is_no_text_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ClientError, match="UTF-8"):
        spec_file.load(path, [])
