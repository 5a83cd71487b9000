"""``python -m core.store.commands.storage gc|verify``: remove what nobody needs any more; read all stored bytes again.

Exit status: 0 done; 1 ``verify`` found something missing or wrong; 2 it could not be done.
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
from core.store.objects.verification import verify

STATEMENT_TIMEOUT_SECONDS = 120.0
"""A job with a million metric points takes a while to be deleted."""


def main() -> int:
    arguments = parser().parse_args()
    if arguments.data is not None:
        os.environ |= embedded_environment(arguments.data)
    try:
        setup = load_settings()
        engine, objects = open_database(setup), Objects.from_settings(setup)
        if arguments.command == "gc":
            return gc(setup, engine, objects, arguments.dry_run, arguments.json)
        return check(engine, objects, arguments.json)
    except (DistillError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="python -m core.store.commands.storage", description="The service's stored files."
    )
    commands = found.add_subparsers(dest="command", required=True)
    collect = commands.add_parser("gc", help="remove what nobody needs any more")
    collect.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    for command in (collect, commands.add_parser("verify", help="read all stored files again")):
        command.add_argument("--json", action="store_true", help="as JSON")
        command.add_argument(
            "--data", type=Path, help="folder of an embedded service; default: what DISTILL_* says"
        )
    return found


def open_database(setup: Settings) -> Engine:
    """Raises NotFound rather than make one, and WrongSchema for one of another program."""
    url = make_url(setup.resolved_database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise NotFound(f"There is no database at {url.database}.")
    engine = make_engine(setup.resolved_database_url, timeout_seconds=STATEMENT_TIMEOUT_SECONDS)
    require_schema(engine)
    return engine


def gc(setup: Settings, engine: Engine, objects: Objects, dry_run: bool, as_json: bool) -> int:
    removed = []
    for one in Collector(setup, engine, objects, dry_run=dry_run).collect():
        if as_json:
            removed.append(asdict(one))
        else:
            print(f"{one.kind}  {one.name}  {one.size} bytes", flush=True)
    if as_json:
        print(json.dumps(removed, indent=2))
    return 0


def check(engine: Engine, objects: Objects, as_json: bool) -> int:
    count, size, wrong = 0, 0, []
    for verified in verify(engine, objects):
        count, size = count + 1, size + verified.file.size
        if verified.problem is not None:
            wrong.append(verified)
    if as_json:
        found = [{**asdict(it.file), "wrong": it.wrong, "found": it.found} for it in wrong]
        print(json.dumps({"files": count, "bytes": size, "wrong": found}, indent=2))
    else:
        for it in wrong:
            expected = {"missing": "", "size": f" {it.file.size}", "sha256": f" {it.file.sha256}"}[
                it.wrong or "missing"
            ]
            print(f"{it.file.key}  {it.wrong}{expected}{it.found and f', found {it.found}'}")
        print(f"{count} files of {size} bytes; {len(wrong)} missing or wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
