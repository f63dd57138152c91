"""Let torchvision be imported where it is built for CUDA and torch is not; run by `make`.

A package index may offer a CPU build of torch beside torchvision's CUDA build only, and then
``import torchvision`` fails before anything of it is used. Where that is so, this leaves a hook in
the environment that does for every import what proxysample does for its own: it declares the two
operators that cannot be loaded. Models, transforms and datasets work then; the operators do not.

    python tests/packaging/fit_torchvision.py
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

NAME = "torchvision_beside_cpu_torch"
HOOK = '''"""Declare torchvision's operators before it is imported; the Makefile wrote this."""

import sys
from importlib.machinery import PathFinder


class Finder:
    """Finds torchvision as ever, and prepares torch for it when it is executed."""

    def find_spec(self, name, path=None, target=None):
        if name != "torchvision":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def prepare_and_execute(module):
                try:
                    from proxysample.features.backbones import declare_operators
                except ImportError:
                    pass
                else:
                    declare_operators()
                execute(module)

            spec.loader.exec_module = prepare_and_execute
        return spec


sys.meta_path.insert(0, Finder())
'''


def main() -> None:
    """Write the hook where it is needed, and try it."""
    if _imports():
        return
    folder = Path(sysconfig.get_path("purelib"))
    (folder / f"{NAME}.py").write_text(HOOK)
    (folder / f"{NAME}.pth").write_text(f"import {NAME}\n")
    if not _imports():
        (folder / f"{NAME}.pth").unlink()
        (folder / f"{NAME}.py").unlink()
        raise SystemExit("torchvision cannot be imported here: python -c 'import torchvision'")


def _imports() -> bool:
    command = [sys.executable, "-c", "import torchvision"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    main()
