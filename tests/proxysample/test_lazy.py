"""What both packages export, and that importing them costs nothing."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import proxysample
import proxysample_nas


def packages() -> list[str]:
    found = ["proxysample", "proxysample_nas"]
    for root in (proxysample, proxysample_nas):
        walked = pkgutil.walk_packages(root.__path__, f"{root.__name__}.")
        found += [one.name for one in walked if one.ispkg]
    return found


@pytest.mark.parametrize("package", packages())
def test_every_exported_name_resolves(package):
    module = importlib.import_module(package)
    names = getattr(module, "__all__", [])
    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(module, name) is not None
    if "__getattr__" in vars(module):
        assert dir(module) == sorted(names)
        with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'Nothing'"):
            _ = module.Nothing


def test_importing_loads_nothing_heavy():
    program = """
import sys, time
start = time.process_time()
import proxysample, proxysample_nas
seconds = time.process_time() - start
assert proxysample.list_samplers()[0] == "rs"
assert proxysample_nas.list_searchers()[0] == "darts-v1"
heavy = {"torch", "sklearn", "scipy", "numpy", "typer", "pandas", "matplotlib", "ray", "timm"}
print(sorted(heavy & sys.modules.keys()), f"{seconds:.3f} s")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    print(done.stdout)  # noqa: T201
    assert done.stdout.startswith("[] ")


def test_both_packages_have_their_version():
    assert proxysample.__version__ == proxysample_nas.__version__
    assert proxysample.__version__[0].isdigit()


def test_packages_are_attributes_and_the_library_does_not_import_its_command_line(forked):
    program = """
import sys
import proxysample, proxysample_nas
proxysample.samplers.RandomSampling, proxysample.data.load_dataset, proxysample.testing
proxysample_nas.space.Cell, proxysample_nas.training.CellTrainer, proxysample_nas.data.load_images
import proxysample_nas.study.study, proxysample.samplers, proxysample.testing
proxysample.samplers.GivenRanking
command_lines = ("typer", "proxysample.cli", "proxysample_nas.cli")
print([name for name in sys.modules if name.startswith(command_lines)])
"""
    # What it is a copy of has imported the library alone.
    process = forked(program)
    assert (process.wait(), process.stdout.strip()) == (0, "[]"), process.stderr
