"""How a subclass takes the place of one of moto's backends."""

from __future__ import annotations

import importlib
from typing import Any


class Replacement:
    """Mix into a subclass of a moto backend: moto finds a backend's URLs by the module of its class."""

    moto_package: str

    @property
    def _url_module(self) -> Any:
        return importlib.import_module(f"{self.moto_package}.urls")


def use_backend(backends: Any, backend_class: type) -> None:
    """Let a moto `BackendDict` make instances of another class, and forget those it has made."""
    if backends.backend is not backend_class:
        backends.backend = backend_class
        backends.clear()


def use_response(package: str, response_class: Any) -> None:
    """Let a moto service dispatch its requests to another response class."""
    urls: Any = importlib.import_module(f"{package}.urls")
    urls.url_paths = dict.fromkeys(urls.url_paths, response_class.dispatch)
