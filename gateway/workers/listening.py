"""Sockets that listen, and what their addresses are called."""

from __future__ import annotations

import socket

BACKLOG = 2048


def listen(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of ``host``. Raises ``OSError``."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, _, _, address in dict.fromkeys(found):
            each = socket.socket(family, kind)
            sockets.append(each)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            each.bind(address)
            each.listen(BACKLOG)
            each.setblocking(False)  # noqa: FBT003 - its only argument
    except OSError:
        for each in sockets:
            each.close()
        raise
    return sockets


def url(listening: socket.socket) -> str:
    """The base address of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
