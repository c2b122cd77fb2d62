"""How the documentation is built."""

from importlib.metadata import version as installed

project = "trunkline"
copyright = "2026, the trunkline authors"  # noqa: A001
version = release = installed("trunkline")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "trunkline"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True, "show-inheritance": True}
default_role = "code"
