"""What TensorBoard has for writing its files, and doesn't document: imported here and nowhere else.

The documented way, `torch.utils.tensorboard.SummaryWriter`, writes through a queue and a thread, a seventh as fast, and
can neither append to a file nor group the seeds of a setting. Each test of `tests/rundir/test_upstream.py` fails
by its name where a release changes what is imported.
"""

# pyright: reportAttributeAccessIssue=false
# (protobuf makes its classes as it is imported, out of a type checker's sight)

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as layout_metadata
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

__all__ = [
    "DT_STRING",
    "Event",
    "RecordWriter",
    "Summary",
    "SummaryMetadata",
    "TensorProto",
    "api_pb2",
    "layout_metadata",
    "layout_pb2",
    "masked_crc32c",
    "metadata",
    "plugin_data_pb2",
]
