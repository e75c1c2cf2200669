"""The ECS agent: makes the services of the control plane real as processes, targets and Cloud Map instances."""
