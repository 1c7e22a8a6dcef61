"""`python -m benchbench` is the same as `bench`."""

from benchbench.cli.main import main

if __name__ == "__main__":
    main()
