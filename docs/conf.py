"""How the site is built from these pages: `nox -s docs`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import reference

from kexp import __version__

project = "kexp"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
copybutton_exclude = ".linenos, .gp"
html_theme = "furo"
html_title = "kexp"
html_copy_source = html_show_sourcelink = html_show_copyright = False
suppress_warnings = ["misc.highlighting_failure"]


def setup(app: Any) -> None:
    """Has the reference's pages made before the others are read."""
    app.connect("builder-inited", lambda app: reference.write(Path(app.srcdir) / "reference"))
