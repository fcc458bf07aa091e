"""One module for each other library; each imports its own library and nothing else heavy."""
