"""Parse the command line, call the library and print: results to stdout, messages to stderr."""
