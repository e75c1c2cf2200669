"""`make soak`: many requests through the gateway, with restarts of the upstream and idle gaps, and what went wrong."""
