"""``python -m worker.sandbox [--offline] [--limit NAME=NUMBER]… COMMAND…``: become COMMAND, with less power than before.

What a process gives up before exec it has given up for good; so the command itself needs to know nothing of this, and no
code of ours runs between fork and exec in a supervisor with threads.
"""

import argparse
import ctypes
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
NOBODY = 65534


def main() -> None:
    arguments = parser().parse_args()
    os.umask(0o077)
    if sys.platform == "linux":
        prctl(PR_SET_NO_NEW_PRIVS, 1)  # no setuid program gives anything back
        if arguments.offline:
            leave_network()
    for limit in arguments.limit:
        name, _, number = limit.partition("=")
        set_resource_limit(name, int(number))
    os.execv(arguments.command[0], arguments.command)  # noqa: S606


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="python -m worker.sandbox", description="Run a command with less power."
    )
    found.add_argument(
        "--offline",
        action="store_true",
        help="without any network, where the kernel allows to leave it",
    )
    found.add_argument(
        "--limit",
        action="append",
        default=[],
        help="a resource limit: CORE, DATA, FSIZE, NOFILE … = number",
    )
    found.add_argument("command", nargs=argparse.REMAINDER)
    return found


def set_resource_limit(name: str, number: int) -> None:
    """A resource limit for good, unless a lower one is set already."""
    kind = getattr(resource, f"RLIMIT_{name}")
    _, hard = resource.getrlimit(kind)
    number = number if hard == resource.RLIM_INFINITY else min(number, hard)
    resource.setrlimit(kind, (number, number))


def leave_network() -> bool:
    """Into a namespace with no interface but a loopback that is down. False where the kernel, or a container, forbids it.

    Nobody in particular owns the user namespace around it, so that exec leaves no capability even within it. Files are
    owned and opened as before.
    """
    user, group = os.geteuid(), os.getegid()
    try:
        call("unshare", CLONE_NEWUSER | CLONE_NEWNET)
    except OSError:
        return False
    with suppress(OSError):  # unmapped, it is nobody as well
        Path("/proc/self/uid_map").write_text(f"{user or NOBODY} {user} 1")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"{group or NOBODY} {group} 1")
    return True


def disable_core_inspection() -> None:
    """Other processes of this user, such as a trainer, can look into neither memory nor environment of this one."""
    if sys.platform == "linux":
        prctl(PR_SET_DUMPABLE, 0)


def prctl(option: int, value: int) -> None:
    call("prctl", option, value, 0, 0, 0)


def call(name: str, *arguments: int) -> None:
    """A function of the C library. Raises OSError."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
