"""The IAM policies of docs/iam, made from what the sandbox saw the playbooks ask for (docs/iam.md)."""
