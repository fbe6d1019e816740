"""A griffe extension: fields that `talkinghead.options.fields.option` made are shown with default, range and help."""

from __future__ import annotations

import ast
import importlib
from typing import Any

import griffe

from talkinghead.options.fields import options_of

MAKERS = {"option", "device_option"}


class Options(griffe.Extension):
    """Describes `name: type = option(default, help=...)` as the command line and job files do."""

    def on_attribute_instance(self, *, node: Any, attr: griffe.Attribute, **kwargs: Any) -> None:
        """Called for every attribute that griffe has found."""
        call = node.value if isinstance(node, ast.AnnAssign) else None
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in MAKERS):
            return
        config, name = attr.path.rsplit(".", 1)
        module, class_name = config.rsplit(".", 1)
        (option,) = (
            found for found in options_of(getattr(importlib.import_module(module), class_name)) if found.name == name
        )
        attr.docstring = griffe.Docstring(option.description, parent=attr)
        attr.value = repr(option.default)
