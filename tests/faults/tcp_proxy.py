"""A TCP proxy between one process and one server: a network that can be blocked and cut."""

import contextlib
import socket
import struct
import threading
from typing import Self

from tests.servers import free_port

CHUNK_BYTES = 65536
NO_LINGER = struct.pack("ii", 1, 0)
"""Value of SO_LINGER with which a socket is closed by a reset."""


class TcpProxy:
    """Forwards connections to 127.0.0.1:``port`` to 127.0.0.1:``target_port``.

    What is sent during a ``blackhole`` arrives when the network heals, as with TCP's own
    retransmissions.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = free_port()
        self._forwarding = threading.Event()
        self._forwarding.set()
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.heal()

    def heal(self) -> None:
        """Forward everything, also what was sent during a blackhole."""
        self._forwarding.set()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=True)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def blackhole(self) -> None:
        """Accept connections and keep them open, but forward nothing."""
        self._forwarding.clear()

    def refuse(self) -> None:
        """Stop listening, and reset every open connection."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self._reset_connections()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._forwarding.set()

    def _reset_connections(self) -> None:
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        self._forwarding.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self.target_port), 5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        pair = {client, server}
        with self._lock:
            self._connections |= pair
        backward = threading.Thread(target=self._forward, args=(server, client), daemon=True)
        backward.start()
        self._forward(client, server)
        backward.join()
        with self._lock:
            self._connections -= pair
        client.close()
        server.close()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                self._forwarding.wait()
                sink.sendall(chunk)
        self._forwarding.wait()
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
