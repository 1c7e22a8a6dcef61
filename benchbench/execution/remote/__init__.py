"""Adapters in their own interpreters, for methods with conflicting dependencies.

`adapters` creates them; `interpreter` starts the other interpreter, which runs `shim`. Each track
has two modules, found by its name: `<track>_proxy`, the adapter on this side, and `<track>_served`,
its commands on the other.
"""
