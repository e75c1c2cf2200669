"""The AWS API of the sandbox: moto in-process, made strict, counted, and breakable on request."""

from __future__ import annotations

from sandbox.controlplane.calls import CallCounter
from sandbox.controlplane.control import ControlError
from sandbox.controlplane.faults import Fault, Faults
from sandbox.controlplane.server import ControlPlane

__all__ = ["CallCounter", "ControlError", "ControlPlane", "Fault", "Faults"]
