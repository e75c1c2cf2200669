"""Whom this service trusts over TLS, and how it proves to MLflow who it is."""

from __future__ import annotations

import ssl

from gateway.config import Config
from gateway.errors import ConfigError


def mlflow_context(config: Config) -> ssl.SSLContext | None:
    """For an ``https`` MLflow: verified against a bundle of its own or what OpenSSL trusts, with a client certificate
    if one is configured. Raises ConfigError with the variable's name.
    """
    if not config.mlflow_url.startswith("https:"):
        return None
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
