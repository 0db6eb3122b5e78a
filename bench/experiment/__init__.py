"""One cell: from a request to a record; selection, evaluation, snapshots and models."""
