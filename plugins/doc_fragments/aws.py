# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the AWS options that every module of the action group takes."""

from __future__ import annotations


class ModuleDocFragment:
    """Options shared through `module_utils/aws.py`; what is omitted comes from botocore's own chain."""

    DOCUMENTATION = r"""
options:
  region:
    description: AWS region. Omitted, botocore's chain decides (E(AWS_DEFAULT_REGION), the profile).
    type: str
  profile:
    description: Named profile of the AWS configuration files.
    type: str
  access_key:
    description: Access key id. Prefer the environment, a profile or a role.
    type: str
  secret_key:
    description: Secret access key that belongs to O(access_key).
    type: str
  session_token:
    description: Session token of temporary credentials.
    type: str
  endpoint_url:
    description: Endpoint for all services, as a sandbox has. Omitted, E(AWS_ENDPOINT_URL) or AWS itself.
    type: str
  validate_certs:
    description: Whether TLS certificates of AWS endpoints are verified.
    type: bool
    default: true
  aws_ca_bundle:
    description: CA bundle for TLS verification of AWS endpoints.
    type: path
  assume_role_arn:
    description: Role to assume before the first call, and again before what it was issued expires.
    type: str
requirements:
  - python >= 3.11
  - boto3 >= 1.40.53
  - botocore >= 1.40.53
"""

    GROUP = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/hokusai.platform.aws) in C(module_defaults) to set the AWS options of all modules at once.
    support: full
    membership:
      - hokusai.platform.aws
"""

    WRITES = r"""
options:
  run:
    description:
      - Path of the context of the run that the task is a part of, as M(hokusai.platform.platform_snapshot) returns it.
      - With it the run's lock is checked immediately before each write, and again before each further try of one that
        AWS throttled or did not answer. Each write goes into the run's journal before the call is made, and again with
        what became of it. A run whose lock is lost writes nothing more.
      - Omitted, there is neither lock nor journal. Use C(group/hokusai.platform.writes) in C(module_defaults) to set
        it.
    type: path
    version_added: 0.2.0
  plan:
    description:
      - Path of a plan that M(hokusai.platform.platform_plan) began or approved.
      - In check mode a draft takes down what the task would do. An approved plan allows exactly what is in it. A task
        that finds something else to do, or is asked for another state, fails before its first write.
    type: path
    version_added: 0.2.0
attributes:
  check_mode:
    description: Can run in check mode and return the steps it would take, without taking them.
    support: full
  diff_mode:
    description: Returns the two ends of the plan.
    support: full
"""

    LOCKS = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and says what it would do, without doing it.
    support: full
  diff_mode:
    description: Returns no difference.
    support: none
"""

    READS = r"""
options: {}
attributes:
  check_mode:
    description: Changes nothing, in check mode or not.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to compare.
    support: N/A
"""
