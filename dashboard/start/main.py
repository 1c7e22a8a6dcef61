"""Run by `bench dashboard`."""

from benchbench.dashboard.app import main

main()
