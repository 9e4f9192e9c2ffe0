"""The command line: the embedded stack on this machine, and a client of the REST API."""
