"""What TensorBoard has for writing its files, and doesn't document: imported here and nowhere else.

The documented way, `torch.utils.tensorboard.SummaryWriter`, writes through a queue and a thread, a seventh as fast, and
can neither append to a file nor group the seeds of a setting. Each test of `tests/rundir/test_upstream.py` fails
by its name where a release changes what is imported.
"""

# pyright: reportAttributeAccessIssue=false
# (protobuf makes its classes as it is imported, out of a type checker's sight)

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

__all__ = [
    "Event",
    "RecordWriter",
    "Summary",
    "SummaryMetadata",
    "api_pb2",
    "masked_crc32c",
    "metadata",
    "plugin_data_pb2",
]
