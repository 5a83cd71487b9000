"""Archives that would run something, write somewhere else, or unfold without end."""

import gzip
import io
import pickle
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from tests.distillation.data.building import (
    ARCHIVES,
    member,
    npy_of,
    picture,
    png_that_says,
    saved,
    split_classes,
    tar_of,
    tar_of_members,
    zip_of,
)
from tests.intruders.hostile_checkpoints import Payload
from tests.intruders.importing import Build

UNFOLDED_BYTES = 120 * 2**20


def cifar_for_python(canary: Path) -> bytes:
    batch = pickle.dumps({b"data": Payload(canary), b"labels": [0] * 10_000}, 2)
    names = ["data_batch_1", "data_batch_2", "test_batch", "batches.meta"]
    return tar_of({f"cifar-10-batches-py/{name}": batch for name in names}, "gz")


def npz(label: bytes, image: bytes | None = None) -> bytes:
    return zip_of(
        {
            "image.npy": saved(np.zeros((4, 8, 8, 3), np.uint8)) if image is None else image,
            "label.npy": label,
        }
    )


AT_THE_DOOR: dict[str, tuple[Build, str]] = {
    "a bare pickle": (lambda canary: pickle.dumps(Payload(canary)), "unsafe_dataset"),
    "a bare pickle, protocol 0": (
        lambda canary: pickle.dumps(Payload(canary), 0),
        "unsafe_dataset",
    ),
}


def an_array_described_by_code(canary: Path) -> bytes:
    return npz(npy_of("(4,)", f"__import__('os').system('echo ran >> {canary}')", data=bytes(32)))


PICKLES: dict[str, tuple[Build, str]] = {
    "a .pkl among images": (
        lambda canary: zip_of(
            split_classes() | {"train/labels.pkl": pickle.dumps(Payload(canary))}
        ),
        "unsafe_dataset",
    ),
    "a pickle of another name among images": (
        lambda canary: tar_of(split_classes() | {"labels": pickle.dumps(Payload(canary))}),
        "unsafe_dataset",
    ),
    "a pickle that calls itself an image": (
        lambda canary: zip_of(split_classes() | {"train/cat/9.png": pickle.dumps(Payload(canary))}),
        "unreadable_image",
    ),
    "CIFAR's version for Python": (cifar_for_python, "unsafe_dataset"),
    "an array of objects": (
        lambda canary: npz(saved(np.array([Payload(canary), 1, 2, 3], object), allow_pickle=True)),
        "unsafe_dataset",
    ),
    "objects inside a structure": (
        lambda canary: npz(
            npy_of("(1,)", "[('a', '|O'), ('b', '<i8')]", data=pickle.dumps(Payload(canary)))
        ),
        "unsafe_dataset",
    ),
    "an array described by code": (an_array_described_by_code, "corrupt_archive"),
}


def zeros(kind: str) -> bytes:
    """1000 times smaller than what it unfolds to."""
    return ARCHIVES[kind]({"train/cat/0.bmp": bytes(UNFOLDED_BYTES)})


def zeros_as_arrays() -> bytes:
    count = UNFOLDED_BYTES // (32 * 32 * 3)
    image = npy_of(f"({count}, 32, 32, 3)", data=bytes(count * 32 * 32 * 3))
    return npz(saved(np.arange(count) % 10), image)


def nested() -> bytes:
    """Six storeys of ten archives each: 10^6 times 1 MB of zeros."""
    inner = bytes(2**20)
    for storey in range(6):
        inner = zip_of({f"{number}.{'zip' if storey else 'bmp'}": inner for number in range(10)})
    return inner


def overlapping() -> bytes:
    """500 entries that share the bytes of one."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/cat/0.bmp", bytes(2**20))
        archive.filelist += [archive.infolist()[0]] * 500
    return out.getvalue()


def lying_zip64() -> bytes:
    """Its table of contents has 2^60 bytes, it says."""
    whole = zip_of(split_classes())
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 2**40, 2**40, 2**60, 10)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(whole) - 22, 1)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return whole[:-22] + end64 + locator + end


def png_with(kind: bytes, start: bytes) -> bytes:
    """A small picture with a chunk that unfolds to 100 MB."""
    data = start + zlib.compress(bytes(100 * 10**6), 9)
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    whole = picture()
    return whole[:33] + chunk + whole[33:]


def images_with(**more: bytes) -> bytes:
    return zip_of(split_classes() | {f"train/cat/{name}.png": data for name, data in more.items()})


def sparse_tar() -> bytes:
    """A file of 10^12 bytes, all of them holes."""
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(10**12)}
    return tar_of_members(
        [member("train/cat/0.png", b"0\n".ljust(512, b"\0"), pax_headers=headers)]
    )


BOMBS: dict[str, tuple[Build, str]] = {
    "10^10 elements in an array's header": (
        lambda _: npz(saved(np.arange(4)), npy_of("(10000000000, 8, 8, 3)")),
        "corrupt_archive",
    ),
    "zip, unfolding 1000 times": (lambda _: zeros("zip"), "too_large"),
    "tar.gz, unfolding 1000 times": (lambda _: zeros("tar.gz"), "too_large"),
    "tar.xz, unfolding 1000 times": (lambda _: zeros("tar.xz"), "too_large"),
    "arrays, unfolding 1000 times": (lambda _: zeros_as_arrays(), "too_large"),
    "an image of 50,000 x 50,000": (
        lambda _: images_with(x=png_that_says(50_000, 50_000)),
        "too_large",
    ),
    "zips within zips": (lambda _: nested(), "too_few_classes"),
    "entries that share their bytes": (lambda _: overlapping(), "corrupt_archive"),
    "a table of contents of 2^60 bytes": (lambda _: lying_zip64(), "too_large"),
    "a colour profile of 100 MB": (
        lambda _: images_with(x=png_with(b"iCCP", b"x\0\0")),
        "unreadable_image",
    ),
    "a comment of 100 MB": (
        lambda _: images_with(x=png_with(b"zTXt", b"x\0\0")),
        "unreadable_image",
    ),
    "holes of 10^12 bytes": (lambda _: sparse_tar(), "unsafe_dataset"),
}


def with_members(*more: tuple[tarfile.TarInfo, bytes]) -> bytes:
    return tar_of_members([*(member(name, data) for name, data in split_classes().items()), *more])


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> Any:
    return member(name, type=kind, linkname=to)


def symlink_in_a_zip(canary: Path) -> bytes:
    out = io.BytesIO(zip_of(split_classes()))
    with zipfile.ZipFile(out, "a") as archive:
        info = zipfile.ZipInfo("train/cat/9.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, str(canary))
    return out.getvalue()


def a_million_empty_entries_in_a_zip() -> bytes:
    name = b"e/1234"
    entry = (
        b"PK\x01\x02"
        + struct.pack("<HHHHHHIIIHHHHHII", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), *[0] * 6)
        + name
    )
    table, before = entry * 10**6, 4
    return (
        b"PK\x03\x04"
        + table
        + struct.pack(
            "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**6, 10**6, len(table), before
        )
        + struct.pack("<4sIQI", b"PK\x06\x07", 0, before + len(table), 1)
        + b"PK\x05\x06"
        + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, len(table), before, 0)
    )


def twice(name: str) -> bytes:
    out = io.BytesIO(zip_of(split_classes()))
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(out, "a") as archive:
        archive.writestr(name, picture(seed=1))
    return out.getvalue()


def odd_name(name: bytes) -> bytes:
    """A tar whose entry is called so, whatever it is."""
    header = bytearray(tarfile.TarInfo("train/cat/odd.png").tobuf(tarfile.USTAR_FORMAT))
    header[:100] = name[:100].ljust(100, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + tar_of(split_classes())


LINKS: dict[str, tuple[Build, str]] = {
    "a symbolic link to the canary": (
        lambda canary: with_members(
            link("train/cat/9.png", str(canary)), member("train/cat/9.png", b"overwritten")
        ),
        "unsafe_dataset",
    ),
    "a symbolic link in a zip": (symlink_in_a_zip, "unsafe_dataset"),
    "a hard link": (
        lambda canary: with_members(link("train/cat/9.png", str(canary), tarfile.LNKTYPE)),
        "unsafe_dataset",
    ),
    "a device": (
        lambda _: with_members(
            member("train/cat/9.png", type=tarfile.CHRTYPE, devmajor=1, devminor=5)
        ),
        "unsafe_dataset",
    ),
    "a pipe": (
        lambda _: with_members(member("train/cat/9.png", type=tarfile.FIFOTYPE)),
        "unsafe_dataset",
    ),
    "an absolute path": (
        lambda canary: zip_of(split_classes() | {str(canary): picture()}),
        "unsafe_dataset",
    ),
    "a path upwards": (
        lambda canary: tar_of(split_classes() | {"../" * 40 + str(canary)[1:]: picture()}),
        "unsafe_dataset",
    ),
    "10^4 folders within each other": (
        lambda _: tar_of({"a/" * 10_000 + "0.png": picture()}),
        "too_large",
    ),
    "10^6 empty entries in a zip": (lambda _: a_million_empty_entries_in_a_zip(), "too_large"),
    "10^6 empty entries in a tar.gz": (
        lambda _: gzip.compress(tarfile.TarInfo("e/1234").tobuf() * 10**6 + bytes(1024), 1),
        "too_large",
    ),
    "a name twice": (lambda _: twice("train/cat/0.png"), "corrupt_archive"),
    "a name that is not UTF-8": (lambda _: odd_name(b"train/cat/\xff\xfe.png"), "corrupt_archive"),
    "a class with a line break": (
        lambda _: tar_of(
            split_classes() | {f"{part}/c\nat/0.png": picture() for part in ("train", "test")}
        ),
        "unknown_format",
    ),
    "a name of 2000 letters": (
        lambda _: tar_of(split_classes() | {"x" * 2000 + ".png": picture()}),
        "too_large",
    ),
}

ODD_BUT_GOOD: dict[str, Build] = {
    "names that differ in case only": lambda _: zip_of(
        split_classes() | {"train/Cat/0.PNG": picture(), "test/Cat/0.png": picture()}
    ),
}
"""No name of an archive reaches the file system: these are classes and images like others."""
