"""A TCP relay between one process and one server: a network that can be cut, blocked and slowed."""

import contextlib
import socket
import struct
import threading
import time
from typing import Self

from tests.servers import free_port

CHUNK_BYTES = 65536
NO_LINGER = struct.pack("ii", 1, 0)


class Proxy:
    """Relays 127.0.0.1:``port`` to 127.0.0.1:``target``. What is held back in a ``blackhole`` arrives when it heals, as TCP's
    own retransmissions would."""

    def __init__(self, target: int) -> None:
        self.target, self.port = target, free_port()
        self.delay_seconds = 0.0
        self._flowing = threading.Event()
        self._flowing.set()
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.heal()

    def heal(self) -> None:
        """Pass everything on, at once."""
        self.delay_seconds = 0.0
        self._flowing.set()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=True)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def blackhole(self) -> None:
        """Connections are taken and stay open; nothing comes through."""
        self._flowing.clear()

    def delay(self, seconds: float) -> None:
        """Each piece that passes, in either direction, is late by so much."""
        self.delay_seconds = seconds

    def refuse(self) -> None:
        """Nobody listens any more, and what was open is cut."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self) -> None:
        """Reset every connection; new ones are taken."""
        with self._lock:
            for side in self._open:
                with contextlib.suppress(OSError):
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                    side.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._flowing.set()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(near,), daemon=True).start()

    def _relay(self, near: socket.socket) -> None:
        self._flowing.wait()
        try:
            far = socket.create_connection(("127.0.0.1", self.target), 5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        pair = {near, far}
        with self._lock:
            self._open |= pair
        back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
        back.start()
        self._pump(near, far)
        back.join()
        with self._lock:
            self._open -= pair
        near.close()
        far.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(CHUNK_BYTES):
                time.sleep(self.delay_seconds)
                self._flowing.wait()
                sink.sendall(piece)
        self._flowing.wait()
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
