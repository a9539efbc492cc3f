# pyright: reportAttributeAccessIssue=false
"""What `rundir` takes from torch and TensorBoard beside what they document: each fails by its name when it changes."""

import inspect
from io import BytesIO

import torch
from tensorboard.compat.proto.graph_pb2 import GraphDef
from torch import nn

from simplenn.rundir import tensorboard_protos as protos
from simplenn.rundir.review import traced_graph


def test_torch_utils_tensorboard_pytorch_graph_traces_a_network() -> None:
    graph = GraphDef.FromString(traced_graph(nn.Linear(3, 1), torch.ones(1, 3)))
    assert "Linear" in " ".join(node.op + node.name for node in graph.node)


def test_tensorboard_compat_protos_have_the_fields_that_are_written() -> None:
    event = protos.Event(wall_time=1.5, step=3)
    event.summary.value.add(tag="val/loss", simple_value=0.5)
    read = protos.Event.FromString(event.SerializeToString())
    assert (read.wall_time, read.step) == (1.5, 3)
    assert [(value.tag, value.simple_value) for value in read.summary.value] == [("val/loss", 0.5)]


def test_tensorboard_hparams_protos_describe_a_session() -> None:
    start = protos.plugin_data_pb2.SessionStartInfo(group_name="group", start_time_secs=1.0)
    start.hparams["optimizer.lr"].number_value = 0.1
    end = protos.plugin_data_pb2.SessionEndInfo(status=protos.api_pb2.STATUS_SUCCESS, end_time_secs=2.0)
    for data in (
        protos.plugin_data_pb2.HParamsPluginData(version=0, session_start_info=start),
        protos.plugin_data_pb2.HParamsPluginData(version=0, session_end_info=end),
    ):
        assert protos.plugin_data_pb2.HParamsPluginData.FromString(data.SerializeToString()) == data
    assert protos.metadata.PLUGIN_DATA_VERSION == 0
    assert protos.metadata.SESSION_START_INFO_TAG == "_hparams_/session_start_info"
    assert protos.metadata.SESSION_END_INFO_TAG == "_hparams_/session_end_info"


def test_tensorboard_masked_crc32c_is_that_of_the_record_format() -> None:
    """CRC-32C of `123456789` is e3069283, as RFC 3720 has it; masked, it is rotated by 15 bits, plus a constant."""
    crc = 0xE3069283
    assert protos.masked_crc32c(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_tensorboard_record_writer_frames_a_record() -> None:
    file = BytesIO()
    protos.RecordWriter(file).write(b"event")
    assert file.getvalue()[:8] == (5).to_bytes(8, "little")
    assert file.getvalue()[12:17] == b"event"
    assert list(inspect.signature(protos.RecordWriter).parameters) == ["writer"]
