"""How long the tests take, by folder, from the record of one run of all of them.

    ./run test --junitxml=build/tests.xml
    python benchmarks/test_time.py build/tests.xml [--out docs/results]

Seconds of the processes that ran the tests, set-up included: several run at once, so the wall clock
shows less. Writes test_time.json and test_time.md.
"""

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from result_files import stamp, write

SECOND_LEVEL = "distillation"
"""The folder that is shown by its own folders: it holds half of the tests."""


def folder_of(class_name: str) -> str:
    """``tests.store.database.test_engine`` -> ``tests/store``."""
    parts = [part for part in class_name.split(".") if part != "tests"]
    modules = next((n for n, part in enumerate(parts) if part.startswith("test_")), len(parts))
    depth = 2 if parts[0] == SECOND_LEVEL else 1
    return "/".join(["tests", *parts[: min(modules, depth)]])


def measure(record: Path) -> dict[str, Any]:
    """Tests and seconds by folder, and the wall-clock seconds of the run."""
    seconds: dict[str, float] = defaultdict(float)
    tests: dict[str, int] = defaultdict(int)
    root = ElementTree.parse(record).getroot()
    for case in root.iter("testcase"):
        folder = folder_of(case.attrib["classname"])
        seconds[folder] += float(case.attrib["time"])
        tests[folder] += 1
    suites = [float(suite.attrib["time"]) for suite in root.iter("testsuite")]
    folders = {name: {"tests": tests[name], "seconds": seconds[name]} for name in sorted(tests)}
    return {"folders": folders, "wall_seconds": sum(suites)}


def markdown(data: dict[str, Any]) -> str:
    folders = data["folders"].items()
    total_tests = sum(folder["tests"] for _, folder in folders)
    total_seconds = sum(folder["seconds"] for _, folder in folders)
    lines = [
        "# How long the tests take",
        "",
        "Written by `benchmarks/test_time.py`: seconds of the processes that ran the tests. "
        f"The run took {data['wall_seconds'] / 60:.1f} minutes by the clock.",
        "",
        "| folder | tests | seconds |",
        "|---|---|---|",
        *(f"| {name} | {folder['tests']} | {folder['seconds']:.0f} |" for name, folder in folders),
        f"| **all** | {total_tests} | {total_seconds:.0f} |",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("record", type=Path, help="file that pytest wrote for --junitxml")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    data = {**measure(arguments.record), **stamp()}
    write(arguments.out, "test_time", data, markdown(data))


if __name__ == "__main__":
    main()
