"""An authenticating reverse proxy in front of MLflow. See README.md for its contract."""

from __future__ import annotations

__version__ = "0.1.0"
