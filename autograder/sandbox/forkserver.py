"""A process that has torch imported and forks a worker for each order.

`python -I -B forkserver.py CHANNEL LAUNCHER`: CHANNEL is the number of a socket on which orders
come, LAUNCHER the path of launcher.py, or "" where nothing is confined. An order is a JSON object
(`script`, `arguments`, `folder`, `env`, `settings`, `flags`) with descriptors: the worker's output,
its log, a socket that answers for it, and a process whose namespaces it joins, if any.

What a fork shares with its siblings, and why that is safe: the interpreter, the libraries and the
layout of memory, all read-only to each other by copy on write. This process was started with a
literal environment; it holds no fixture, target, secret or result, runs nothing of a submission
and reads nothing that one wrote. Bytes of earlier orders may linger in its memory: names of
temporary folders and numbers of users, which are gone by then. The fork is shut in before it runs
the worker, by the same code as a new process; from then on it is a worker like any other.

This file imports nothing of the kit.
"""

import ctypes
import gc
import importlib.util
import json
import os
import random
import runpy
import select
import signal
import socket
import struct
import sys
import tempfile
import traceback
from types import ModuleType
from typing import Any

STATUS = struct.Struct("i")
MAX_ORDER = 1 << 16


def serve(channel: socket.socket, launcher: ModuleType | None) -> None:
    """Fork a supervisor for each order, until the other side closes the channel."""
    # What workers import. The first step of an optimizer imports torch._dynamo.
    import safetensors.torch  # noqa: F401
    import torch._dynamo

    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()  # a fork that collected garbage would copy every page that it looks at
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    while True:
        order, descriptors, _, _ = socket.recv_fds(channel, MAX_ORDER, 4)
        if not order:
            return
        if not os.fork():
            channel.close()
            try:
                supervise(json.loads(order), descriptors, launcher)
            finally:
                os._exit(1)
        for descriptor in descriptors:
            os.close(descriptor)


def supervise(order: dict[str, Any], descriptors: list[int], launcher: ModuleType | None) -> None:
    """Fork the worker; kill it when the answering socket is closed; tell how it ended.

    Only a parent learns that, and a process that enters a process namespace is not in it itself,
    only its children are.
    """
    out, log, control, *namespace = descriptors
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if namespace:
        join(namespace[0], order["flags"])
    begun, begin = os.pipe()
    worker = os.fork()
    if not worker:
        os.setsid()
        os.close(begin)
        become(order, out, log, launcher)
    for descriptor in (out, log, begin, *namespace):
        os.close(descriptor)
    os.read(begun, 1)  # until it leads a session, and can be killed as a group
    handle = os.pidfd_open(worker)
    ended = handle in select.select([handle, control], [], [])[0]
    if not ended:
        os.killpg(worker, signal.SIGKILL)
    _, status = os.waitpid(worker, 0)
    socket.socket(fileno=control).send(STATUS.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def join(process: int, flags: int) -> None:
    """Enter the namespaces of the process that a descriptor stands for.

    Raises:
        OSError: the kernel refuses.
    """
    if ctypes.CDLL(None, use_errno=True).setns(process, flags):
        raise OSError(ctypes.get_errno(), "setns")


def become(order: dict[str, Any], out: int, log: int, launcher: ModuleType | None) -> None:
    """Be the ordered program; never return."""
    status = 1
    try:
        os.dup2(out, 1)
        os.dup2(log, 2)
        os.environ.clear()
        os.environ.update(order["env"])
        os.chdir(order["folder"])
        random.seed()
        tempfile.tempdir = None
        settings = order["settings"]
        if settings is None:
            os.closerange(3, 256)
        elif launcher is not None:
            if settings["parent"] is not None:
                settings["parent"] = os.getppid()
            launcher.confine(settings)
        sys.argv = [order["script"], *order["arguments"]]
        runpy.run_path(order["script"], run_name="__main__")
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it is, this process must not go on as a server
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def load(path: str) -> ModuleType:
    """Import the launcher, which is no module on this process's path."""
    spec = importlib.util.spec_from_file_location("launcher", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), load(sys.argv[2]) if sys.argv[2] else None)
