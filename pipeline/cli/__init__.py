"""The command line: reads options, calls one function of the library, prints its value."""
