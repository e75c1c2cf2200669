"""HMAC keys as KMS has them: the key's own algorithm only, short messages, and key ARNs in the answers."""

from __future__ import annotations

import json
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.kms import models, responses

from sandbox.controlplane.fidelity.replace import Replacement, use_backend, use_response

MAX_MESSAGE = 4096


class KmsBackend(Replacement, models.KmsBackend):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """Source of the rules: KMS API reference, GenerateMac and VerifyMac."""

    moto_package = "moto.kms"

    def generate_mac(self, message: bytes, key_id: str, mac_algorithm: str, *args: Any, **kwargs: Any) -> Any:
        key = self.keys[self.any_id_to_key_id(key_id)]
        if not 1 <= len(message) <= MAX_MESSAGE:
            raise JsonRESTError(
                "ValidationException",
                "1 validation error detected: Value at 'message' failed to satisfy constraint: "
                f"Member must have length between 1 and {MAX_MESSAGE}",
            )
        if not key.enabled:
            raise JsonRESTError("DisabledException", f"{key.arn} is disabled.")
        if key.key_spec.startswith("HMAC_") and mac_algorithm != _algorithm(key):
            raise JsonRESTError("InvalidKeyUsageException", f"Algorithm {mac_algorithm} is incompatible with the key.")
        mac, algorithm, _ = super().generate_mac(message, key_id, mac_algorithm, *args, **kwargs)
        return mac, algorithm, key.arn


class KmsResponse(responses.KmsResponse):  # type: ignore[misc]  # moto is untyped here (root pyproject)
    """moto's kms responses, completed."""

    def verify_mac(self) -> str:
        answer = json.loads(super().verify_mac())
        backend = self.kms_backend
        return json.dumps({**answer, "KeyId": backend.keys[backend.any_id_to_key_id(answer["KeyId"])].arn})


def _algorithm(key: Any) -> str:
    """HMAC_256 is for HMAC_SHA_256."""
    return str(key.key_spec).replace("HMAC_", "HMAC_SHA_")


def install() -> None:
    """Replace moto's kms."""
    use_backend(models.kms_backends, KmsBackend)
    use_response("moto.kms", KmsResponse)
