"""Finding a vendor by name: ``load("local")`` is ``providers/local.py``'s ``VENDOR``. There is no table to keep."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import providers
from providers.base.vendor import Vendor


@cache
def names() -> tuple[str, ...]:
    """Every vendor, sorted: the modules of ``providers`` other than ``base``. Imports none of them."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(providers.__path__) if module.name != "base"))


@cache
def load(name: str) -> Vendor:
    """The vendor called ``name``. Raises ``LookupError`` if there is none."""
    if name not in names():
        raise LookupError(name)
    vendor = importlib.import_module(f"providers.{name}").VENDOR
    assert isinstance(vendor, Vendor)
    return vendor
