"""Meta-datasets: learning curves of many tasks and configurations, on disk and as arrays."""

from hyperstar_tune.tables.metadataset import MetaDataset
from hyperstar_tune.tables.recorded import record

__all__ = ["MetaDataset", "record"]
