"""One trial in a child process, with limits that hold."""
