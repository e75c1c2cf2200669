"""`make bench-gateway`: the gateway beside nginx, haproxy and a naive proxy, in one run, against one upstream."""
