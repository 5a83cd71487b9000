"""What a page's script keeps in memory, told from the code that the engine compiles of it.

Chromium's heap snapshot gives each node a type and a size. The engine compiles a function again
when it has run often: in an hour of events compressed into minutes that code grows, whatever the
page keeps.
"""

import json
from collections import Counter
from typing import Any, NamedTuple

from playwright.sync_api import CDPSession

CODE = "code"
NO_DATA = {CODE, "native", "synthetic", "hidden"}
"""Compiled code, nodes of the document, records of requests and the like."""


class Heap(NamedTuple):
    """Bytes after a garbage collection."""

    data: int
    """Objects, arrays, text, numbers, closures and their shapes."""
    code: int


def measure_heap(devtools: CDPSession) -> Heap:
    sizes = _sizes_by_type(_take_snapshot(devtools))
    data = sum(size for kind, size in sizes.items() if kind not in NO_DATA)
    return Heap(data, sizes[CODE])


def _take_snapshot(devtools: CDPSession) -> dict[str, Any]:
    chunks: list[str] = []

    def add(event: dict[str, str]) -> None:
        chunks.append(event["chunk"])

    for _ in range(2):
        devtools.send("HeapProfiler.collectGarbage")
    devtools.on("HeapProfiler.addHeapSnapshotChunk", add)
    devtools.send("HeapProfiler.takeHeapSnapshot")
    devtools.remove_listener("HeapProfiler.addHeapSnapshotChunk", add)
    snapshot: dict[str, Any] = json.loads("".join(chunks))
    return snapshot


def _sizes_by_type(snapshot: dict[str, Any]) -> Counter[str]:
    meta = snapshot["snapshot"]["meta"]
    fields: list[str] = meta["node_fields"]
    types: list[str] = meta["node_types"][fields.index("type")]
    nodes: list[int] = snapshot["nodes"]
    sizes: Counter[str] = Counter()
    for kind, size in zip(
        nodes[fields.index("type") :: len(fields)],
        nodes[fields.index("self_size") :: len(fields)],
        strict=True,
    ):
        sizes[types[kind]] += size
    return sizes
