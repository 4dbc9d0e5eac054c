"""The mapping language: documents, expressions, and their compilation to SQL."""

from etl.errors import MappingError
from etl.mapping.document import SHIPPED, find_mapping, load_mapping, mapping_files, refusal
from etl.mapping.evaluation import MISSING, evaluate
from etl.mapping.model import Field, Mapping

__all__ = [
    "MISSING",
    "SHIPPED",
    "Field",
    "Mapping",
    "MappingError",
    "evaluate",
    "find_mapping",
    "load_mapping",
    "mapping_files",
    "refusal",
]
