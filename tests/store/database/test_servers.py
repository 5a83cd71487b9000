"""The servers that other tests use start again after a kill, and leave nothing behind."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import redis

from tests import servers
from tests.servers import MissingProgramError, Redis, wait_until


def test_redis_answers_and_is_empty(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys() == []
        client.set("a", "b")


def test_each_test_gets_an_empty_redis(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys() == []
        client.set("a", "b")


def test_a_server_is_killed_frozen_and_started_again() -> None:
    server = Redis().start()
    try:
        server.kill()
        assert not server.is_ready()
        server.start()
        assert server.is_ready()
        server.freeze()
        start = time.monotonic()
        assert not server.is_ready()
        assert time.monotonic() - start < 5
        server.thaw()
        assert server.is_ready()
    finally:
        server.close()
    assert not server.folder.exists()


def test_servers_end_when_the_test_run_is_killed(tmp_path: Path) -> None:
    program = (
        "from tests.servers import Redis; import time; server = Redis().start(); "
        "print(server.process.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    root = Path(servers.__file__).parents[1]
    run = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env=environment,
    )
    assert run.stdout is not None
    server = int(run.stdout.readline())
    run.kill()
    run.wait()
    wait_until(
        lambda: (
            not psutil.pid_exists(server) or psutil.Process(server).status() == psutil.STATUS_ZOMBIE
        )
    )


def test_a_missing_server_is_named_with_its_install_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    server = Redis()
    with pytest.raises(MissingProgramError, match="apt-get install -y redis-server"):
        server.start()
    server.close()
