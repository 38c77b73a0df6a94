"""A program that gives up what a submission must not have, and then becomes another program.

`python -I launcher.py SETTINGS PROGRAM ARGUMENT…`, where SETTINGS is a JSON object: `limits` by
name of a resource; `user`, a uid to become, or null; `readable` and `writable`, lists of paths
outside of which Landlock lets nothing be opened, or null for no Landlock (where a mount namespace
has taken everything else away already); `parent`, the process whose death ends this one, or null.

The order matters: limits, rules while everything is still readable, the user, then what cannot be
undone. Whatever fails here ends the process before the program runs.

This file imports nothing of the kit, so that a sandbox needs to show it alone.
"""

import ctypes
import errno
import json
import os
import resource
import signal
import sys
from pathlib import Path

import landlockpy
import pyseccomp
from landlockpy import AccessFS

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
CAPABILITY_VERSION = 0x20080522  # linux/capability.h, the third
CLONE_THREAD = 0x00010000
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
READ = AccessFS.READ_FILE | AccessFS.READ_DIR | AccessFS.EXECUTE
# Devices, FIFOs and sockets are of no use to a submission.
WRITE = (
    READ
    | AccessFS.WRITE_FILE
    | AccessFS.TRUNCATE
    | AccessFS.MAKE_REG
    | AccessFS.MAKE_DIR
    | AccessFS.MAKE_SYM
    | AccessFS.REMOVE_FILE
    | AccessFS.REMOVE_DIR
    | AccessFS.REFER
)
# A rule for a file may hold no rights of folders.
READ_FILE = AccessFS.READ_FILE | AccessFS.EXECUTE
WRITE_FILE = AccessFS.READ_FILE | AccessFS.WRITE_FILE | AccessFS.TRUNCATE
# What no right submission calls. A list of what is allowed would be safer still, but libraries
# differ in what they need from version to version, and a right answer must not lose a point.
DENIED = """
    fork vfork unshare setns
    ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp
    pidfd_open pidfd_getfd pidfd_send_signal tkill
    bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register
    add_key request_key keyctl
    mount umount2 pivot_root chroot move_mount open_tree open_tree_attr fsopen fsconfig fsmount
    fspick mount_setattr statmount listmount quotactl quotactl_fd swapon swapoff
    name_to_handle_at open_by_handle_at fanotify_init fanotify_mark
    init_module finit_module delete_module kexec_load kexec_file_load reboot syslog acct vhangup
    iopl ioperm modify_ldt personality lookup_dcookie sethostname setdomainname
    clock_settime clock_adjtime settimeofday adjtimex
    socket bind listen accept accept4 connect
    shmget shmat shmctl shmdt semget semop semtimedop semctl msgget msgsnd msgrcv msgctl
    mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
    memfd_create memfd_secret mknod mknodat
    chown fchown lchown fchownat
    setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat
    file_setattr lsm_set_self_attr
    setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid capset
""".split()  # noqa: SIM905 - a list of quoted words is harder to read
# Younger than some libseccomp; from 424 on a call has the same number everywhere.
NUMBERS = {
    "memfd_secret": 447,
    "process_mrelease": 448,
    "fchmodat2": 452,
    "statmount": 457,
    "listmount": 458,
    "lsm_set_self_attr": 460,
    "setxattrat": 463,
    "removexattrat": 466,
    "open_tree_attr": 467,
    "file_setattr": 469,
}


def main() -> None:
    """Confine this process, then become the program."""
    settings, program = json.loads(sys.argv[1]), sys.argv[2:]
    confine(settings)
    os.execve(program[0], program, dict(os.environ))


def confine(settings: dict) -> None:
    """Give up all that the settings say, for good, and every descriptor beyond the third."""
    for name, bound in settings["limits"].items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (bound, bound))
    os.umask(0o077)
    rules = landlock(settings) if settings["readable"] is not None else None
    if settings["user"] is not None:
        become(settings["user"])
    give_up_capabilities()
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    if settings["parent"] is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # after the user: changing that clears it
        if os.getppid() != settings["parent"]:
            sys.exit("the grader is gone")
    if rules is not None:
        rules.restrict()
        rules.close()
    seccomp()
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def landlock(settings: dict) -> landlockpy.Ruleset:
    """Build the rules for files, TCP, signals and abstract sockets that this kernel knows.

    Raises:
        OSError: it knows none.
    """
    abi = landlockpy.abi_version()
    rules = landlockpy.Ruleset(
        handled_fs=landlockpy.fs_for_abi(abi),
        handled_net=landlockpy.net_for_abi(abi),
        scoped=landlockpy.scope_for_abi(abi),
        best_effort=False,
    )
    own = f"/proc/{os.getpid()}"
    for path in map(Path, [*settings["readable"], own]):
        if path.exists():
            rules.allow_path(path, READ if path.is_dir() else READ_FILE)
    for path in settings["writable"]:
        rules.allow_path(path, WRITE if Path(path).is_dir() else WRITE_FILE)
    return rules


def become(user: int) -> None:
    """Become another user, for good; no group of the old one is kept."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def give_up_capabilities() -> None:
    """Hold no capability: who joins a user namespace from outside has them all there.

    Raises:
        OSError: the kernel refuses.
    """
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    none = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process.

    Raises:
        OSError: the kernel refuses.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")


def seccomp() -> None:
    """Refuse the calls of DENIED, new processes, signals to others, and a few by argument.

    Threads are made with clone and CLONE_THREAD. clone3 hides its flags in memory, where a filter
    cannot look; without it the C library takes clone.
    """
    refuse = pyseccomp.ERRNO(errno.EPERM)
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    arg, masked, other = pyseccomp.Arg, pyseccomp.MASKED_EQ, pyseccomp.NE

    def deny(name: str, *arguments: pyseccomp.Arg, action: int = refuse) -> None:
        try:
            rules.add_rule(action, name, *arguments)
        except OSError:  # a name that libseccomp does not know
            if name in NUMBERS:
                rules.add_rule(action, NUMBERS[name], *arguments)

    for name in DENIED:
        deny(name)
    deny("clone3", action=pyseccomp.ERRNO(errno.ENOSYS))
    deny("clone", arg(0, masked, CLONE_THREAD, 0))
    for name in ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"):
        deny(name, arg(0, other, os.getpid()))
    deny("prlimit64", arg(0, other, 0))
    for request in (TIOCSTI, TIOCLINUX):
        deny("ioctl", arg(1, masked, 0xFFFFFFFF, request))
    for name, place in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2)):
        for bit in (0o4000, 0o2000):
            deny(name, arg(place, masked, bit, bit))
    deny("socketpair", arg(0, other, 1))  # AF_UNIX, to oneself
    # Calls in another architecture's numbers, which would kill a thread and leave the job hanging.
    rules.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    rules.load()


if __name__ == "__main__":
    main()
