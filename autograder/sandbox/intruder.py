"""The canary's job: tries what a hostile submission would, and says what it could do.

Run by `canary.py` in a tier's sandbox in place of the worker, as `intruder.py INPUTS SUBMISSION`
with `INPUTS/canary.json`. Nothing here does harm where it succeeds. Standard library only.
"""

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

Told = dict[str, Any]
LIVES = 20.0  # seconds of a process that got away, if it is not killed before


def read_a_file(told: Told) -> bool:
    """Read a file that all may read."""
    return told["token"] in Path(told["file"]).read_text()


def read_an_environment(told: Told) -> bool:
    """Find the token in the environment of any process."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if told["token"].encode() in path.read_bytes():
                return True
        except OSError:
            continue
    return False


def read_the_graders_memory(told: Told) -> bool:
    """Open the memory of the process that has the grader's number and the token."""
    if told["token"].encode() not in Path(f"/proc/{told['holder']}/environ").read_bytes():
        return False  # another process's, in a namespace of its own
    with open(f"/proc/{told['holder']}/mem", "rb"):
        return True


def read_a_descriptor(told: Told) -> bool:
    """Find the token in a descriptor that was left open."""
    for descriptor in range(3, 256):
        try:
            if told["token"].encode() in os.pread(descriptor, 4096, 0):
                return True
        except OSError:
            continue
    return False


def write_outside(told: Told) -> bool:
    """Write where all may write."""
    Path(told["outside"], "written").write_text("here")
    return True


def reach_by_tcp(told: Told) -> bool:
    """Connect to the grader."""
    with closing(socket.create_connection(("127.0.0.1", told["tcp"]), 1)):
        return True


def reach_by_udp(told: Told) -> bool:
    """Send a datagram to the grader; the grader says whether it came."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as out:
        out.sendto(told["token"].encode(), ("127.0.0.1", told["udp"]))
    return False


def reach_by_abstract_socket(told: Told) -> bool:
    """Connect to a socket that stands in no file system."""
    with closing(socket.socket(socket.AF_UNIX)) as out:
        out.connect("\0" + told["token"])
        return True


def signal_the_grader(told: Told) -> bool:
    """Ask whether a signal to the grader would be let through."""
    os.kill(told["grader"], 0)
    return True


def become_root(_: Told) -> bool:
    """Become root, or stay it."""
    if os.geteuid() == 0:
        return True
    os.setuid(0)
    return True


def start_a_process(told: Told) -> bool:
    """Start a process that leaves the session and outlives the job."""
    if os.fork():
        return True
    os.setsid()
    # Its command line, which holds a folder of this job's, is how the grader finds it.
    time.sleep(LIVES)
    os._exit(0)


TRIES: tuple[Callable[[Told], bool], ...] = (
    read_a_file,
    read_an_environment,
    read_the_graders_memory,
    read_a_descriptor,
    write_outside,
    reach_by_tcp,
    reach_by_udp,
    reach_by_abstract_socket,
    signal_the_grader,
    become_root,
    start_a_process,
)


def main() -> None:
    """Try everything; print the names of what could be done."""
    told = json.loads(Path(sys.argv[1], "canary.json").read_text())
    found = []
    for attempt in TRIES:
        try:
            if attempt(told):
                found.append(attempt.__name__)
        except OSError:
            continue
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
