"""``.. zaqar-release-notes::`` writes the notes that are not yet released.

The notes are reno's files. They are read here and not by reno's own directive
since that needs the git history, which a copy of the tree does not have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

NOTES = Path(__file__).parents[3] / "releasenotes" / "notes"
SECTIONS = {
    "prelude": "",
    "critical": "Mended first",
    "features": "New",
    "upgrade": "When upgrading",
    "deprecations": "Deprecated",
    "security": "Security",
    "fixes": "Mended",
    "issues": "Known limits",
    "other": "Other",
}


def read_notes(directory: Path) -> dict[str, list[str]]:
    """Return the texts of all notes, in order of file name, by section."""
    texts: dict[str, list[str]] = {section: [] for section in SECTIONS}
    for path in sorted(directory.glob("*.yaml")):
        for section, content in yaml.safe_load(path.read_text()).items():
            if section not in SECTIONS:
                raise ExtensionError(f"{path}: there is no section {section}")
            texts[section] += [content] if isinstance(content, str) else content
    return texts


class ReleaseNotes(SphinxDirective):
    """Writes the notes, a section a kind."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        for source in (__file__, NOTES, *NOTES.glob("*.yaml")):
            self.env.note_dependency(str(source))
        title = f"{self.config.release} (not released yet)"
        lines = [title, "=" * len(title), ""]
        for section, texts in read_notes(NOTES).items():
            heading = SECTIONS[section]
            if texts and heading:
                lines += [heading, "-" * len(heading), ""]
            for text in texts:
                mark, indent = ("* ", "  ") if heading else ("", "")
                first, *others = text.strip().splitlines()
                lines += [mark + first, *(indent + line for line in others), ""]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("zaqar-release-notes", ReleaseNotes)
    return {"version": "1", "parallel_read_safe": True}
