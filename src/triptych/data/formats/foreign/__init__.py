"""Read files of other tools as Triptych's own formats, one module per tool or format."""
