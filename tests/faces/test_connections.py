"""How connections are taken."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack

from tests.conftest import KEY
from tests.serving import Running, config_of, serving

CONFIG = f"""
model_list: [{{model_name: voice, litellm_params: {{model: local/espeak}}}}]
general_settings: {{master_key: {KEY}}}
"""
MANY = 40


def turns_until(running: Running, connections: int) -> int:
    """Turns of the server's loop."""
    turns, there = 0, threading.Event()

    def turn() -> None:
        nonlocal turns
        turns += 1
        if len(running.server.server_state.connections) >= connections:
            there.set()
        else:
            running.loop.call_later(0, turn)  # after a look at the sockets

    running.loop.call_soon_threadsafe(turn)
    assert there.wait(10)
    return turns


def test_many_connections_are_taken_in_one_turn_of_the_loop() -> None:
    """By itself libuv takes one: where a turn takes milliseconds, the last of many would wait for long."""
    with serving(config_of(CONFIG)) as running, ExitStack() as stack:
        go, held = threading.Event(), threading.Event()
        running.loop.call_soon_threadsafe(lambda: (held.set(), go.wait(10)))
        assert held.wait(10)
        for _ in range(MANY):
            stack.enter_context(socket.create_connection(("127.0.0.1", running.port)))
        go.set()
        assert turns_until(running, MANY) < MANY / 2
