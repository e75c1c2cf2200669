#!/usr/bin/python
# Copyright (c) 2026 Hokusai Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: api_key
short_description: Validate, mint, store, copy or revoke a platform API key
version_added: 0.1.0
description:
  - Asks the platform's auth service about a key, has it mint one and stores that, or revokes one.
  - The key itself is never shown, whole or in part, not in results, differences, errors or the invocation.
  - That holds for one in a misspelt option too, which is refused.
  - A key is C(hk_live_), C(hk_test_) or C(hk_dev_) and 32 letters or digits. Anything else is refused at once.
author:
  - Hokusai Platform contributors (@hokusai)
extends_documentation_fragment:
  - hokusai.platform.aws
  - hokusai.platform.aws.group
  - hokusai.platform.aws.writes
options:
  action:
    description:
      - V(check) reads the key of O(source) and refuses one that has not the form of a key. It asks nobody about it.
      - V(validate) asks whether the key of O(source) is good for O(service_id) and has O(scopes). It changes nothing.
      - V(mint) makes sure that O(store) holds a valid key of exactly this O(service_id), O(scopes) and O(environment).
        A key there that is good stays, so a second run changes nothing.
      - V(revoke) revokes the key O(key_id). One that is revoked already is left alone.
      - V(copy) copies the key of O(source) to O(store), without asking anybody about it.
    type: str
    required: true
    choices: [check, validate, mint, revoke, copy]
  auth_url:
    description: Base URL of the auth service. Required for all but V(check) and V(copy).
    type: str
  service_id:
    description: The service the key belongs to.
    type: str
    default: platform
  source:
    description: Where the key to check, validate or copy is read. Exactly one of its options.
    type: dict
    suboptions: &source
      environment:
        description: Name of an environment variable of the host the module runs on.
        type: str
      file:
        description: Path of a file that holds the key and nothing else. One that every user may open is refused.
        type: path
      value:
        description: The key itself, for one that comes out of Ansible Vault.
        type: str
      ssm_parameter:
        description: Name of an SSM parameter.
        type: str
      secret:
        description: Name or ARN of a secret of Secrets Manager, the whole value of which is the key.
        type: str
  admin_source:
    description: Where the key that may administer keys is read, for V(mint) and V(revoke). Exactly one of its options.
    type: dict
    suboptions: *source
  store:
    description: Where a minted or copied key is kept. Exactly one of its options.
    type: dict
    suboptions:
      file:
        description: Path of a file, written in one piece and readable by its owner only.
        type: path
      ssm_parameter:
        description:
          - Name of an SSM parameter, created as SecureString. One that exists keeps the KMS key it is encrypted with.
          - One of another type is refused.
        type: str
      secret:
        description: Name of a secret of Secrets Manager, created if it does not exist.
        type: str
  name:
    description: Name of the key to mint.
    type: str
  scopes:
    description:
      - With V(validate), the scopes the key must have. Omitted, none are required.
      - With V(mint), the scopes the key is to have. Omitted, C(read) and C(write).
    type: list
    elements: str
  environment:
    description: Kind of the key to mint.
    type: str
    choices: [live, test, dev]
    default: test
  user_id:
    description: User the minted key is for. Omitted, the auth service decides.
    type: str
  key_id:
    description: Id of the key to revoke, as RV(key_id) had it. An empty one is refused.
    type: str
  client_ip:
    description: Client address given to the auth service with V(validate). Omitted, none is given.
    type: str
  timeout:
    description: Seconds to wait for the auth service.
    type: float
    default: 10
"""

EXAMPLES = r"""
- name: Require that there is a key, before the auth service can be asked
  hokusai.platform.api_key:
    action: check
    source:
      environment: HOKUSAI_API_KEY

- name: Validate the key of the environment
  hokusai.platform.api_key:
    action: validate
    auth_url: https://auth.hokus.ai
    source:
      environment: HOKUSAI_API_KEY
    scopes: [read, write]
  register: key

- name: Require that it is valid
  ansible.builtin.assert:
    that: key.is_valid
    fail_msg: "The key from {{ key.source }} is {{ key.verdict }}: {{ key.reason }}"

- name: Keep a key for the verification in SSM
  hokusai.platform.api_key:
    action: mint
    auth_url: https://auth.hokus.ai
    admin_source:
      secret: hokusai/development/auth-admin
    name: verification
    scopes: [read, write]
    store:
      ssm_parameter: /hokusai/development/verification/api-key

- name: Copy the vaulted key to a file for a script
  hokusai.platform.api_key:
    action: copy
    source:
      value: "{{ vault_hokusai_api_key }}"
    store:
      file: /run/hokusai/api-key

- name: Revoke a key
  hokusai.platform.api_key:
    action: revoke
    auth_url: https://auth.hokus.ai
    admin_source:
      environment: HOKUSAI_AUTH_ADMIN_KEY
    key_id: "{{ key.key_id }}"
"""

RETURN = r"""
is_valid:
  description: Whether the key is good for the service and has the scopes. Null when nothing was asked about it.
  returned: success
  type: bool
  sample: false
verdict:
  description: Why, as one of V(valid), V(refused), V(wrong_service) and V(missing_scopes); empty if nothing was asked.
  returned: success
  type: str
  sample: missing_scopes
reason:
  description: The reason in words; empty when the key is valid.
  returned: success
  type: str
  sample: "the key lacks the scopes: write"
key_id:
  description: Id of the key; empty when the auth service did not tell it, as for a refused key or in check mode.
  returned: success
  type: str
  sample: key-4f1c
service_id:
  description: Service of the key.
  returned: success
  type: str
  sample: platform
scopes:
  description: Scopes of the key.
  returned: success
  type: list
  elements: str
  sample: [read]
missing_scopes:
  description: Required scopes that the key has not.
  returned: success
  type: list
  elements: str
  sample: [write]
source:
  description: Where the key was read, in words; empty for a key that was minted or revoked.
  returned: success
  type: str
  sample: the environment variable HOKUSAI_API_KEY
replaced_key_id:
  description: Id of the valid key that the minted one replaced in the store. It is not revoked.
  returned: success
  type: str
  sample: key-03aa
steps:
  description: What was done, or in check mode would be.
  returned: success
  type: list
  elements: dict
  sample: [{verb: mint, why: "key verification of platform with read, write"}]
remedy:
  description: What can be done about the failure.
  returned: failure
  type: str
  sample: export HOKUSAI_API_KEY, or name another place in the option source
error:
  description: Kind of the failure, such as V(BadInput) or V(NotFound).
  returned: failure
  type: str
  sample: BadInput
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.hokusai.platform.plugins.module_utils.approved_plan import PLAN_OPTION, refuse_planned
from ansible_collections.hokusai.platform.plugins.module_utils.auth_service import VALID, AuthService, Standing
from ansible_collections.hokusai.platform.plugins.module_utils.aws import REREAD_DELAYS, look_until
from ansible_collections.hokusai.platform.plugins.module_utils.credentials import (
    Credentials,
    Key,
    chosen,
    described,
    source_option,
    store_option,
)
from ansible_collections.hokusai.platform.plugins.module_utils.errors import BadInput, NotConverged, PlatformError
from ansible_collections.hokusai.platform.plugins.module_utils.http_client import check_url
from ansible_collections.hokusai.platform.plugins.module_utils.module import Params, failing, make_module
from ansible_collections.hokusai.platform.plugins.module_utils.transaction import RUN_OPTION, Outside, in_run

SPEC: dict[str, dict[str, Any]] = {
    **RUN_OPTION,
    **PLAN_OPTION,
    "action": {"type": "str", "required": True, "choices": ["check", "validate", "mint", "revoke", "copy"]},
    "auth_url": {"type": "str"},
    "service_id": {"type": "str", "default": "platform"},
    "source": source_option(),
    "admin_source": source_option(),
    "store": store_option(),
    "name": {"type": "str"},
    "scopes": {"type": "list", "elements": "str"},
    "environment": {"type": "str", "choices": ["live", "test", "dev"], "default": "test"},
    "user_id": {"type": "str"},
    "key_id": {"type": "str", "no_log": False},
    "client_ip": {"type": "str"},
    "timeout": {"type": "float", "default": 10},
}
AUTH = "auth"
FILES = "file"
REQUIRED = [
    ("action", "check", ["source"]),
    ("action", "validate", ["auth_url", "source"]),
    ("action", "mint", ["auth_url", "admin_source", "store", "name"]),
    ("action", "revoke", ["auth_url", "admin_source", "key_id"]),
    ("action", "copy", ["source", "store"]),
]
DEFAULT_SCOPES = ("read", "write")
UNASKED = Standing("", "")


@dataclass(frozen=True)
class Outcome:
    """What the module reports: the key's standing and source, what was done, and its place before and after."""

    standing: Standing = UNASKED
    steps: tuple[tuple[str, str], ...] = ()
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    replaced_key_id: str = ""
    source: str = ""

    def result(self) -> dict[str, Any]:
        standing = self.standing
        return {
            "changed": bool(self.steps),
            "is_valid": standing.is_valid if standing.verdict else None,
            "verdict": standing.verdict,
            "reason": standing.reason,
            "key_id": standing.key_id,
            "service_id": standing.service_id,
            "scopes": list(standing.scopes),
            "missing_scopes": list(standing.missing_scopes),
            "source": self.source,
            "replaced_key_id": self.replaced_key_id,
            "steps": [{"verb": verb, "why": why} for verb, why in self.steps],
            "diff": {"before": self.before, "after": self.after},
        }


def check(_auth: None, credentials: Credentials, params: Params, _writing: Outside | None) -> Outcome:
    """That there is a key of the right form. The auth service may be what is broken, and is not asked."""
    return Outcome(source=credentials.read(params["source"]).source)


def validate(auth: AuthService, credentials: Credentials, params: Params, _writing: Outside | None) -> Outcome:
    """What the auth service says of the key; the same in check mode."""
    key = credentials.read(params["source"])
    standing = auth.validate(key, params["service_id"], params["scopes"] or (), params["client_ip"])
    return Outcome(standing, source=key.source)


def mint(auth: AuthService, credentials: Credentials, params: Params, writing: Outside | None) -> Outcome:
    """A good key in the store stays. Whatever can be known to be wrong is found before a key is minted."""
    scopes = tuple(sorted(set(params["scopes"] or DEFAULT_SCOPES)))
    admin = credentials.read(params["admin_source"])
    credentials.check_writable(params["store"])
    stored = credentials.stored(params["store"])
    standing = auth.validate(stored, params["service_id"], scopes) if stored else UNASKED
    before = {"key_id": standing.key_id, "verdict": standing.verdict} if stored else {}
    if stored and standing.is_valid and standing.scopes == scopes and stored.environment == params["environment"]:
        return Outcome(standing, before=before, after=before)
    wanted = Standing(VALID, "", "", params["service_id"], scopes)
    steps = (
        ("mint", f"key {params['name']} of {params['service_id']} with {', '.join(scopes)}"),
        ("store", f"key {params['name']} in {described(*chosen(params['store']))}"),
    )
    if writing:
        wanted = Minting(auth, credentials, params, admin, writing).all(scopes, steps)
    after = {"key_id": wanted.key_id or "known after apply", "verdict": VALID}
    return Outcome(wanted, steps, before, after, standing.key_id if standing.is_valid else "")


AT_ONCE: Sequence[float] = REREAD_DELAYS[:1]


@dataclass(frozen=True)
class Minting:
    """A key on its way from the auth service into its store."""

    auth: AuthService
    credentials: Credentials
    params: Params
    admin: Key
    writing: Outside

    def all(self, scopes: tuple[str, ...], steps: tuple[tuple[str, str], ...]) -> Standing:
        """The standing of the new key. One that cannot be kept is revoked again: nobody could use it, or know of it."""
        asked = {key: self.params[key] for key in ("name", "service_id", "environment", "user_id") if self.params[key]}
        with self.writing.once(AUTH, *steps[0]):
            minted = self.auth.mint(self.admin, {**asked, "scopes": list(scopes)})
        key, delays = None, AT_ONCE
        try:
            key = self.credentials.adopt(minted.text, "the auth service's answer")
            with self.writing.once(service_of(self.params["store"]), *steps[1]) as keeping:
                delays = REREAD_DELAYS
                try:
                    self.credentials.keep(self.params["store"], key, self.writing.check)
                except PlatformError:
                    delays = REREAD_DELAYS if keeping.is_open else AT_ONCE
                    raise
        except PlatformError as error:
            if key and self.may_hold(key, delays):
                error.message += (
                    f"; the key {minted.key_id} that was minted is valid, and its store may hold it: it stays"
                )
                error.remedy += f"; look which key the store holds, and revoke {minted.key_id} if it is another one"
            else:
                self.take_back(minted.key_id, error)
            raise
        standing = self.auth.validate(key, self.params["service_id"], scopes)
        if not standing.is_valid:
            raise NotConverged(
                f"The key {minted.key_id} was minted and stored, but the auth service says: {standing.reason}",
                "look at the auth service's store; a read replica may lag behind, then run again",
            )
        return replace(standing, key_id=standing.key_id or minted.key_id)

    def may_hold(self, key: Key, delays: Sequence[float]) -> bool:
        """Whether the store may hold the key although something failed: it shows so by then, or cannot be read."""

        def look() -> bool:
            try:
                stored = self.credentials.stored(self.params["store"])
            except PlatformError:
                return True
            return stored is not None and stored.reveal() == key.reveal()

        return look_until(look, bool, delays)

    def take_back(self, key_id: str, error: PlatformError) -> None:
        """Revoke a key that could not be kept, and let the error say what became of it.

        Neither lock nor journal can keep this from being done: they may be why the key could not be kept.
        """
        try:
            self.auth.revoke(self.admin, key_id)
        except PlatformError as refusal:
            error.message += (
                f"; the key {key_id} that was minted is still valid, for revoking failed too ({refusal.message})"
            )
            error.remedy = f"revoke {key_id}; then {error.remedy}"
        else:
            error.message += f"; the key {key_id} that was minted is revoked again"


def revoke(auth: AuthService, credentials: Credentials, params: Params, writing: Outside | None) -> Outcome:
    key_id = params["key_id"].strip()
    if not key_id:
        raise BadInput("key_id is empty, so no key is revoked", "give the id that the action validate says of the key")
    admin = credentials.read(params["admin_source"])
    if not auth.is_active(admin, key_id):
        return Outcome(replace(UNASKED, key_id=key_id), before={"active": False}, after={"active": False})
    steps = (("revoke", f"key {key_id}"),)
    if writing:
        with writing.once(AUTH, *steps[0]):
            auth.revoke(admin, key_id)
    return Outcome(replace(UNASKED, key_id=key_id), steps, {"active": True}, {"active": False})


def copy(_auth: None, credentials: Credentials, params: Params, writing: Outside | None) -> Outcome:
    key = credentials.read(params["source"])
    credentials.check_writable(params["store"])
    stored = credentials.stored(params["store"])
    held = "this key"
    if stored and stored.reveal() == key.reveal():
        return Outcome(before={"holds": held}, after={"holds": held}, source=key.source)
    steps = (("store", f"key from {key.source} in {described(*chosen(params['store']))}"),)
    if writing:
        with writing.once(service_of(params["store"]), *steps[0]):
            credentials.keep(params["store"], key, writing.check)
    return Outcome(UNASKED, steps, {"holds": "another key"} if stored else {}, {"holds": held}, source=key.source)


ACTIONS: dict[str, Callable[..., Outcome]] = {
    "check": check,
    "validate": validate,
    "mint": mint,
    "revoke": revoke,
    "copy": copy,
}


def service_of(store: Mapping[str, Any]) -> str:
    """The service that a store is written through, as the journal of a run calls it."""
    return {"ssm_parameter": "ssm", "secret": "secretsmanager"}.get(chosen(store)[0], FILES)


def changes_platform(params: Params) -> bool:
    """A key that only goes into a file changes nothing of the platform: it needs no lock and no approval."""
    copies = params["action"] == "copy" and service_of(params["store"]) != FILES
    return copies or params["action"] in {"mint", "revoke"}


def writing_in(
    credentials: Credentials, params: Params, name: str, *, dry: bool
) -> AbstractContextManager[Outside | None]:
    """The run that a write is made in, or none; None in check mode, in which nothing is written."""
    if dry:
        return nullcontext(None)
    if params["run"] and changes_platform(params):
        return in_run(credentials.aws, params, name, dry=False)
    return nullcontext(Outside())


def main() -> None:
    module = make_module(SPEC, needs_boto3=False, required_if=REQUIRED)
    params = module.params
    with failing(module):
        if changes_platform(params):
            what = f"The action {params['action']} of api_key"
            refuse_planned(params, what, "mint, revoke or copy keys in a play of their own, without the option plan")
        credentials = Credentials(params, module.no_log_values.add)
        auth = None
        if params["auth_url"]:
            auth = AuthService(check_url(params["auth_url"], "auth_url"), credentials.scrub, params["timeout"])
        with writing_in(credentials, params, module._name, dry=module.check_mode) as writing:
            outcome = ACTIONS[params["action"]](auth, credentials, params, writing)
        module.exit_json(**outcome.result())


if __name__ == "__main__":
    main()
