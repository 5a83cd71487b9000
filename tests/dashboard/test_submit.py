"""Submitting: form, YAML and dry run are one thing."""

import json
import re

import pytest
import yaml
from playwright.sync_api import Locator, Page, expect

from tests.dashboard.browsing import PHONE, PageErrors, open_page
from tests.dashboard.conftest import Visit
from tests.dashboard.services import DashboardService, SeededService


def field(page: Page, path: str) -> Locator:
    return page.locator(f'[data-field="{path}"]')


def text(page: Page) -> str:
    return page.get_by_label("The job as YAML").input_value()


@pytest.fixture
def form(page: Page, page_errors: PageErrors) -> Page:
    """The form with the first example, which can be submitted at once."""
    page_errors.expected_statuses.add(422)
    open_page(page, "/submit")
    expect(page.get_by_role("button", name="Submit", exact=True)).to_be_enabled()
    return page


def test_form_and_yaml_are_the_same(form: Page) -> None:
    field(form, "adversary.radius").fill("8/255")
    field(form, "student.width").fill("4")
    body = yaml.safe_load(text(form))
    assert (body["adversary"]["radius"], body["student"]["width"]) == ("8/255", 4)
    assert "# comes with the program" in text(form)  # comments stay
    form.get_by_label("The job as YAML").fill(text(form).replace("width: 4", "width: 6"))
    expect(field(form, "student.width")).to_have_value("6")
    expect(form.get_by_text("Marked lines differ from it.")).to_be_visible()


def test_wrong_field_is_named_and_found_by_keyboard(form: Page) -> None:
    field(form, "adversary.steps").fill("0")
    expect(form.get_by_text("Must be at least 1, not 0.", exact=True)).to_be_visible()
    expect(form.get_by_role("button", name="Submit", exact=True)).to_be_disabled()
    expect(form.get_by_text("One field needs a correction.")).to_be_visible()
    form.get_by_role("button", name="Steps", exact=True).press("Enter")
    expect(field(form, "adversary.steps")).to_be_focused()
    form.keyboard.press("ControlOrMeta+a")
    form.keyboard.type("7")
    expect(form.get_by_role("button", name="Submit", exact=True)).to_be_enabled()


def test_broken_yaml_keeps_the_form(form: Page) -> None:
    form.get_by_label("The job as YAML").fill("kind: distillation\nteacher: {x\n")
    expect(form.get_by_text(re.compile("Correct line . of the YAML first"))).to_be_visible()
    expect(field(form, "student.width")).to_be_disabled()
    form.get_by_role("button", name="Undo all changes").click()
    expect(field(form, "student.width")).to_be_enabled()


def test_three_seeds_make_a_sweep(form: Page) -> None:
    field(form, "seed").fill("0, 1, 2")
    expect(form.get_by_role("button", name="Submit sweep")).to_be_enabled()
    body = yaml.safe_load(text(form))
    assert body["axes"] == {"seed": [0, 1, 2]}
    assert body["name"] == "digits-teacher"
    expect(form.locator("dl").filter(has_text="Jobs")).to_contain_text("3")
    form.get_by_role("textbox", name="Seeds").fill("5")
    expect(form.get_by_role("button", name="Submit", exact=True)).to_be_enabled()
    assert yaml.safe_load(text(form))["seed"] == 5


def test_tabs_show_the_same_request(form: Page) -> None:
    form.get_by_role("tab", name="curl").click()
    shown = form.get_by_role("region", name="The request by curl").inner_text()
    body = json.loads(shown.partition("<<'JSON'")[2].rpartition("JSON")[0])
    assert body == json.loads(json.dumps(yaml.safe_load(text_of_yaml(form))))
    form.get_by_role("tab", name="Python").click()
    expect(form.get_by_role("region", name="The request in Python")).to_contain_text(
        "service.submit("
    )


def text_of_yaml(page: Page) -> str:
    page.get_by_role("tab", name="YAML").click()
    return text(page)


def test_line_of_a_paper_table_is_a_start(form: Page) -> None:
    form.get_by_role("button", name="Start from an example").click()
    dialog = form.get_by_role("dialog")
    dialog.get_by_text("One of its 16").click()
    dialog.get_by_role("link", name="RSLAD, resnet18").click()
    expect(form).to_have_url(re.compile(r"example=table1&line=RSLAD%2C\+resnet18$"))
    expect(
        form.get_by_text("There is no data set 'cifar10' in this project.", exact=True)
    ).to_be_visible()
    assert yaml.safe_load(text(form))["method"] == {"name": "rslad"}
    form.go_back()
    expect(field(form, "name")).to_have_value("digits-teacher")


def test_clone_says_what_differs_and_is_recorded(
    visit: Visit, scratch_service: DashboardService
) -> None:
    """The clone of a resolved job is as short as what a person would write."""
    with scratch_service.embedded.client() as client:
        spec = {
            "kind": "adversarial_training",
            "name": "to be cloned",
            "student": {"architecture": "small_cnn", "width": 3},
            "data": {"dataset": "digits", "limit": 300},
            "adversary": {"name": "pgd", "radius": "8/255", "steps": 2},
            "schedule": {"epochs": 1},
            "evaluation": {"attacks": [{"name": "pgd"}], "limit": 16},
        }
        job = client.submit(spec)
        clone_page = visit(scratch_service).new_page()
        open_page(clone_page, f"/submit?clone={job.id}")
        assert yaml.safe_load(text(clone_page)) == {**spec, "method": {"name": "trades"}}
        field(clone_page, "name").fill("cloned")
        expect(clone_page.get_by_text("Marked lines differ from it.")).to_be_visible()
        clone_page.get_by_role("button", name="Submit", exact=True).click()
        clone_page.wait_for_url("**/jobs/job_*")
        clone = client.job(clone_page.url.rpartition("/")[2])
        assert (clone.name, clone.cloned_from) == ("cloned", job.id)
        for each in (job, clone):
            client.cancel(each.id)


def test_models_to_evaluate_are_filled_in(page: Page, service: SeededService) -> None:
    open_page(page, f"/submit?evaluate={service.student.model_id}")
    body = yaml.safe_load(text(page))
    assert (body["kind"], body["data"]) == ("evaluation", {"dataset": "digits"})
    expect(page.get_by_role("button", name="Submit", exact=True)).to_be_enabled()


def test_key_without_the_scope_may_look(visit: Visit, scratch_service: DashboardService) -> None:
    with scratch_service.embedded.client() as client:
        secret = client.create_key("looks", ["read"]).secret
    page = visit(scratch_service, secret).new_page()
    open_page(page, "/submit")
    expect(page.get_by_text("Your key lacks the scope submit")).to_be_visible()
    expect(page.get_by_role("button", name="Submit", exact=True)).to_be_disabled()


def test_phone_shows_form_yaml_and_button(form: Page) -> None:
    form.set_viewport_size({"width": PHONE, "height": 844})
    expect(form.get_by_role("button", name="Submit", exact=True)).to_be_visible()
    boxes = [
        locator.bounding_box()
        for locator in (field(form, "name"), form.get_by_label("The job as YAML"))
    ]
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert boxes[0]["y"] < boxes[1]["y"]
