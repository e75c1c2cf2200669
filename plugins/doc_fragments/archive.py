# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the options by which a module finds the records of an environment's runs."""

from __future__ import annotations


class ModuleDocFragment:
    """Options shared through `module_utils/archive.py`."""

    DOCUMENTATION = r"""
options:
  environment:
    description:
      - Name of the environment that is one platform, for instance the inventory's host. It names lock and records.
    type: str
  runs:
    description: Where the records of runs are kept.
    type: dict
    suboptions:
      directory:
        description:
          - Directory on the host the module runs on. Each run gets its own below it and below O(environment); all are
            made with mode 0700, files with 0600.
          - It holds the context of a run in any case, also when the record itself is kept in O(runs.bucket).
        type: path
        required: true
      bucket:
        description: S3 bucket for the records. It must keep versions; objects are written on condition only.
        type: str
      prefix:
        description: What the names of the objects begin with.
        type: str
  key:
    description:
      - Where the key is that seals the records, at most one of its options. A record is only read with the key it was
        made with.
      - Omitted, the file C(hmac.key) in O(runs.directory), which the first run makes.
    type: dict
    suboptions:
      file:
        description: Path of a file with 32 characters or more. One that every user may open is refused.
        type: path
      environment:
        description: Name of an environment variable with 32 characters or more.
        type: str
      secret:
        description: Name or ARN of a secret of Secrets Manager with 32 characters or more.
        type: str
      kms:
        description: Id, alias or ARN of a KMS key for C(HMAC_256). It makes the key of each run and never leaves AWS.
        type: str
"""

    SCOPE = r"""
options:
  scope:
    description:
      - The names of what belongs to the environment; what is not named is not looked at. Required when O(moment) is the
        first one.
    type: dict
    suboptions:
      vpc:
        description: Id or C(Name) tag of the VPC; it tells apart security groups and namespaces of one name.
        type: str
      load_balancers:
        description: Names of load balancers; with them come their listeners and rules.
        type: list
        elements: str
        default: []
      target_groups:
        description: Names of target groups.
        type: list
        elements: str
        default: []
      security_groups:
        description: Names of security groups; with them come their rules.
        type: list
        elements: str
        default: []
      namespace:
        description: Name of the private DNS namespace; with it come its services.
        type: str
      cluster:
        description: Name of the ECS cluster.
        type: str
      services:
        description: Names of ECS services.
        type: list
        elements: str
        default: []
      hosts:
        description: Public host names, with their records in the account's Route 53.
        type: list
        elements: str
        default: []
      alarms:
        description: Names of CloudWatch alarms.
        type: list
        elements: str
        default: []
      alarm_owner:
        description:
          - The owner all of whose alarms are recorded, as the option C(owner) of M(hokusai.platform.cloudwatch_alarms).
        type: str
      dashboards:
        description: Names of CloudWatch dashboards.
        type: list
        elements: str
        default: []
      log_groups:
        description: Names of log groups; with them come their metric filters.
        type: list
        elements: str
        default: []
"""
