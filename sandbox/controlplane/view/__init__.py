"""From moto's models to the frozen values of `sandbox.model`; call these under the control plane's lock."""
