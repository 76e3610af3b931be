"""Settings of the documentation: `./dev docs` builds it with Sphinx and MyST, offline, and a warning is an error."""

import importlib
import importlib.util
import re
import sys
from pathlib import Path

from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

sys.path.append(str(Path(__file__).resolve().parent))
sys.path.append(str(Path(__file__).resolve().parent.parent))

from public import public_names

import minitorch_bn

project = "minitorch_bn"
author = "the minitorch_bn authors"
copyright = "2026, the minitorch_bn authors"
release = minitorch_bn.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo" if importlib.util.find_spec("furo") else "alabaster"
html_title = f"minitorch_bn {release}"
myst_heading_anchors = 3
autodoc_typehints = "none"
suppress_warnings = ["myst.xref_missing"]  # CONTRIBUTING and its kind link to files of the repository


class PublicNames(SphinxDirective):
    """`.. public:: module` documents the functions and classes of the module, without those that `:skip:` names."""

    required_arguments = 1
    option_spec = {"skip": str.split, "inherited-members": bool}

    def run(self):
        module = self.arguments[0]
        options = ["   :members:"] + ["   :inherited-members:"] * ("inherited-members" in self.options)
        lines = []
        for name, value in public_names(importlib.import_module(module)):
            if name in self.options.get("skip", ()):
                continue
            if isinstance(value, type):
                lines += [f".. autoclass:: {module}.{name}", *options, ""]
            else:
                lines += [f".. autofunction:: {module}.{name}", ""]
        self.content = StringList(lines, source=module)
        return self.parse_content_to_nodes()


def plain_text(app, what, name, obj, options, lines):
    """Docstrings are plain text: the first paragraph becomes prose, what follows keeps its line breaks."""
    text = "\n".join(lines).strip("\n")
    head, _, rest = text.partition("\n\n")
    head = re.sub(r"(:\w+:)?`+([^`]+)`+", r"\2", " ".join(head.split()))
    head = re.sub(r"([\\*`|_<>])", r"\\\1", head)
    lines[:] = [head, ""]
    if rest.strip():
        lines += ["::", "", *("    " + line for line in rest.splitlines()), ""]


def setup(app):
    app.add_directive("public", PublicNames)
    app.connect("autodoc-process-docstring", plain_text)
