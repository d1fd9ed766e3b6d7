"""The command line: parses, calls, prints. stdout carries results, stderr carries talk."""
