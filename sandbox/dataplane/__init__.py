"""The data plane: real sockets on loopback that behave as the control plane says.

`DataPlane` (plane.py) is the only thing the daemon needs; `CertificateAuthority` (ca.py) is what
the platform builder needs. Everything reads the world through the protocol in `seam.py`.
"""

from __future__ import annotations

from sandbox.dataplane.ca import CertificateAuthority, Issued
from sandbox.dataplane.plane import DataPlane

__all__ = ["CertificateAuthority", "DataPlane", "Issued"]
