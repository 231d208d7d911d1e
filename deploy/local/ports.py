"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import secrets
import socket

from shared.errors import Refused


def free_port() -> int:
    """A port that nothing listens on now, of those that systems do not give to outgoing connections.

    A client that keeps asking for a server that is down can otherwise be given that very port for its own end, and
    then connects to itself.

    Raises:
        Refused: fifty ports in a row are taken.
    """
    for _ in range(50):
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Refused("no free TCP port on 127.0.0.1 between 20000 and 32000")
