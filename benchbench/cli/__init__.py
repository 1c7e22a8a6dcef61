"""The `bench` command; one thin module a command, imported when it is used."""
