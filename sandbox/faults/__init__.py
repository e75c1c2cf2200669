"""Faults of the running platform, one at a time: `python -m sandbox break ID`, `heal`, `faults`.

One file per layer, one small function per fault of the catalogue; each works on the AWS API, as whoever made the
mistake did. `live.py` does what they ask and remembers the way back before it does, `memory.py` keeps that in the
state directory, `registry.py` breaks and heals, `catalogue.py` has them all.
"""
