import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.distillation.data.building import member, split_classes, tar_of, tar_of_members, zip_of

Refusal = Callable[[bytes], tuple[str, str]]


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
def test_a_path_that_leads_elsewhere_is_refused_by_name(
    refused: Refusal, pack: Callable[[dict[str, bytes]], bytes], name: str
):
    code, message = refused(pack(split_classes() | {name: b"x"}))
    assert (code, "leads elsewhere" in message) == ("unsafe_dataset", True)
    assert f'"{name}"' in message


LINKS = {
    "symlink": member("train/cat/9.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "relative symlink": member("train/cat/9.png", type=tarfile.SYMTYPE, linkname="../../../canary"),
    "hardlink": member("train/cat/9.png", type=tarfile.LNKTYPE, linkname="train/cat/0.png"),
    "folder symlink": member("train/dog", type=tarfile.SYMTYPE, linkname=".."),
    "character device": member("train/cat/9.png", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "block device": member("train/cat/9.png", type=tarfile.BLKTYPE, devmajor=8, devminor=0),
    "pipe": member("train/cat/9.png", type=tarfile.FIFOTYPE),
    "sparse file": member("train/cat/9.png", type=tarfile.GNUTYPE_SPARSE),
    "unknown type": member("train/cat/9.png", type=b"Z"),
    "hidden symlink": member(".link", type=tarfile.SYMTYPE, linkname="/"),
}


@pytest.mark.parametrize("kind", LINKS)
def test_a_link_or_device_in_a_tar_is_refused_by_name(refused: Refusal, kind: str):
    info, data = LINKS[kind]
    code, message = refused(
        tar_of_members([*(member(name, it) for name, it in split_classes().items()), (info, data)])
    )
    assert (code, f'"{info.name}"' in message) == ("unsafe_dataset", True)


def test_a_chain_of_links_is_refused_at_the_first(refused: Refusal):
    chain = [
        member(f"l{at}", type=tarfile.SYMTYPE, linkname=f"l{at - 1}" if at else "..")
        for at in range(100)
    ]
    assert refused(tar_of_members([*chain, member("l99/canary", b"overwritten")])) == (
        "unsafe_dataset",
        '"l0" is a link, a device or a sparse file; a data set has regular files and folders only.',
    )


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o060666, 0o010666])
def test_a_link_or_device_in_a_zip_is_refused_by_name(refused: Refusal, mode: int):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("train/cat/9.png")
        info.external_attr = mode << 16
        archive.writestr(info, "/etc/passwd")
    code, message = refused(out.getvalue())
    assert (code, '"train/cat/9.png"' in message) == ("unsafe_dataset", True)


# -- what could run code


@pytest.mark.parametrize("pack", [zip_of, tar_of], ids=["zip", "tar"])
@pytest.mark.parametrize(
    "name", ["data.pkl", "train/cat/x.PT", "a/labels.npy", "arrays.npz", "model.pth", "x.joblib"]
)
def test_a_file_that_may_hold_a_pickle_is_refused_by_name(
    refused: Refusal, pack: Callable[[dict[str, bytes]], bytes], name: str
):
    code, message = refused(pack(split_classes() | {name: b"anything"}))
    assert (code, f'"{name}"' in message) == ("unsafe_dataset", True)


@pytest.mark.parametrize("pack", [zip_of, tar_of], ids=["zip", "tar"])
def test_a_pickle_by_any_other_name_is_refused_and_does_not_run(
    refused: Refusal, pack: Callable[[dict[str, bytes]], bytes], tmp_path: Path
):
    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.mkdir, (str(tmp_path / "it-ran"),))

    code, message = refused(pack(split_classes() | {"train/labels": pickle.dumps(Payload())}))
    assert (code, '"train/labels"' in message) == ("unsafe_dataset", True)
    assert not (tmp_path / "it-ran").exists()


def test_cifars_python_archive_is_refused_and_the_binary_version_named(refused: Refusal):
    code, message = refused(
        tar_of({"cifar-10-batches-py/data_batch_4": b"\x80\x02}q\x01(U\x0bbatch_label"}, "gz")
    )
    assert (code, "binary version" in message) == ("unsafe_dataset", True)
