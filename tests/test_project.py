"""The project's frame: one version, its licence, a sound manifest, an import that costs nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import npe2
import pytest
from npe2.manifest.utils import import_python_name
from packaging.requirements import Requirement

import napari_ois

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"PyQt6", "PySide6", "magicgui", "napari", "qtpy", "skimage", "superqt", "torch"}


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_one_version_everywhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert metadata.version("napari-ois") == napari_ois.__version__
    assert re.search(r"^version: (\S+)$", citation, re.M).group(1) == napari_ois.__version__
    assert re.search(r"^## \[(\S+)\]", changelog, re.M).group(1) == napari_ois.__version__


def test_licence_is_named_and_its_files_are_there(project):
    assert project["license"] == "BSD-3-Clause"
    for name in project["license-files"]:
        assert "BSD 3-Clause" in (ROOT / name).read_text(encoding="utf-8")


def test_plain_dependencies_bring_neither_qt_nor_napari(project):
    names = {Requirement(line).name.lower() for line in project["dependencies"]}
    assert not names & {"napari", "pyqt5", "pyqt6", "pyside6", "transformers", "accelerate"}


def test_constraints_are_exact_public_versions(project):
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for pin in pins:
        assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(pin.specifier)), pin
    pinned = {pin.name.lower(): str(pin.specifier) for pin in pins}
    assert pinned["torch"] == "==2.13.0"
    for line in project["dependencies"]:
        needed = Requirement(line)
        version = pinned[needed.name.lower().replace("_", "-")].removeprefix("==")
        assert needed.specifier.contains(version), f"{line} excludes its own pin {version}"


def test_manifest_at_the_top_is_the_one_in_the_package():
    packaged = ROOT / "src" / "napari_ois" / "napari.yaml"
    link = ROOT / "napari.yaml"
    assert packaged.is_file()
    if link.is_symlink():
        assert link.resolve() == packaged
        assert not link.readlink().is_absolute()
    else:  # a checkout on a system without links holds the target's path as text
        assert (ROOT / link.read_text(encoding="utf-8").strip()).resolve() == packaged


def test_manifest_is_valid_and_every_command_resolves():
    manifest = npe2.PluginManifest.from_distribution("napari-ois")
    manifest.validate_imports()
    assert manifest.name == "napari-ois"
    assert {str(category) for category in manifest.categories} >= {"Segmentation", "Annotation"}
    for command in manifest.contributions.commands:
        assert command.id.startswith("napari-ois.")
        assert callable(import_python_name(command.python_name))


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, napari_ois; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "napari_ois" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("name", ["Predictor", "Prediction", "InputError", "WeightsError"])
def test_public_names_are_found_on_first_use(name):
    assert getattr(napari_ois, name).__name__ == name
    assert name in dir(napari_ois)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Predicter'"):
        _ = napari_ois.Predicter
