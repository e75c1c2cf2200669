"""The ECS agent: makes the services of the control plane real as processes, targets and Cloud Map instances."""

from __future__ import annotations

from sandbox.agent.agent import Agent

__all__ = ["Agent"]
