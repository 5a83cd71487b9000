"""The service under load: large tables, many readers, many streams, many claimers, large uploads.

    python benchmarks/load.py [--scale S] [--only L1 L4] [--databases SQLite Postgres]
                              [--out docs/results]

Starts real processes on this machine. ``--scale 1`` is the size that the bounds are for: a million
jobs with ten million metric points, 10,000 queued jobs, a thousand event streams, 5 GB of upload.
A smaller scale shrinks all of it, and its results are compared with no bound. Writes load.json and
load.md; rows that are not run keep their earlier results, if those had the same scale.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from load_rows.claims import claims
from load_rows.lists import large, rate
from load_rows.report import markdown
from load_rows.streams import streams
from load_rows.uploads import uploads
from result_files import stamp, write
from service_processes import Database

from tests.servers import Postgres

ROWS: dict[str, Callable[[Database, float], dict[str, Any]]] = {
    "L1": large,
    "L2": rate,
    "L3": streams,
    "L4": claims,
    "L5": uploads,
}


def measure(name: str, database: Database, scale: float) -> dict[str, Any]:
    """Run one row on a new database, so that no row is slowed down by another's data."""
    print(f"{name} on {database.name} ...", file=sys.stderr, flush=True)
    database.set_up()
    return ROWS[name](database, scale)


def previous_rows(folder: Path, settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Rows that an earlier run with the same settings wrote, and their dates."""
    path = folder / "load.json"
    previous = json.loads(path.read_text()) if path.exists() else {}
    if previous.get("settings") != settings:
        return {}, {}
    return previous["rows"], previous["dates"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument(
        "--databases", nargs="+", choices=["SQLite", "Postgres"], default=["SQLite", "Postgres"]
    )
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    settings = {"scale": arguments.scale, "seed": 0}
    rows, dates = previous_rows(arguments.out, settings)
    for name in arguments.only:
        rows[name] = {}
        dates[name] = stamp()["date"]
        for kind in arguments.databases:
            with tempfile.TemporaryDirectory(prefix="load-") as scratch:
                server = Postgres().start() if kind == "Postgres" else None
                try:
                    folder = Path(scratch)
                    url = (
                        f"sqlite:///{folder / 'distill.db'}"
                        if server is None
                        else server.create_database("load")
                    )
                    rows[name][kind] = measure(name, Database(kind, url, folder), arguments.scale)
                finally:
                    if server is not None:
                        server.close()
    data = {
        "settings": settings,
        "rows": {name: rows[name] for name in ROWS if name in rows},
        "dates": dates,
        **stamp(),
    }
    write(arguments.out, "load", data, markdown(data))


if __name__ == "__main__":
    main()
