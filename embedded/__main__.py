"""``python -m embedded --port P --data DIR``: the whole service on one machine (``distill up``)."""

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
from embedded.service import Service, StartupError

LOOPBACK = "127.0.0.1"


def main() -> int:
    arguments = make_parser().parse_args()
    inherited_host = os.environ.get("DISTILL_HOST", LOOPBACK)
    if arguments.host is None and not is_loopback(inherited_host):
        return print_error(
            f"DISTILL_HOST is {inherited_host}, which other machines can reach; "
            f"say --host {inherited_host} if that is intended.",
            2,
        )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    folder = DataFolder(arguments.data)
    host = arguments.host or LOOPBACK
    try:
        folder.create()
        with folder.locked():
            port = resolve_port(host, arguments.port)
            Service(folder, host, port, arguments.device, stop).run()
    except ValidationError as error:
        return print_error(describe_invalid_settings(error), 2)
    except (FolderInUse, StartupError, DistillError, OSError) as error:
        return print_error(str(error), 1)
    return 0


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m embedded", description="The whole service on one machine."
    )
    parser.add_argument(
        "--port",
        type=int,
        default=Settings.model_fields["port"].default,
        help="port of the API (default: %(default)s); 0: any free port",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("distill-data"),
        help="folder of database, objects, admin key and logs (default: %(default)s)",
    )
    parser.add_argument("--device", default=None, help="auto, cpu, cuda, cuda:0, …")
    parser.add_argument(
        "--host",
        default=None,
        help=f"address to listen at (default: {LOOPBACK}, which only this machine can reach)",
    )
    return parser


def resolve_port(host: str, port: int) -> int:
    """Return the port if it can be used, and a free one for 0. Raises StartupError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            bound_port: int = probe.getsockname()[1]
            return bound_port
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StartupError(
            f"Port {port} at {host} cannot be used: {reason}. Choose another with --port."
        ) from error


def describe_invalid_settings(error: ValidationError) -> str:
    """Return one sentence per setting."""
    return "\n".join(
        f"The setting {'.'.join(map(str, detail['loc']))}: {detail['msg']}."
        for detail in error.errors()
    )


def print_error(sentence: str, status: int) -> int:
    """Print it on standard error, and return the exit status."""
    print(sentence, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
