"""The Hokusai platform as a description, and its builder: everything goes through the AWS API."""
