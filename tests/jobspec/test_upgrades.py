"""Specs and descriptions that an earlier program wrote into files."""

import json
from pathlib import Path
from typing import Any

from core.job_folder import JobFolder
from core.jobspec.job import DistillationSpec
from core.jobspec.resolved import parse
from core.jobspec.upgrades import upgrade
from tests.builders import distillation_spec, model_description


def with_former_names(text: str) -> str:
    return text.replace('"normalization"', '"normalisation"').replace('"normalize"', '"normalise"')


def test_spec_with_former_names_is_the_same_spec() -> None:
    spec = distillation_spec(method={"name": "starship"})
    former = with_former_names(spec.model_dump_json())
    assert former.count("normalis") == 2
    assert parse(json.loads(former)) == spec


def test_present_names_stay_as_they_are() -> None:
    document: dict[str, Any] = distillation_spec(method={"name": "starship"}).model_dump(
        mode="json"
    )
    assert upgrade(document) == document


def test_a_stored_job_goes_on_as_it_did_when_submitted() -> None:
    """Only new jobs stop where they diverge: there was no such setting before."""
    document: dict[str, Any] = distillation_spec().model_dump(mode="json")
    assert document["schedule"].pop("on_divergence") == "stop"
    former = parse(document)
    assert isinstance(former, DistillationSpec)
    assert former.schedule.on_divergence == "continue"


def test_labels_keep_their_names() -> None:
    labels = {"normalisation": "by hand", "normalise": "no"}
    document = distillation_spec(metadata=labels).model_dump(mode="json")
    assert upgrade(document)["metadata"] == labels


def test_upgrade_reaches_objects_in_lists() -> None:
    document = {"students": [{"normalisation": "none"}], "axis": [["normalise"]]}
    assert upgrade(document) == {"students": [{"normalization": "none"}], "axis": [["normalise"]]}


def test_job_folder_from_before_a_rename_can_be_read(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    spec = distillation_spec()
    description = model_description()
    folder.create(spec, teacher=description, model=description)
    for path in (folder.spec, folder.teacher_description, folder.model_description):
        former = with_former_names(path.read_text())
        assert "normalisation" in former
        path.write_text(former)
    assert folder.read_spec() == spec
    assert folder.read_teacher() == folder.read_model() == description
