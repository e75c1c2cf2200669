"""The site of the documents, built from the sources: `python -m tests.docsite`."""
