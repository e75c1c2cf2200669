# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An Ansible module's two ends: its options, and the one place where an exception becomes `fail_json`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.hokusai.platform.plugins.module_utils import redaction
from ansible_collections.hokusai.platform.plugins.module_utils.aws import AWS_OPTIONS, HAS_BOTO3
from ansible_collections.hokusai.platform.plugins.module_utils.errors import PlatformError

try:
    import boto3
    import botocore

    INSTALLED = {"boto3": str(boto3.__version__), "botocore": str(botocore.__version__)}
except ImportError:
    INSTALLED = {}

Params = Mapping[str, Any]
OLDEST = "1.40.53"
"""Of boto3 and botocore: the first that knows `Transforms` and `RegexValues` of a listener rule."""


class Module(AnsibleModule):
    """A module that knows the secrets among its options before Ansible checks them, writes them to the system log, or
    repeats them in a failure."""

    params: dict[str, Any]

    def _load_params(self) -> None:
        super()._load_params()
        self.params = redaction.renamed(self.params)
        self.no_log_values.update(redaction.among(self.params, self.argument_spec))


def make_module(spec: Mapping[str, Any], *, needs_boto3: bool = True, **extra: Any) -> AnsibleModule:
    """The module with the common AWS options; `extra` are AnsibleModule's own (`required_if`, ...)."""
    module = Module(argument_spec={**AWS_OPTIONS, **spec}, supports_check_mode=True, **extra)
    if needs_boto3 and not HAS_BOTO3:
        module.fail_json(msg=missing_required_lib("boto3"))
    if needs_boto3 and (old := outdated(INSTALLED)):
        names = " and ".join(f"{name} {INSTALLED[name]}" for name in old)
        remedy = f"{sys.executable} -m pip install --upgrade " + " ".join(f"'{name}>={OLDEST}'" for name in old)
        module.fail_json(
            msg=f"{names} is installed, {OLDEST} or newer is needed. Remedy: {remedy}", remedy=remedy, error="BadInput"
        )
    return module


def outdated(installed: Mapping[str, str]) -> list[str]:
    """Which of the libraries are older than `OLDEST`."""
    return [name for name, version in installed.items() if LooseVersion(version) < LooseVersion(OLDEST)]


@contextmanager
def failing(module: AnsibleModule) -> Iterator[None]:
    """Report a `PlatformError` raised inside as the module's failure: message, remedy, and the error's details.

    A failure after some writes has changed something, and says so.
    """
    try:
        yield
    except PlatformError as error:
        done = bool(error.details.get("steps_done"))
        module.fail_json(msg=str(error), changed=done, remedy=error.remedy, error=type(error).__name__, **error.details)
