"""The process behind `warm.py`: imports torch once, then forks a worker for each order.

Each worker is a fork of its own, so nothing that one hand-in does reaches the next. Run as a
script, which imports nothing of the kit, as a worker's process does.
"""

import json
import os
import runpy
import socket
import struct
import sys
import traceback
from contextlib import suppress
from typing import Any

NUMBER = struct.Struct("i")  # a process id, or the status that it ended with


def serve(channel: socket.socket) -> None:
    """Fork a worker for each order, until the other side closes the channel."""
    # What workers import, so that each fork has it. An optimizer's first step imports _dynamo.
    import safetensors.torch  # noqa: F401
    import torch._dynamo  # noqa: F401

    while True:
        order, fds, _, _ = socket.recv_fds(channel, 1 << 16, 2)
        if not order:
            return
        pid = os.fork()
        if not pid:
            channel.close()
            become(json.loads(order), fds)
        for fd in fds:
            os.close(fd)
        with suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)  # here too, so that it is done before the id is known
        channel.sendall(NUMBER.pack(pid))
        channel.sendall(NUMBER.pack(os.waitpid(pid, 0)[1]))


def become(order: dict[str, Any], fds: list[int]) -> None:
    """Be the worker that is ordered; never return."""
    status = 1
    try:
        os.setpgid(0, 0)
        for fd, own in zip(fds, (1, 2), strict=True):
            os.dup2(fd, own)
            os.close(fd)
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        sys.argv = order["arguments"]
        runpy.run_path(sys.argv[0], run_name="__main__")
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is, this process must not go on as a server
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
