"""The gateway against real sockets: a process of its own, a recording upstream, an auth stand-in."""
