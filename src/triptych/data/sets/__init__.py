"""Load public sets by name: the catalogue, the download, and a file for each kind of set."""
