"""Plain lists in, named floats out, each with its signature. Percentages run from 0 to 100."""
