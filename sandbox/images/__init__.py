"""The programs that the platform's container images stand for."""
