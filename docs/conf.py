"""How Sphinx makes the documentation: ``sphinx-build -W docs build/docs``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import greensock  # noqa: E402

project = "greensock"
author = "greensock contributors"
version = release = greensock.__version__

extensions = ["sphinx.ext.autodoc", "repoze.sphinx.autointerface"]
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
# What the contracts say of a method is not said again where it is implemented.
autodoc_inherit_docstrings = False

# Most of what is not said to be Python are commands.
highlight_language = "none"

html_theme = "furo"
html_title = f"greensock {release}"
