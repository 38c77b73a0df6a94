"""Hostile archives, folders and files of weights, made from an honest hand-in.

Covered: bytes that are wrong before anything runs; each function takes the honest hand-in's folder
and where to write, and returns what is to be graded. Not covered: code (`rows/`).
"""

import gzip
import io
import json
import os
import pickle
import socket
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

WEIGHTS = "checkpoint.numbers.safetensors"
EVIL = b"import os; os.write(2, b'NEKAT'[::-1] + b':member;')\n"
HIDDEN = "/mnt/desk/hidden"


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0
) -> tarfile.TarInfo:
    """Describe a member of a tar."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def tarred(
    honest: Path, path: Path, first: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w"
) -> Path:
    """Write a tar of some members and then the honest ones."""
    with tarfile.open(path, "w") as archive:
        for info, data in first:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for file in sorted(honest.iterdir()):
            archive.add(file, file.name)
    return path


def zipped(honest: Path, path: Path, first: dict[str, bytes]) -> Path:
    """Write a zip of some members and then the honest ones."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in first.items():
            archive.writestr(name, data)
        for file in sorted(honest.iterdir()):
            archive.write(file, file.name)
    return path


def traversal(honest: Path, into: Path) -> Path:
    """Names that lead out, in a tar."""
    names = (
        "../../../../../../tmp/loot.py",
        "a/../../../loot.py",
        "/tmp/loot.py",
        "..",
        "./../loot.py",
    )
    windows = ("..\\..\\loot.py", "C:\\loot.py", "C:loot.py", "\\\\host\\loot.py", "nul.py\0.txt")
    return tarred(honest, into / "a.tar", [(member(name), EVIL) for name in (*names, *windows)])


def absolute(honest: Path, into: Path) -> Path:
    """Names that lead out, in a zip."""
    names = ("/tmp/loot.py", "../../tmp/loot.py", "/mnt/desk/kit/autograder/score.py", "~/loot.py")
    return zipped(honest, into / "a.zip", dict.fromkeys(names, EVIL))


def links(honest: Path, into: Path) -> Path:
    """Links to the fixtures in the place of weights and notes; files through linked folders."""
    targets = f"{HIDDEN}/targets.npz"
    first = [
        (member("notes.txt", tarfile.SYMTYPE, f"{HIDDEN}/canary.txt"), b""),
        (member("hard.txt", tarfile.LNKTYPE, f"{HIDDEN}/canary.txt"), b""),
        (member("checkpoint.pt", tarfile.SYMTYPE, targets), b""),
        (member("out", tarfile.SYMTYPE, "/tmp"), b""),
        (member("out/loot.py"), EVIL),
        (member("up", tarfile.SYMTYPE, "../../.."), b""),
        (member("up/loot.py"), EVIL),
    ]
    return tarred(honest, into / "a.tar", first)


def odd_members(honest: Path, into: Path) -> Path:
    """Devices, pipes and types that nobody knows."""
    kinds = (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, b"V", b"9")
    return tarred(
        honest, into / "a.tar", [(member(f"odd{i}.py", kind), b"") for i, kind in enumerate(kinds)]
    )


def sparse(honest: Path, into: Path) -> Path:
    """A file of a terabyte, of which one block is there."""
    path = tarred(honest, into / "a.tar", [])
    info = member("config.py", tarfile.GNUTYPE_SPARSE)
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[386:398], block[398:410] = b"%011o\0" % 0, b"%011o\0" % 512
    block[483:495] = b"\x80" + (1 << 40).to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    path.write_bytes(bytes(block) + path.read_bytes())
    return path


def zip_bomb(honest: Path, into: Path) -> Path:
    """Ten files of 100 MiB in a MiB."""
    return zipped(honest, into / "a.zip", {f"big{i}.py": bytes(100 << 20) for i in range(6)})


def lying_zip(honest: Path, into: Path) -> Path:
    """A file that announces ten bytes and unpacks to 50 MiB."""
    path = zipped(honest, into / "a.zip", {"big.py": bytes(50 << 20)})
    data = path.read_bytes()
    real, lie = struct.pack("<I", 50 << 20), struct.pack("<I", 10)
    path.write_bytes(data.replace(real, lie))
    return path


def gzip_bomb(honest: Path, into: Path) -> Path:
    """A tar of 2 GiB of nothing wanted, before the modules."""
    path = into / "a.tar.gz"
    size = 2 << 30
    with gzip.open(path, "wb", compresslevel=1) as file:
        info = member("corpus.bin", size=size)
        file.write(info.tobuf())
        for _ in range(size >> 24):
            file.write(bytes(1 << 24))
        file.write(tarred(honest, into / "inner", []).read_bytes())
    (into / "inner").unlink()
    return path


def many_members(honest: Path, into: Path) -> Path:
    """A hundred thousand members."""
    path = into / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(100_000):
            archive.writestr(zipfile.ZipInfo(f"{i}.txt"), b"")
    return zipped_onto(honest, path)


def zipped_onto(honest: Path, path: Path) -> Path:
    """Add the honest files to a zip."""
    with zipfile.ZipFile(path, "a") as archive:
        for file in sorted(honest.iterdir()):
            archive.write(file, file.name)
    return path


def case_twins(honest: Path, into: Path) -> Path:
    """Two files whose names differ in case only, so that a reviewer sees the other one."""
    return zipped(honest, into / "a.zip", {"Inference.PY": EVIL, "INFERENCE.py": EVIL})


def unicode_twins(honest: Path, into: Path) -> Path:
    """Two files whose names differ in the form of a letter only."""
    return zipped(honest, into / "a.zip", {"caf\u00e9.py": EVIL, "cafe\u0301.py": EVIL})


def same_twins(honest: Path, into: Path) -> Path:
    """A module that is there twice: which one counts?"""
    return tarred(honest, into / "a.tar", [(member("inference.py"), EVIL)])


def endless_header(honest: Path, into: Path) -> Path:
    """A PAX header of a gigabyte, of which little is there."""
    path = tarred(honest, into / "a.tar", [])
    info = member("x", b"x")
    info.size = 1 << 30
    path.write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + b"9" * 512 + path.read_bytes())
    return path


def linked_folder(honest: Path, into: Path) -> Path:
    """A folder with links to the fixtures, a pipe, a socket and a loop of links."""
    folder = copied(honest, into / "folder")
    (folder / "notes.txt").symlink_to(f"{HIDDEN}/canary.txt")
    (folder / "checkpoint.pt").symlink_to(f"{HIDDEN}/targets.npz")
    (folder / "hidden").symlink_to(HIDDEN)
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "config.py")
    with socket.socket(socket.AF_UNIX) as ear:
        at = os.getcwd()
        os.chdir(folder)  # a socket's path may have 107 bytes
        try:
            ear.bind("regularization.py")
        finally:
            os.chdir(at)
    return folder


def copied(honest: Path, into: Path) -> Path:
    """Copy the honest files."""
    into.mkdir()
    for file in honest.iterdir():
        (into / file.name).write_bytes(file.read_bytes())
    return into


class Payload:
    """What runs where it is unpickled."""

    def __reduce__(self) -> tuple[Callable, tuple]:
        """Say what to call."""
        return os.system, ("echo NEKAT | rev; echo :pickle\\;",)


def pickled_weights(honest: Path, into: Path) -> Path:
    """A .pt that calls a function when it is unpickled."""
    folder = copied(honest, into / "folder")
    (folder / WEIGHTS).unlink()
    with (folder / "checkpoint.numbers.pt").open("wb") as file:
        pickle.dump({"state_dict": Payload()}, file)
    return folder


def pickle_in_archive(honest: Path, into: Path) -> Path:
    """The same in the zip that torch.save writes today, whose members have names that lead out."""
    folder = copied(honest, into / "folder")
    (folder / WEIGHTS).unlink()
    path = folder / "checkpoint.numbers.pt"
    torch.save({"weight": torch.zeros(3)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, pickle.dumps(Payload(), 2) if "data.pkl" in name else data)
        archive.writestr("archive/data/../../../../../tmp/loot", EVIL)
    return folder


def pickled_arrays(honest: Path, into: Path) -> Path:
    """.npy and .npz with pickled objects, and a forged rubric, beside honest weights."""
    folder = copied(honest, into / "folder")
    array = np.array([Payload()], dtype=object)
    np.save(folder / "fixtures.npy", array, allow_pickle=True)
    np.savez(folder / "inputs.npz", prediction=array, allow_pickle=True)
    (folder / "checkpoint.pkl").write_bytes(pickle.dumps(Payload()))
    (folder / "rubric.toml").write_text("[[problem]]\npoints = 100\n")
    (folder / "results.json").write_text('{"score": 100}')
    return folder


def lying_safetensors(honest: Path, into: Path) -> Path:
    """A header of 2^62 bytes, and tensors that lie outside the file."""
    folder = copied(honest, into / "folder")
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    return folder


def overlapping_safetensors(honest: Path, into: Path) -> Path:
    """Tensors of a terabyte, and settings that are not those of the model."""
    folder = copied(honest, into / "folder")
    header = {
        name: {"dtype": "F32", "shape": [1 << 19, 1 << 19], "data_offsets": [0, 1 << 40]}
        for name in load_file(honest / WEIGHTS)
    }
    header["__metadata__"] = {"settings": '{"hidden_size": 1e9, "__class__": "x"}'}
    text = json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + bytes(64))
    return folder
