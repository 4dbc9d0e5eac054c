"""The assets that connect the DAGs: one for each stream of the lake. Unpartitioned: keyed events start no plain DAG."""

from __future__ import annotations

from airflow.sdk import Asset


def stream_asset(stream: str) -> Asset:
    """`stream/<name>`: an import has added loads to this stream."""
    return Asset(name=f"stream/{stream}", uri=f"profilemill://stream/{stream}", group="profilemill")
