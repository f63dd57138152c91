from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest
import typer

import proxysample
from proxysample import machine
from proxysample.cli_support import _print_version
from proxysample.experiments.experiment import MACHINE, Context
from proxysample.machine import mixed_versions, processor_model, version_of, versions
from proxysample.records import check_values


class Nothing(Context):
    noun = "test"

    def info(self):
        return None

    def for_worker(self, n_side_by_side):
        return self


def test_a_record_holds_the_machine_and_every_version():
    found = Nothing().machine()
    assert found.keys() == MACHINE.keys()
    check_values(found, MACHINE, "a machine")
    assert found["proxysample"] == version("proxysample")
    assert found["python"] == platform.python_version()
    assert found["packages"]["scikit-learn"] == version("scikit-learn")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor\t: 0\nmodel name\t: A Core  3 GHz\n", "A Core  3 GHz"),
        ("model name:\n", "other"),
    ],
)
def test_the_processors_model_is_read(tmp_path, monkeypatch, text, name):
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    monkeypatch.setattr(machine, "CPUINFO", path)
    monkeypatch.setattr(platform, "processor", lambda: "other")
    processor_model.cache_clear()
    try:
        assert processor_model() == name
    finally:
        processor_model.cache_clear()


def test_a_checkout_without_metadata_knows_its_version(tmp_path, monkeypatch, capsys):
    def version_of_none(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(machine, "version", version_of_none)
    cached = (machine.own_version, machine.package_versions, machine.versions)
    try:
        for folder, expected in (
            (machine.CHECKOUT, proxysample.__version__),
            (tmp_path, "unknown, not installed"),
        ):
            monkeypatch.setattr(machine, "CHECKOUT", folder)
            for function in cached:
                function.cache_clear()
            assert proxysample.__version__ == versions()["proxysample"] == expected
            with pytest.raises(typer.Exit):
                _print_version(True)
            assert capsys.readouterr().out == f"proxysample {expected}\n"
        assert (version_of("numpy"), version_of("nothing")) == (np.__version__, "unknown")
    finally:
        for function in cached:
            function.cache_clear()


def test_results_of_before_versions_were_kept_are_of_unknown_ones():
    now = {"torch": "2.13", "numpy": "2", **versions()}
    assert mixed_versions([now, now]) == {}
    mixed = mixed_versions([{"torch": "2.13", "numpy": "2"}, now])
    assert mixed["proxysample"] == sorted([version("proxysample"), "unknown"])
