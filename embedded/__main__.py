"""``python -m embedded --port P --data DIR``: the whole service on one machine, as ``distill up`` starts it."""

import argparse
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from pydantic import ValidationError

from core.errors import DistillError
from core.settings import Settings, is_loopback
from embedded.data_folder import DataFolder, FolderInUse
from embedded.service import StartupError, Service

LOOPBACK = "127.0.0.1"


def main() -> int:
    arguments = parser().parse_args()
    unasked = os.environ.get("DISTILL_HOST", LOOPBACK)
    if arguments.host is None and not is_loopback(unasked):
        return refuse(
            f"DISTILL_HOST is {unasked}, which other machines can reach; say --host {unasked} if that is meant.",
            2,
        )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    folder = DataFolder(arguments.data)
    try:
        folder.make()
        with folder.locked():
            host = arguments.host or LOOPBACK
            Service(folder, host, free_port(host, arguments.port), arguments.device, stop).run()
    except ValidationError as error:
        return refuse(
            "\n".join(
                f"The setting {'.'.join(map(str, it['loc']))}: {it['msg']}."
                for it in error.errors()
            ),
            2,
        )
    except (FolderInUse, StartupError, DistillError, OSError) as error:
        return refuse(str(error), 1)
    return 0


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="python -m embedded", description="The whole service on one machine."
    )
    found.add_argument(
        "--port", type=int, default=Settings.model_fields["port"].default, help="0: any free one"
    )
    found.add_argument(
        "--data",
        type=Path,
        default=Path("distill-data"),
        help="folder of the database, files, key and logs",
    )
    found.add_argument("--device", default=None, help="auto, cpu, cuda, cuda:0, …")
    found.add_argument(
        "--host",
        default=None,
        help=f"address to listen at (default: {LOOPBACK}, which only this machine can reach)",
    )
    return found


def free_port(host: str, port: int) -> int:
    """The port, if it can be listened at; any free one for 0. Raises CannotStart."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            found: int = probe.getsockname()[1]
            return found
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise StartupError(
            f"Port {port} at {host} cannot be used: {why}. Choose another with --port."
        ) from error


def refuse(sentence: str, status: int) -> int:
    print(sentence, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
