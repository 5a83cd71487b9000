"""``python -m worker.sandbox [--offline] [--limit NAME=NUMBER]… COMMAND…``: replace this process by
COMMAND, with fewer rights than before.

What a process gives up before exec, it cannot regain afterwards. So the command needs to know
nothing of this, and the supervisor, which has threads, runs no code of its own between fork and
exec.
"""

import argparse
import ctypes
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
NOBODY_ID = 65534


def main() -> None:
    arguments = make_parser().parse_args()
    os.umask(0o077)
    if sys.platform == "linux":
        prctl(PR_SET_NO_NEW_PRIVS, 1)  # setuid programs gain no rights either
        if arguments.offline:
            leave_network()
    for limit in arguments.limit:
        name, _, number = limit.partition("=")
        set_resource_limit(name, int(number))
    os.execv(arguments.command[0], arguments.command)  # noqa: S606


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker.sandbox", description="Run a command with fewer rights."
    )
    parser.add_argument(
        "--offline",
        action="store_true",
        help="without a network, if the kernel allows a namespace of its own",
    )
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        help="a resource limit as NAME=NUMBER; names: CORE, DATA, FSIZE, NOFILE, …",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser


def set_resource_limit(name: str, number: int) -> None:
    """Set the soft and the hard limit of a resource, unless the hard limit is lower already."""
    kind = getattr(resource, f"RLIMIT_{name}")
    _, hard = resource.getrlimit(kind)
    number = number if hard == resource.RLIM_INFINITY else min(number, hard)
    resource.setrlimit(kind, (number, number))


def leave_network() -> bool:
    """Enter a network namespace whose only interface is a loopback that is down.

    Returns False if the kernel, or a container, forbids it. A network namespace needs a user
    namespace around it; the process is mapped to an ordinary user there, so that after exec it has
    no capability within it either. Files are owned and opened as before.
    """
    user = os.geteuid()
    group = os.getegid()
    try:
        call_libc("unshare", CLONE_NEWUSER | CLONE_NEWNET)
    except OSError:
        return False
    with suppress(OSError):  # without a mapping the process is nobody, which does as well
        Path("/proc/self/uid_map").write_text(f"{user or NOBODY_ID} {user} 1")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"{group or NOBODY_ID} {group} 1")
    return True


def make_undumpable() -> None:
    """Protect this process's memory and environment from other processes of the same user.

    Trainers are such processes. Only root may read those of a process that is not dumpable.
    """
    if sys.platform == "linux":
        prctl(PR_SET_DUMPABLE, 0)


def prctl(option: int, value: int) -> None:
    call_libc("prctl", option, value, 0, 0, 0)


def call_libc(name: str, *arguments: int) -> None:
    """Call a function of the C library. Raises OSError."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
