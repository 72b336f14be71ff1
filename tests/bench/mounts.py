"""Mounts for a bench: a mount namespace of its own, and what another process sees, attached here."""
import ctypes
import os
import subprocess

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS = 0x20000
OPEN_TREE, MOVE_MOUNT = 428, 429  # System calls of every architecture, without functions in older C libraries.
OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH = 1, 4
AT_FDCWD = -100


def checked(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def enter_own_mounts():
    """For this process and those it starts: what they mount is gone with the last of them."""
    checked(LIBC.unshare(CLONE_NEWNS), "unshare the mounts")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def attach_mount_of(pid, path, folder):
    """Attaches at `folder` what a process sees at `path`: open_tree(2) in its namespace, move_mount(2) in ours."""
    with open(f"/proc/{pid}/ns/mnt") as theirs, open("/proc/self/ns/mnt") as ours:
        before = os.open(".", os.O_PATH)
        checked(LIBC.setns(theirs.fileno(), CLONE_NEWNS), f"enter the mounts of {pid}")
        try:
            tree = checked(LIBC.syscall(OPEN_TREE, AT_FDCWD, path.encode(), OPEN_TREE_CLONE), f"open {path}")
        finally:
            checked(LIBC.setns(ours.fileno(), CLONE_NEWNS), "return to our mounts")
            os.fchdir(before)
            os.close(before)
    checked(LIBC.syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, str(folder).encode(), MOVE_MOUNT_F_EMPTY_PATH),
            f"mount {path} on {folder}")
    os.close(tree)
