"""Data sets and their images."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unicodedata import normalize
from urllib.parse import quote

from distill_client import downloads
from distill_client.client.base import Requests
from distill_client.responses import Dataset, DatasetImage, Page, parse_response
from distill_client.uploads import UploadCollection


class DatasetRequests(Requests):
    """Requests about data sets."""

    @property
    def _datasets(self) -> UploadCollection[Dataset]:
        return UploadCollection(self.transport, "datasets", Dataset)

    def upload_dataset(
        self,
        path: Path | str,
        name: str,
        *,
        image_size: int | None = None,
        classes: Sequence[str] | None = None,
        every: int | None = None,
    ) -> Dataset:
        """Upload an archive of images, or an .npz, to be imported.

        With ``image_size`` the images stay encoded until they are used. ``classes`` lists the
        classes to keep, in the order of their labels (of an .npz: their names); ``every=10`` keeps
        the 1st, 11th, 21st, ... of the sorted list.
        """
        body = {"name": name, "sha256": downloads.sha256_of(Path(path))}
        return self._datasets.upload(
            body | _reading_options(image_size, classes, every), Path(path)
        )

    def add_dataset(
        self,
        name: str,
        *,
        folder: str | None = None,
        download: str | None = None,
        image_size: int | None = None,
        classes: Sequence[str] | None = None,
        every: int | None = None,
    ) -> Dataset:
        """Import an entry of the operator's data folder, or have cifar10 or cifar100 downloaded.

        The other options are those of ``upload_dataset``.
        """
        body = {"name": name, "folder": folder, "download": download}
        response = self.transport.post(
            "datasets", body | _reading_options(image_size, classes, every)
        )
        return parse_response(Dataset, response)

    def dataset(self, reference: str) -> Dataset:
        """Return one data set, by id or name."""
        return self._datasets.get(reference)

    def wait_dataset(self, reference: str) -> Dataset:
        """Return the data set once it is ready. Raises DistillProblem if it was refused."""
        return self._datasets.wait(reference)

    def datasets(self, *, deleted: bool = False) -> Iterator[Dataset]:
        """Iterate over all data sets, or over those that ``restore_dataset`` would restore."""
        return self._pages("datasets", Page[Dataset], {"deleted": True} if deleted else None)

    def dataset_images(
        self, reference: str, class_name: str | None = None, per_class: int | None = None
    ) -> Iterator[DatasetImage]:
        """Iterate over some images of a data set, class by class, training images first.

        They are of one class if ``class_name`` is given; ``per_class`` limits those of each class.
        """
        params: dict[str, str | int | bool | list[str]] = {}
        if class_name is not None:
            params["class"] = class_name
        if per_class is not None:
            params["per_class"] = per_class
        path = f"datasets/{quote(reference, safe='')}/images"
        return self._pages(path, Page[DatasetImage], params)

    def dataset_picture(self, reference: str, image: DatasetImage) -> bytes:
        """Return the picture that shows the image, and others, as a WebP file."""
        name = image.url.rpartition("/")[2]
        path = f"datasets/{quote(reference, safe='')}/images/{quote(name, safe='')}"
        return self.transport.get(path).content

    def update_dataset(
        self, reference: str, changes: Mapping[str, Any], *, if_match: str | None = None
    ) -> Dataset:
        """Change a data set's name, notes or metadata, as ``update_job`` does a job's."""
        return self._datasets.edit(reference, changes, if_match)

    def delete_dataset(self, reference: str) -> Dataset:
        """Delete a data set, by id or name."""
        return self._datasets.delete(reference)

    def restore_dataset(self, dataset_id: str) -> Dataset:
        """Undo ``delete_dataset``, as long as the service still has the data set."""
        return self._datasets.restore(dataset_id)


def _reading_options(
    image_size: int | None, classes: Sequence[str] | None, every: int | None
) -> dict[str, Any]:
    """Return the fields of a request that say how a data set's files are read.

    Names of classes are in NFC, as the service compares them: macOS writes NFD.
    """
    return {
        "image_size": image_size,
        "classes": None if classes is None else [normalize("NFC", name) for name in classes],
        "every": every,
    }
