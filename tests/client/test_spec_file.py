"""The YAML files of jobs, and changes to them."""

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
    spec = parse_submitted(spec_file.load(path, []))
    assert isinstance(spec, AdversarialTrainingSpec | DistillationSpec)


def test_paper_example_equals_the_defaults() -> None:
    example = parse_submitted(spec_file.load(EXAMPLES / "cifar10-starship.yaml", []))
    assert isinstance(example, DistillationSpec)
    bare = DistillationSpec.model_validate(
        {"teacher": "x", "student": {"architecture": "resnet18"}, "data": {"dataset": "cifar10"}},
    )
    assert example.method == bare.method
    assert example.adversary == bare.adversary
    assert example.schedule == bare.schedule


def test_scalars_are_read_as_yaml_1_2(tmp_path: Path) -> None:
    text = "{rate: 1e-3, plain: 5e-4, word: no, radius: 8/255, octal: 010, time: 12:30}"
    assert load(tmp_path, text) == {
        "rate": 0.001,
        "plain": 0.0005,
        "word": "no",
        "radius": "8/255",
        "octal": 10,
        "time": "12:30",
    }


def test_changes_reach_any_depth(tmp_path: Path) -> None:
    """Mappings that are missing on the way are created."""
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
        ("epochs", "is not a change such as"),
        (".epochs=1", "is not a change such as"),
        ("=1", "is not a change such as"),
        ("name.first=a", "leads into name"),
        ("attacks.2.steps=1", "needs an index below 1"),
        ("attacks.first=1", "needs an index below 1"),
        ("seed={", "is not YAML"),
        ("seed=.nan", "does not have"),
    ],
)
def test_impossible_change_is_refused(tmp_path: Path, change: str, sentence: str) -> None:
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
def test_file_that_is_not_a_job_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ClientError, match=sentence):
        load(tmp_path, text)


def test_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ClientError, match="UTF-8"):
        spec_file.load(path, [])


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_other_encodings_are_refused_with_a_sentence(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes("cat\ndog\n".encode(encoding))
    with pytest.raises(ClientError) as caught:
        spec_file.read_text(path)
    assert str(caught.value) == (
        f"{path} has characters of value zero, as UTF-16 without a byte order mark and UTF-32 "
        "have; save it in UTF-8."
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_file_may_come_from_windows(tmp_path: Path, encoding: str, end: str) -> None:
    """With a byte order mark, and other ends of lines; in JSON, which is YAML, too."""
    path = tmp_path / "job.yaml"
    for text in (f"name: M\u00f6we{end}seed: 3{end}", f'{{"name": "M\u00f6we",{end}"seed": 3}}'):
        path.write_bytes(text.encode(encoding))
        assert spec_file.load(path, []) == {"name": "M\u00f6we", "seed": 3}
