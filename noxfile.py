"""Runs the viewer's tests with other versions of napari and the other Qt binding; for maintainers, not run in CI.

``pip install nox``, then ``nox`` for all, or ``nox -s "viewer(oldest)"`` for one. Each makes an environment of its own,
with torch in it, so the first run takes minutes and gigabytes. On Linux without a display, Xvfb is used.
docs/contributing.md says which of these were run, when, and what came out.
"""

from __future__ import annotations

import nox

PYTHON = "3.11"
VIEWERS = {
    "oldest": ("pyqt6", ["napari==0.6.6", "PyQt6"]),
    "newest": ("pyqt6", ["napari", "PyQt6"]),
    "pyside": ("pyside6", ["napari", "PySide6!=6.12.0"]),  # which ends the process on Python 3.11
}
"""By name: pytest-qt's name of the binding, and what is installed."""

nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["viewer"]


@nox.session(python=PYTHON)
@nox.parametrize("viewer", [nox.param(name, id=name) for name in VIEWERS])
def viewer(session: nox.Session, viewer: str) -> None:
    """Run tests/_napari; arguments behind ``--`` go to pytest."""
    binding, packages = VIEWERS[viewer]
    session.install("torch")  # first and alone: it is by far the largest
    session.install(*packages, ".[testing]")
    session.run("python", "-m", "pip", "list", "--format=freeze")
    session.run(
        "scripts/with-display.sh",
        "python",
        "-m",
        "pytest",
        "-o",
        f"qt_api={binding}",
        "tests/_napari",
        *session.posargs,
        env={"QT_API": binding},
        external=True,
    )
