"""Whether a caller may do what it asks for, by the IAM policies that are enforced; off by default."""
