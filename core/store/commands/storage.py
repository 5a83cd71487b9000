"""``python -m core.store.commands.storage gc|verify``: run the collector; verify all stored files.

Exit status: 0 success; 1 ``verify`` found missing or wrong files; 2 the command failed.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import Engine, make_url

from core.errors import DistillError, NotFound
from core.settings import Settings, embedded_environment, load_settings
from core.store.database.engine import make_engine, require_schema
from core.store.objects.collector import Collector
from core.store.objects.store import Objects
from core.store.objects.verification import Verified, verify

STATEMENT_TIMEOUT_SECONDS = 120.0
"""Deleting a job with a million metric points takes a while."""


def main() -> int:
    """Run the command; return its exit status."""
    arguments = make_parser().parse_args()
    if arguments.data is not None:
        os.environ |= embedded_environment(arguments.data)
    try:
        settings = load_settings()
        engine = open_database(settings)
        objects = Objects.from_settings(settings)
        if arguments.command == "gc":
            collector = Collector(settings, engine, objects, dry_run=arguments.dry_run)
            return run_gc(collector, arguments.json)
        return run_verify(engine, objects, arguments.json)
    except (DistillError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m core.store.commands.storage", description="The service's stored files."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    gc = commands.add_parser("gc", help="remove what nobody needs any more")
    gc.add_argument("--dry-run", action="store_true", help="only list what would be removed")
    verify_command = commands.add_parser("verify", help="read and verify all stored files")
    for command in (gc, verify_command):
        command.add_argument("--json", action="store_true", help="print JSON")
        command.add_argument(
            "--data",
            type=Path,
            help="data folder of an embedded service; default: the installation that the "
            "environment variables DISTILL_* describe",
        )
    return parser


def open_database(settings: Settings) -> Engine:
    """Return an engine for an existing database.

    Raises NotFound where there is none, and WrongSchema where it has another schema.
    """
    url = make_url(settings.resolved_database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise NotFound(f"There is no database at {url.database}.")
    engine = make_engine(settings.resolved_database_url, timeout_seconds=STATEMENT_TIMEOUT_SECONDS)
    require_schema(engine)
    return engine


def run_gc(collector: Collector, as_json: bool) -> int:
    """Collect, and print every item that is removed."""
    items = []
    for removed in collector.collect():
        if as_json:
            items.append(asdict(removed))
        else:
            print(f"{removed.kind}  {removed.name}  {removed.size} bytes", flush=True)
    if as_json:
        print(json.dumps(items, indent=2))
    return 0


def run_verify(engine: Engine, objects: Objects, as_json: bool) -> int:
    """Verify all files, and print those that are missing or wrong; return 1 if there are any."""
    count = 0
    size = 0
    failures: list[Verified] = []
    for verified in verify(engine, objects):
        count += 1
        size += verified.file.size
        if verified.problem is not None:
            failures.append(verified)
    if as_json:
        wrong = [
            {**asdict(failure.file), "wrong": failure.problem, "found": failure.actual}
            for failure in failures
        ]
        print(json.dumps({"files": count, "bytes": size, "wrong": wrong}, indent=2))
    else:
        for failure in failures:
            print(_failure_line(failure))
        print(f"{count} files of {size} bytes; {len(failures)} missing or wrong")
    return 1 if failures else 0


def _failure_line(failure: Verified) -> str:
    match failure.problem:
        case "size":
            expected = f" {failure.file.size}"
        case "sha256":
            expected = f" {failure.file.sha256}"
        case _:
            expected = ""
    actual = f", found {failure.actual}" if failure.actual else ""
    return f"{failure.file.key}  {failure.problem}{expected}{actual}"


if __name__ == "__main__":
    sys.exit(main())
