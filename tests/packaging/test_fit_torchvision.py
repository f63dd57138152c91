"""The hook that `make` leaves in its environment lets torchvision be imported by any script."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from .fit_torchvision import HOOK, NAME


@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
def test_a_script_of_ones_own_imports_torchvision(tmp_path):
    (tmp_path / f"{NAME}.py").write_text(HOOK)
    script = (
        f"import sys, {NAME}; assert 'torch' not in sys.modules\n"
        "from torchvision import datasets, models, transforms\n"
        "print(models.resnet18(num_classes=3).fc.out_features)"
    )
    # Without site's hooks, so that the one of this environment does not answer in its place.
    folders = [str(tmp_path), *sys.path]
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("3", 0), done.stderr
