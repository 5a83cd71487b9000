"""Models, data sets and sweeps: read on seeded contents, changed on a service of their own."""

import io
import re
import zipfile

import numpy as np
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect
from safetensors.numpy import save

from core.store.database.tables import DIGITS_ID
from tests.dashboard.browsing import delay_deletions, open_page
from tests.dashboard.conftest import Visit
from tests.dashboard.services import DashboardService, SeededService

IMPORT_MS = 60_000


def test_ranking_has_a_threat_model_and_filters(page: Page) -> None:
    open_page(page, "/models")
    expect(page.get_by_role("heading", name=re.compile("· L∞")).first).to_be_visible()
    page.get_by_text("Students", exact=True).click()
    expect(page).to_have_url(re.compile("role=students"))
    page.get_by_role("searchbox", name="Search models").fill("no such model")
    expect(page.get_by_text("No model passes these filters.")).to_be_visible()


def test_sweep_says_what_is_missing(page: Page, service: SeededService) -> None:
    open_page(page, service.pages()["sweep"])
    expect(page.get_by_role("heading", name="Results")).to_be_visible()
    expect(page.get_by_text(re.compile(r"\d+ of \d+ ended")).first).to_be_visible()


def test_images_of_one_class_are_chosen_in_the_address(page: Page) -> None:
    open_page(page, f"/datasets/{DIGITS_ID}")
    expect(page.get_by_role("img", name=re.compile("^3, training image")).first).to_be_visible()
    page.get_by_role("combobox", name="Class").select_option("7")
    expect(page).to_have_url(re.compile("class=7"))
    expect(page.get_by_role("img", name=re.compile("^3,"))).to_have_count(0)


def test_refused_upload_says_why_and_can_be_restored(
    visit: Visit, own_service: DashboardService
) -> None:
    """Weights of another network: the worker that reads them says what is wrong."""
    page = visit(own_service).new_page()
    delay_deletions(page)
    open_page(page, "/models")
    page.get_by_role("button", name="Upload").click()
    dialog = page.get_by_role("dialog")
    content = save({"weight": np.zeros((2, 2), dtype=np.float32)})
    dialog.get_by_label("Checkpoint").set_input_files(checkpoint("other.safetensors", content))
    expect(dialog.get_by_role("textbox", name="Name unique")).to_have_value("other")
    dialog.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/models/mdl_*")
    expect(page.get_by_role("heading", name="Refused")).to_be_visible(timeout=IMPORT_MS)
    delete_and_restore(page, "other")


def test_unsafe_upload_is_refused_in_the_dialog(
    visit: Visit, own_service: DashboardService
) -> None:
    visitor = visit(own_service)
    visitor.errors.expected_statuses.add(422)
    page = visitor.new_page()
    open_page(page, "/models")
    page.get_by_role("button", name="Upload").click()
    dialog = page.get_by_role("dialog")
    pickle = checkpoint("weights.pt", b"\x80\x02no checkpoint")
    dialog.get_by_label("Checkpoint").set_input_files(pickle)
    dialog.get_by_role("button", name="Upload").click()
    expect(dialog.get_by_text("The file is a bare pickle")).to_be_visible()


def test_archive_becomes_a_data_set_with_notes(visit: Visit, own_service: DashboardService) -> None:
    page = visit(own_service).new_page()
    delay_deletions(page)
    open_page(page, "/datasets")
    page.get_by_role("button", name="Import").click()
    dialog = page.get_by_role("dialog")
    archive: FilePayload = {
        "name": "pets.zip",
        "mimeType": "application/zip",
        "buffer": image_archive(),
    }
    dialog.get_by_label("Archive").last.set_input_files(archive)
    dialog.get_by_role("button", name="Import").click()
    page.wait_for_url("**/datasets/ds_*")
    expect(page.get_by_text("Ready", exact=True)).to_be_visible(timeout=IMPORT_MS)
    expect(page.get_by_text("readme.txt")).to_be_visible()
    page.get_by_role("button", name="Edit notes and metadata").click()
    page.get_by_role("textbox", name="Notes").fill("<b>as written</b>")
    page.get_by_role("textbox", name="Metadata").fill("team=vision")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("<b>as written</b>")).to_be_visible()
    delete_and_restore(page, "pets")


def delete_and_restore(page: Page, name: str) -> None:
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page.get_by_role("heading", name=f"Delete {name}?")).to_be_visible()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_role("button", name="More actions")).to_be_visible()


def checkpoint(name: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": "", "buffer": content}


def image_archive() -> bytes:
    """Return a zip of two classes with training and test images, and a file that is ignored."""
    generator = np.random.default_rng(0)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "not an image")
        for part in ("train", "test"):
            for class_name in ("cat", "dog"):
                for index in range(4):
                    picture = io.BytesIO()
                    pixels = generator.integers(0, 255, (16, 16, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(picture, "PNG")
                    archive.writestr(f"{part}/{class_name}/{index}.png", picture.getvalue())
    return buffer.getvalue()


def test_deleted_data_set_is_restored_from_the_list(
    visit: Visit, own_service: DashboardService
) -> None:
    """The import offers archives only: this service has no data folder, and downloads nothing."""
    with own_service.embedded.client() as client:
        dataset = client.transport.post("datasets", {"name": "regretted"}).json()
        client.delete_dataset(dataset["id"])
    page = visit(own_service).new_page()
    open_page(page, "/datasets")
    page.get_by_role("button", name="Restore regretted").click()
    expect(page.get_by_role("button", name="Restore regretted")).to_have_count(0)
    expect(page.get_by_role("link", name="regretted")).to_be_visible()
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("dialog").get_by_label("Archive").last).to_be_visible()
    expect(page.get_by_role("dialog").get_by_text("Download")).to_have_count(0)
