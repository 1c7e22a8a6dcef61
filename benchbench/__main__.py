"""`python -m benchbench` is the same as `bench`."""

from benchbench.cli.start import main

if __name__ == "__main__":
    try:
        main()
    finally:
        # Python remembers a Ctrl-C that came while text was executed (as dataclasses do when they are imported), and with -m dies of
        # it at the end, whatever the exit code is, though it was caught; it forgets it when text is executed once more
        exec("")
