import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.distillation.data.builders import (
    RefusalOf,
    split_folders,
    tar_member,
    tar_of,
    tar_of_members,
    zip_of,
)

Pack = Callable[[dict[str, bytes]], bytes]


@pytest.mark.parametrize("pack", [zip_of, tar_of], ids=["zip", "tar"])
@pytest.mark.parametrize(
    "name",
    [
        "../canary",
        "../canary.png",
        "train/../../canary.png",
        "../job-evil/0.png",
        "../../../../../../../../tmp/canary.png",
        "/tmp/canary.png",
        "//tmp/canary.png",
        "C:/canary.png",
        "c:\\canary.png",
        "..\\canary.png",
        "\\\\server\\share\\0.png",
        "train/cat/..",
        ".hidden/../../canary.png",
    ],
)
def test_path_out_of_the_archive_is_refused_by_name(
    refusal_of: RefusalOf, pack: Pack, name: str
) -> None:
    code, message = refusal_of(pack(split_folders() | {name: b"x"}))
    assert (code, "leads out of the archive" in message) == ("unsafe_dataset", True)
    assert f'"{name}"' in message


CAT = "train/cat/9.png"
LINKS = {
    "symlink": tar_member(CAT, type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "relative symlink": tar_member(CAT, type=tarfile.SYMTYPE, linkname="../../../canary"),
    "hardlink": tar_member(CAT, type=tarfile.LNKTYPE, linkname="train/cat/0.png"),
    "folder symlink": tar_member("train/dog", type=tarfile.SYMTYPE, linkname=".."),
    "character device": tar_member(CAT, type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "block device": tar_member(CAT, type=tarfile.BLKTYPE, devmajor=8, devminor=0),
    "pipe": tar_member(CAT, type=tarfile.FIFOTYPE),
    "sparse file": tar_member(CAT, type=tarfile.GNUTYPE_SPARSE),
    "unknown type": tar_member(CAT, type=b"Z"),
    "hidden symlink": tar_member(".link", type=tarfile.SYMTYPE, linkname="/"),
}


@pytest.mark.parametrize("kind", LINKS)
def test_link_or_device_in_a_tar_is_refused_by_name(refusal_of: RefusalOf, kind: str) -> None:
    info, data = LINKS[kind]
    members = [tar_member(name, data) for name, data in split_folders().items()]
    code, message = refusal_of(tar_of_members([*members, (info, data)]))
    assert (code, f'"{info.name}"' in message) == ("unsafe_dataset", True)


def test_chain_of_links_is_refused_at_the_first(refusal_of: RefusalOf) -> None:
    chain = [
        tar_member(
            f"l{number}", type=tarfile.SYMTYPE, linkname=f"l{number - 1}" if number else ".."
        )
        for number in range(100)
    ]
    assert refusal_of(tar_of_members([*chain, tar_member("l99/canary", b"overwritten")])) == (
        "unsafe_dataset",
        '"l0" is a link, a device or a sparse file; a data set may have regular files and folders '
        "only.",
    )


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o060666, 0o010666])
def test_link_or_device_in_a_zip_is_refused_by_name(refusal_of: RefusalOf, mode: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo(CAT)
        info.external_attr = mode << 16
        archive.writestr(info, "/etc/passwd")
    code, message = refusal_of(buffer.getvalue())
    assert (code, f'"{CAT}"' in message) == ("unsafe_dataset", True)


# -- files that could run code


@pytest.mark.parametrize("pack", [zip_of, tar_of], ids=["zip", "tar"])
@pytest.mark.parametrize(
    "name", ["data.pkl", "train/cat/x.PT", "a/labels.npy", "arrays.npz", "model.pth", "x.joblib"]
)
def test_file_that_may_contain_a_pickle_is_refused_by_name(
    refusal_of: RefusalOf, pack: Pack, name: str
) -> None:
    code, message = refusal_of(pack(split_folders() | {name: b"anything"}))
    assert (code, f'"{name}"' in message) == ("unsafe_dataset", True)


@pytest.mark.parametrize("pack", [zip_of, tar_of], ids=["zip", "tar"])
def test_pickle_of_any_name_is_refused_and_does_not_run(
    refusal_of: RefusalOf, pack: Pack, tmp_path: Path
) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.mkdir, (str(tmp_path / "it-ran"),))

    code, message = refusal_of(pack(split_folders() | {"train/labels": pickle.dumps(Payload())}))
    assert (code, '"train/labels"' in message) == ("unsafe_dataset", True)
    assert not (tmp_path / "it-ran").exists()


def test_cifars_python_version_is_refused_with_advice(refusal_of: RefusalOf) -> None:
    batch = b"\x80\x02}q\x01(U\x0bbatch_label"
    code, message = refusal_of(tar_of({"cifar-10-batches-py/data_batch_4": batch}, "gz"))
    assert (code, "binary version" in message) == ("unsafe_dataset", True)
