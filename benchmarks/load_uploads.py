"""L5: large uploads: what they cost the API in memory, whether they are in anybody's way, and when a slow one is cut."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil
from clients import HEADERS, Bystander, at_once, quantile
from served import Database

BYTES = 5 * 10**9
AT_ONCE = 5
SLOW_BYTES_PER_SECOND = 1000
LOOK_SECONDS = 0.05
SLOW_FROM_SCALE = 0.5
"""A smaller run does not wait for the service's patience with a slow sender, which is over a minute."""
BLOCK = bytes(2**20)


def uploads(database: Database, scale: float) -> dict[str, Any]:
    """One upload of 5 GB; five at once, of 1 GB each; one that sends 1 kB a second, beside nothing else."""
    size = max(4 * 2**20, round(BYTES * scale))
    with database.api() as (url, api):
        watched = partial(_watched, url, api.pid)
        found = {
            "one": watched([lambda: _send(url, "one", size)]),
            "at_once": watched(
                [partial(_send, url, f"of-{n}", size // AT_ONCE) for n in range(AT_ONCE)]
            ),
            "slow": _slow(url) if scale >= SLOW_FROM_SCALE else None,
        }
    return {"bytes": size, **found}


def _watched(url: str, pid: int, sends: list[Callable[[], float]]) -> dict[str, Any]:
    process, over = psutil.Process(pid), threading.Event()
    before = most = process.memory_info().rss

    def look() -> None:
        nonlocal most
        while not over.wait(LOOK_SECONDS):
            most = max(most, process.memory_info().rss)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        with Bystander(url) as bystander:
            seconds = at_once(sends)
    finally:
        over.set()
        looking.join()
    return {
        "seconds": max(seconds),
        "more_memory_bytes": most - before,
        "bystander_ms": {
            "p50": quantile(bystander.waits, 0.5),
            "p99": quantile(bystander.waits, 0.99),
        },
    }


def _address(url: str, name: str) -> str:
    """A model that awaits its bytes."""
    body = {"name": name, "network": {"architecture": "resnet18"}, "classes": 10}
    answer = httpx2.post(f"{url}/v1/models", json=body, headers=HEADERS, timeout=30)
    return f"/v1/models/{answer.raise_for_status().json()['id']}/content"


def _head(url: str, path: str, size: int) -> bytes:
    lines = [
        f"PUT {path} HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        f"Authorization: {HEADERS['Authorization']}",
        "Content-Type: application/octet-stream",
        f"Content-Length: {size}",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _beginning(size: int) -> bytes:
    """Of a safetensors file with one tensor of zeros; ``size`` is that of the whole file."""
    tensor = {"dtype": "U8", "shape": [size - 512], "data_offsets": [0, size - 512]}
    header = json.dumps({"zeros": tensor}).ljust(512 - 8)
    return struct.pack("<Q", len(header)) + header.encode()


def _send(url: str, name: str, size: int) -> float:
    """Seconds. Raises SystemExit unless it was taken."""
    path = _address(url, name)
    parts = urlsplit(url)
    began = time.perf_counter()
    with socket.create_connection(
        (str(parts.hostname), int(parts.port or 80)), timeout=300
    ) as connection:
        connection.sendall(_head(url, path, size) + _beginning(size))
        left = size - 512
        while left:
            block = BLOCK[: min(left, len(BLOCK))]
            connection.sendall(block)
            left -= len(block)
        answer = connection.recv(2**16)
    if not answer.startswith(b"HTTP/1.1 202"):
        raise SystemExit(f"{path}: {answer[:300]!r}")
    return time.perf_counter() - began


def _slow(url: str) -> dict[str, Any]:
    """Until the service has had enough: its answer's status, and the seconds that it took."""
    path = _address(url, "slow")
    parts = urlsplit(url)
    size = 10**9
    began = time.perf_counter()
    with socket.create_connection(
        (str(parts.hostname), int(parts.port or 80)), timeout=1
    ) as connection:
        connection.sendall(_head(url, path, size) + _beginning(size))
        while True:
            try:
                connection.sendall(BLOCK[:SLOW_BYTES_PER_SECOND])
                if answer := connection.recv(2**16):
                    return {
                        "status": int(answer.split()[1]),
                        "seconds": time.perf_counter() - began,
                    }
            except TimeoutError:
                continue
            except OSError as error:
                return {"status": None, "error": str(error), "seconds": time.perf_counter() - began}
