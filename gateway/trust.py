"""Whom this service trusts over TLS, and how it proves to MLflow who it is."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

from gateway.config import Config
from gateway.errors import ConfigError


def check_files(config: Config, variables: Mapping[str, str]) -> None:
    """Raises ConfigError for a file that is configured and cannot be used, also where nothing needs it yet: OpenSSL
    itself says nothing when its own are not there, and then trusts nobody."""
    bundle = variables.get("SSL_CERT_FILE")
    if bundle:
        try:
            ssl.create_default_context(cafile=bundle)
        except OSError:
            raise ConfigError("SSL_CERT_FILE is not a readable bundle of certificates") from None
    if any(not Path(path).is_dir() for path in variables.get("SSL_CERT_DIR", "").split(":") if path):
        raise ConfigError("SSL_CERT_DIR is not a directory")
    _context(config)


def mlflow_context(config: Config) -> ssl.SSLContext | None:
    """For an ``https`` MLflow: verified against a bundle of its own or what OpenSSL trusts, with a client certificate
    if one is configured. Raises ConfigError with the variable's name.
    """
    return _context(config) if config.mlflow_url.startswith("https:") else None


def _context(config: Config) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.mlflow_ca or None)
    except (OSError, ssl.SSLError):
        raise ConfigError("MLFLOW_TRACKING_SERVER_CERT_PATH is not a readable bundle of certificates") from None
    if config.mlflow_certificate:
        try:
            context.load_cert_chain(config.mlflow_certificate)
        except (OSError, ssl.SSLError):
            raise ConfigError(
                "MLFLOW_TRACKING_CLIENT_CERT_PATH is not a readable file with a certificate and its key"
            ) from None
    return context
