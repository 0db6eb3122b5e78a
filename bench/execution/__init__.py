"""Executors: run tasks in worker processes of this machine, on a Dask cluster, or in the caller's process.

Every `tasks.Executor` takes tasks and a module-level work function and yields one `tasks.Outcome` per task as
they end; an event handler hears of what goes on meanwhile.
"""
