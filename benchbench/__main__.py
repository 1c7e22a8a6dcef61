"""`python -m benchbench` is the same as `bench`."""

from benchbench.cli.start import main

if __name__ == "__main__":
    try:
        main()
    finally:
        # With -m, Python exits by a Ctrl-C that arrived while text was executed (dataclasses do
        # that at import), even if it was caught. Executing text once more makes Python forget it.
        exec("")
