"""Cloud Map with its conflicts, filters and operations that take a moment."""

from __future__ import annotations

from moto.servicediscovery import models

from sandbox.controlplane.fidelity.replace import use_backend, use_response
from sandbox.controlplane.fidelity.servicediscovery.backend import ServiceDiscoveryBackend
from sandbox.controlplane.fidelity.servicediscovery.resources import Namespace, Operation, Service
from sandbox.controlplane.fidelity.servicediscovery.responses import ServiceDiscoveryResponse


def install() -> None:
    """Replace moto's servicediscovery."""
    models.Namespace = Namespace
    models.Operation = Operation
    models.Service = Service
    use_backend(models.servicediscovery_backends, ServiceDiscoveryBackend)
    use_response("moto.servicediscovery", ServiceDiscoveryResponse)
