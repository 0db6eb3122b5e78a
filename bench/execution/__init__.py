"""Executors: run tasks in worker processes of this machine, on a Dask cluster, or in the caller's process.

Every `tasks.Executor` takes tasks, a module-level work function and an event handler, and yields one
`tasks.Outcome` per task as they end.
"""
