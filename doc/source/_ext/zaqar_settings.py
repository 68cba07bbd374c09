"""``.. zaqar-settings::`` writes the reference of the server's settings."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from oslo_config import cfg, types
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from zaqarserver import config
from zaqarserver.identity import keystone_settings, trustee
from zaqarserver.notify import settings as notify
from zaqarserver.operations import limits, settings

NAMES = {
    types.String: "string",
    types.Boolean: "boolean",
    types.Integer: "integer",
    types.Float: "number",
    types.Port: "port",
    types.List: "list",
    types.Dict: "map",
    types.HostAddress: "host",
    types.URI: "URI",
}


def kind(option: cfg.Opt) -> str:
    """Name an option's type, with its bounds or choices."""
    of = option.type
    name = NAMES.get(type(of), "string")
    low, high = getattr(of, "min", None), getattr(of, "max", None)
    if low is not None and high is not None:
        return f"{name}, {low} to {high}"
    if low is not None:
        return f"{name}, at least {low}"
    return name


def choices(option: cfg.Opt) -> Iterator[str]:
    """Yield the values that an option can have, if it has only some, as a list."""
    for value, meaning in (getattr(option.type, "choices", None) or {}).items():
        shown = f"``{value}``" if value else "(empty)"
        yield f"* {shown}: {meaning}" if meaning else f"* {shown}"


def default(option: cfg.Opt) -> str:
    """Show an option's default as it would stand in the file."""
    value = option.sample_default or option.default
    if value is None:
        return "not set"
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, list):
        value = ",".join(map(str, value))
    if isinstance(value, dict):
        value = ",".join(f"{key}:{text}" for key, text in value.items())
    return f"``{value}``" if value != "" else "empty"


def entry(group: str, option: cfg.Opt) -> Iterator[str]:
    """Yield the text of one option."""
    label = f"setting-{group}-{option.dest}".lower()
    yield from (f".. _{label}:", "", f"``{option.dest}``")
    text = " ".join(str(option.help or "").split())
    yield f"   {text}"
    yield ""
    facts = [f"Type: {kind(option)}.", f"Default: {default(option)}."]
    if option.secret:
        facts.append("Secret: never logged.")
    if option.deprecated_for_removal:
        facts.append("Deprecated.")
    yield "   " + " ".join(facts)
    yield ""
    yield from (f"   {line}" for line in choices(option))
    yield ""


class Settings(SphinxDirective):
    """Writes all settings, a section a group."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        sources = (config, notify, limits, settings, keystone_settings, trustee)
        for source in (__file__, *(module.__file__ for module in sources)):
            self.env.note_dependency(str(source))
        lines: list[str] = []
        groups = (*config.list_opts(), *keystone_settings.list_opts())
        for group, options in (*groups, *trustee.list_opts()):
            name = getattr(group, "name", group) or "DEFAULT"
            title = f"[{name}]"
            lines += [title, "-" * len(title), ""]
            for option in options:
                lines += entry(name, option)
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


class ConfigurationSample(SphinxDirective):
    """Shows a configuration file with all settings, as oslo.config writes it."""

    def run(self) -> list[nodes.Node]:
        """Return the sample."""
        generator = Path(sys.executable).with_name("oslo-config-generator")
        done = subprocess.run(
            [generator, "--namespace", "zaqarserver"],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        text = done.stdout.rstrip()
        return [nodes.literal_block(text, text, language="ini")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("zaqar-configuration-sample", ConfigurationSample)
    app.add_directive("zaqar-settings", Settings)
    return {"version": "1", "parallel_read_safe": True}
