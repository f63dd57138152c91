"""Which process on which machine, so that another can tell whether it still lives."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, named so that no other is taken for it.

    Attributes
    ----------
    host : str
        Name of its machine, for people.
    pid : int
        Its number on that machine.
    machine : str
        The machine since its last start, and the container: where `pid` has a meaning.
    process : str
        When the process was started, since numbers are given again; empty where unknown.

    Examples
    --------
    >>> ProcessIdentity.here().is_alive()
    True
    """

    host: str
    pid: int
    machine: str
    process: str

    @classmethod
    def here(cls) -> ProcessIdentity:
        """Name this process."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _machine(), _state_and_start(pid)[1])

    def is_alive(self) -> bool | None:
        """Tell whether the process lives.

        Returns
        -------
        bool or None
            None where this machine cannot tell, as it cannot of a process on another.
        """
        if self.machine != _machine() or os.name != "posix":
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # it lives, and is another user's
        state, start = _state_and_start(self.pid)
        if not start or not self.process:
            return None
        # A process that was killed stays a zombie until its parent asks what became of it.
        return start == self.process and state not in ("Z", "X")


def _machine() -> str:
    """Name the machine, this start of it, and the space in which process numbers are given."""
    words = [socket.gethostname()]
    boot = Path("/proc/sys/kernel/random/boot_id")
    if boot.exists():
        words += [boot.read_text().strip(), str(Path("/proc/self/ns/pid").readlink())]
    return " ".join(words)


def _state_and_start(pid: int) -> tuple[str, str]:
    """Read a process's state and the tick it was started at; empty where the system has none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "", ""
    # The second field is the program's name in brackets, and may hold anything.
    fields = text.rpartition(")")[2].split()
    return fields[0], fields[19]
