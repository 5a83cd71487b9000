"""Archives that run code, write outside their folder or expand without end, if opened carelessly.

What runs, or writes outside, touches the canary, the file that each builder is given. Each case
names the code of its refusal.
"""

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

import numpy as np

from tests.distillation.data.builders import (
    ARCHIVES,
    image_file,
    npy_with_header,
    png_of_size,
    save_npy,
    split_folders,
    tar_member,
    tar_of,
    tar_of_members,
    zip_of,
)
from tests.intruders.import_service import FileBuilder
from tests.intruders.payload import Payload

UNPACKED_BYTES = 120 * 2**20
"""Size of what a bomb expands to."""


def cifar_for_python(canary: Path) -> bytes:
    batch = pickle.dumps({b"data": Payload(canary), b"labels": [0] * 10_000}, 2)
    names = ["data_batch_1", "data_batch_2", "test_batch", "batches.meta"]
    return tar_of({f"cifar-10-batches-py/{name}": batch for name in names}, "gz")


def npz(label: bytes, image: bytes | None = None) -> bytes:
    """Return an archive of two array files; without ``image``, of four black images."""
    return zip_of(
        {
            "image.npy": save_npy(np.zeros((4, 8, 8, 3), np.uint8)) if image is None else image,
            "label.npy": label,
        }
    )


REFUSED_BY_SIGNATURE: dict[str, tuple[FileBuilder, str]] = {
    "a bare pickle": (lambda canary: pickle.dumps(Payload(canary)), "unsafe_dataset"),
    "a bare pickle, protocol 0": (
        lambda canary: pickle.dumps(Payload(canary), 0),
        "unsafe_dataset",
    ),
}
"""Refused by the API because of their first bytes."""


def npz_with_code_as_dtype(canary: Path) -> bytes:
    return npz(
        npy_with_header("(4,)", f"__import__('os').system('echo ran >> {canary}')", data=bytes(32))
    )


PICKLES: dict[str, tuple[FileBuilder, str]] = {
    "a .pkl among images": (
        lambda canary: zip_of(
            split_folders() | {"train/labels.pkl": pickle.dumps(Payload(canary))}
        ),
        "unsafe_dataset",
    ),
    "a pickle of another name among images": (
        lambda canary: tar_of(split_folders() | {"labels": pickle.dumps(Payload(canary))}),
        "unsafe_dataset",
    ),
    "a pickle that calls itself an image": (
        lambda canary: zip_of(split_folders() | {"train/cat/9.png": pickle.dumps(Payload(canary))}),
        "unreadable_image",
    ),
    "CIFAR's version for Python": (cifar_for_python, "unsafe_dataset"),
    "an array of objects": (
        lambda canary: npz(
            save_npy(np.array([Payload(canary), 1, 2, 3], object), allow_pickle=True)
        ),
        "unsafe_dataset",
    ),
    "objects inside a structure": (
        lambda canary: npz(
            npy_with_header(
                "(1,)", "[('a', '|O'), ('b', '<i8')]", data=pickle.dumps(Payload(canary))
            )
        ),
        "unsafe_dataset",
    ),
    "an array described by code": (npz_with_code_as_dtype, "corrupt_archive"),
}


def archive_of_zeros(kind: str) -> bytes:
    """Return an archive that expands to 1000 times its size."""
    return ARCHIVES[kind]({"train/cat/0.bmp": bytes(UNPACKED_BYTES)})


def npz_of_zeros() -> bytes:
    count = UNPACKED_BYTES // (32 * 32 * 3)
    image = npy_with_header(f"({count}, 32, 32, 3)", data=bytes(count * 32 * 32 * 3))
    return npz(save_npy(np.arange(count) % 10), image)


def nested_zips() -> bytes:
    """Return six levels of ten archives each, which hold 10^6 times 1 MB of zeros."""
    content = bytes(2**20)
    for level in range(6):
        content = zip_of({f"{number}.{'zip' if level else 'bmp'}": content for number in range(10)})
    return content


def zip_with_shared_bytes() -> bytes:
    """Return a zip of 501 entries that share the bytes of one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/cat/0.bmp", bytes(2**20))
        archive.filelist += [archive.infolist()[0]] * 500
    return buffer.getvalue()


def zip64_with_false_size() -> bytes:
    """Return a zip that declares a table of contents of 2^60 bytes."""
    archive = zip_of(split_folders())
    # The last 22 bytes of a zip are its end record. This one refers to a zip64 record before it.
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 2**40, 2**40, 2**60, 10)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(archive) - 22, 1)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return archive[:-22] + end64 + locator + end


def png_with_chunk(kind: bytes, start: bytes) -> bytes:
    """Return a small image with a chunk that expands to 100 MB."""
    data = start + zlib.compress(bytes(100 * 10**6), 9)
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    image = image_file()
    # The signature and the first chunk, IHDR, take 33 bytes; the new chunk follows them.
    return image[:33] + chunk + image[33:]


def images_with(**files: bytes) -> bytes:
    """Return a zip of valid images and these."""
    return zip_of(split_folders() | {f"train/cat/{name}.png": data for name, data in files.items()})


def sparse_tar() -> bytes:
    """Return a tar with a sparse file of 10^12 bytes, which are all holes."""
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(10**12)}
    return tar_of_members(
        [tar_member("train/cat/0.png", b"0\n".ljust(512, b"\0"), pax_headers=headers)]
    )


BOMBS: dict[str, tuple[FileBuilder, str]] = {
    "10^10 elements in an array's header": (
        lambda _: npz(save_npy(np.arange(4)), npy_with_header("(10000000000, 8, 8, 3)")),
        "corrupt_archive",
    ),
    "zip, expanding 1000 times": (lambda _: archive_of_zeros("zip"), "too_large"),
    "tar.gz, expanding 1000 times": (lambda _: archive_of_zeros("tar.gz"), "too_large"),
    "tar.xz, expanding 1000 times": (lambda _: archive_of_zeros("tar.xz"), "too_large"),
    "arrays, expanding 1000 times": (lambda _: npz_of_zeros(), "too_large"),
    "an image of 50,000 x 50,000": (
        lambda _: images_with(x=png_of_size(50_000, 50_000)),
        "too_large",
    ),
    "zips within zips": (lambda _: nested_zips(), "too_few_classes"),
    "entries that share their bytes": (lambda _: zip_with_shared_bytes(), "corrupt_archive"),
    "a table of contents of 2^60 bytes": (lambda _: zip64_with_false_size(), "too_large"),
    "a color profile of 100 MB": (
        lambda _: images_with(x=png_with_chunk(b"iCCP", b"x\0\0")),
        "unreadable_image",
    ),
    "a comment of 100 MB": (
        lambda _: images_with(x=png_with_chunk(b"zTXt", b"x\0\0")),
        "unreadable_image",
    ),
    "holes of 10^12 bytes": (lambda _: sparse_tar(), "unsafe_dataset"),
}


def tar_with_members(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Return a tar of valid images, followed by these members."""
    images = [tar_member(name, data) for name, data in split_folders().items()]
    return tar_of_members([*images, *members])


def link_member(
    name: str, target: str, kind: bytes = tarfile.SYMTYPE
) -> tuple[tarfile.TarInfo, bytes]:
    return tar_member(name, type=kind, linkname=target)


def zip_with_symlink(canary: Path) -> bytes:
    buffer = io.BytesIO(zip_of(split_folders()))
    with zipfile.ZipFile(buffer, "a") as archive:
        info = zipfile.ZipInfo("train/cat/9.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, str(canary))
    return buffer.getvalue()


def zip_of_a_million_entries() -> bytes:
    """Return a zip whose table of contents lists 10^6 empty files."""
    name = b"e/1234"
    entry = (
        b"PK\x01\x02"
        + struct.pack("<HHHHHHIIIHHHHHII", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), *[0] * 6)
        + name
    )
    table = entry * 10**6
    signature = b"PK\x03\x04"
    before = len(signature)
    return (
        signature
        + table
        + struct.pack(
            "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**6, 10**6, len(table), before
        )
        + struct.pack("<4sIQI", b"PK\x06\x07", 0, before + len(table), 1)
        + b"PK\x05\x06"
        + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, len(table), before, 0)
    )


def zip_with_duplicate(name: str) -> bytes:
    """Return a zip of valid images in which this name stands twice."""
    buffer = io.BytesIO(zip_of(split_folders()))
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(name, image_file(seed=1))
    return buffer.getvalue()


def tar_with_name(name: bytes) -> bytes:
    """Return a tar whose first entry has this name, valid or not."""
    header = bytearray(tarfile.TarInfo("train/cat/odd.png").tobuf(tarfile.USTAR_FORMAT))
    header[:100] = name[:100].ljust(100, b"\0")
    # The checksum is that of the header with blanks in its own place.
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + tar_of(split_folders())


HOSTILE_ENTRIES: dict[str, tuple[FileBuilder, str]] = {
    "a symbolic link to the canary": (
        lambda canary: tar_with_members(
            link_member("train/cat/9.png", str(canary)),
            tar_member("train/cat/9.png", b"overwritten"),
        ),
        "unsafe_dataset",
    ),
    "a symbolic link in a zip": (zip_with_symlink, "unsafe_dataset"),
    "a hard link": (
        lambda canary: tar_with_members(
            link_member("train/cat/9.png", str(canary), tarfile.LNKTYPE)
        ),
        "unsafe_dataset",
    ),
    "a device": (
        lambda _: tar_with_members(
            tar_member("train/cat/9.png", type=tarfile.CHRTYPE, devmajor=1, devminor=5)
        ),
        "unsafe_dataset",
    ),
    "a pipe": (
        lambda _: tar_with_members(tar_member("train/cat/9.png", type=tarfile.FIFOTYPE)),
        "unsafe_dataset",
    ),
    "an absolute path": (
        lambda canary: zip_of(split_folders() | {str(canary): image_file()}),
        "unsafe_dataset",
    ),
    "a path upwards": (
        lambda canary: tar_of(split_folders() | {"../" * 40 + str(canary)[1:]: image_file()}),
        "unsafe_dataset",
    ),
    "10^4 folders within each other": (
        lambda _: tar_of({"a/" * 10_000 + "0.png": image_file()}),
        "too_large",
    ),
    "10^6 empty entries in a zip": (lambda _: zip_of_a_million_entries(), "too_large"),
    "10^6 empty entries in a tar.gz": (
        lambda _: gzip.compress(tarfile.TarInfo("e/1234").tobuf() * 10**6 + bytes(1024), 1),
        "too_large",
    ),
    "a name twice": (lambda _: zip_with_duplicate("train/cat/0.png"), "corrupt_archive"),
    "a name that is not UTF-8": (
        lambda _: tar_with_name(b"train/cat/\xff\xfe.png"),
        "corrupt_archive",
    ),
    "a class with a line break": (
        lambda _: tar_of(
            split_folders() | {f"{part}/c\nat/0.png": image_file() for part in ("train", "test")}
        ),
        "unknown_format",
    ),
    "a name of 2000 letters": (
        lambda _: tar_of(split_folders() | {"x" * 2000 + ".png": image_file()}),
        "too_large",
    ),
}

UNUSUAL_BUT_VALID: dict[str, FileBuilder] = {
    "names that differ in case only": lambda _: zip_of(
        split_folders() | {"train/Cat/0.PNG": image_file(), "test/Cat/0.png": image_file()}
    ),
}
"""Imported: no name of an archive reaches the file system, so these are classes like any others."""
