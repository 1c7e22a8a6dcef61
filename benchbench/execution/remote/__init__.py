"""Adapters in interpreters of their own, for methods whose dependencies exclude those of others.

`adapters` makes them, `interpreter` starts the other interpreter, which runs `shim`. What differs
by track stands in two modules of each, found by the track's name: `<track>_proxy`, the adapter on
this side, and `<track>_served`, its commands on the other.
"""
