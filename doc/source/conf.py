"""Sphinx configuration."""

import sys
from pathlib import Path

from zaqarclient.version import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "Zaqar client and compact server"
copyright = "the contributors, Apache License 2.0"  # noqa: A001  Sphinx's name
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "zaqar_benchmarks",
    "zaqar_commands",
    "zaqar_documents",
    "zaqar_operations",
    "zaqar_release_notes",
    "zaqar_settings",
]

# The copy button leaves out prompts and what a command prints.
copybutton_prompt_text = r"\$ |> |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_here_doc_delimiter = "EOF"

html_theme = "furo"
html_title = "Zaqar"
html_show_sphinx = False

nitpicky = True
# Types of the standard library and of dependencies: their documentation is
# elsewhere, and building ours must not need the network.
nitpick_ignore_regex = [("py:.*", ".*")]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
