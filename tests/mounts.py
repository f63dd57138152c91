"""File systems of a test's own, in a name space that only its process sees."""

from __future__ import annotations

import shutil
import subprocess

import pytest

# A name space of this process's own, in which it may mount a disk of a size.
MOUNT = """
import ctypes, os, subprocess, sys
from pathlib import Path
user, group = os.getuid(), os.getgid()
NEW_MOUNTS, NEW_USERS = 0x20000, 0x10000000
if ctypes.CDLL(None).unshare(NEW_USERS | NEW_MOUNTS):
    sys.exit("no name space")
Path("/proc/self/setgroups").write_text("deny")
Path("/proc/self/uid_map").write_text(f"0 {{user}} 1")
Path("/proc/self/gid_map").write_text(f"0 {{group}} 1")
mount = ["mount", "-t", "tmpfs", "-o", "size={size}", "tmpfs", sys.argv[1]]
subprocess.run(mount, check=True)
"""


def can_mount() -> bool:
    """Whether a file system of this test's own can be had, in a name space of its own."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, capture_output=True).returncode == 0


needs_mount = pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here")
