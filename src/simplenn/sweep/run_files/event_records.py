"""Event files of many runs at once: records of one length side by side, their checksums over all runs together.

Shapes: R runs, L bytes.
"""

# pyright: reportAttributeAccessIssue=false
# (protobuf makes its classes as it is imported, out of a type checker's sight)

import struct
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from simplenn.rundir import events
from simplenn.rundir.tensorboard_protos import Event, masked_crc32c

POLYNOMIAL = 0x82F63B78  # of CRC-32C, bits reversed
ALL_ONES = 0xFFFFFFFF


def _byte_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ (table & 1) * np.uint32(POLYNOMIAL)
    return table


def _pair_table(one: np.ndarray) -> np.ndarray:
    pairs = np.arange(65536, dtype=np.uint32)
    first = one[pairs & 0xFF]
    return one[(first ^ (pairs >> 8)) & 0xFF] ^ (first >> 8)


ONE = _byte_table()
TWO = _pair_table(ONE)


def masked_checksums(records: Sequence[bytes]) -> np.ndarray:
    """[R]: TensorFlow's masked CRC-32C of each. They may differ in length."""
    lengths = np.array([len(record) for record in records])
    longest = int(lengths.max(initial=0))
    rows = np.zeros((len(records), longest + longest % 2), np.uint8)
    for row, record in zip(rows, records, strict=True):
        row[len(row) - len(record) :] = np.frombuffer(record, np.uint8)
    return masked_checksums_of_rows(rows, lengths)


def masked_checksums_of_rows(rows: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """[R, L], L even, each record at its row's end with zeros before it -> [R].

    From a state of zero, leading zeros change nothing; what the usual start, all ones, adds depends on the
    length alone, as the checksum is linear.
    """
    pairs = np.ascontiguousarray(rows.view("<u2").T)
    state = np.zeros(len(rows), np.uint32)
    for pair in pairs:
        state = TWO[(state ^ pair) & 0xFFFF] ^ (state >> 16)
    crc = state ^ _start(1 << int(lengths.max(initial=0)).bit_length())[lengths] ^ np.uint32(ALL_ONES)
    return ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)


@cache
def _start(longest: int) -> np.ndarray:
    """What a start with all ones has become after each number of zero bytes."""
    table, state, states = ONE.tolist(), ALL_ONES, [ALL_ONES]
    for _ in range(longest):
        state = table[state & 0xFF] ^ (state >> 8)
        states.append(state)
    return np.array(states, np.uint32)


def framed(records: Sequence[bytes]) -> list[bytes]:
    """Each event as it stands in the file."""
    heads = {length: _head(length) for length in set(map(len, records))}
    checksums = masked_checksums(records).astype("<u4").tolist()
    return [
        heads[len(record)] + record + events.FOOTER.pack(checksum)
        for record, checksum in zip(records, checksums, strict=True)
    ]


def _head(length: int) -> bytes:
    text = struct.pack("<Q", length)
    return text + events.FOOTER.pack(masked_crc32c(text))


def scalar_records(
    curves: Mapping[str, np.ndarray], metrics_per_epoch: Sequence[Sequence[str]], times: Sequence[float], num_runs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Every run's records, [R, L], and where those of each epoch end, [T + 1].

    `curves` are [T, R], `metrics_per_epoch` the metrics that each epoch has, `times` the epochs' wall times.
    """
    bodies = [
        _bodies_of_epoch(number + 1, seconds, {name: curves[name][number] for name in names}, num_runs)
        for number, (names, seconds) in enumerate(zip(metrics_per_epoch, times, strict=True))
    ]
    lengths = [body.shape[1] for body in bodies]
    footers: dict[int, np.ndarray] = {}
    for length in set(lengths):  # most epochs have records of one length, whose checksums are taken together
        epochs = [epoch for epoch, own in enumerate(lengths) if own == length]
        checksums = _checksums(np.concatenate([bodies[epoch] for epoch in epochs])).reshape(len(epochs), num_runs)
        footers |= {
            epoch: own.astype("<u4")[:, None].view(np.uint8) for epoch, own in zip(epochs, checksums, strict=True)
        }
    blocks = [np.zeros((num_runs, 0), np.uint8)]
    for epoch, (length, body) in enumerate(zip(lengths, bodies, strict=True)):
        head = np.broadcast_to(np.frombuffer(_head(length), np.uint8), (num_runs, events.HEADER.size))
        blocks += head, body, footers[epoch]
    sizes = [events.HEADER.size + length + events.FOOTER.size for length in lengths]
    return np.concatenate(blocks, axis=1), np.cumsum([0, *sizes])


def _bodies_of_epoch(step: int, seconds: float, values: Mapping[str, np.ndarray], num_runs: int) -> np.ndarray:
    """[R, L]: the event of one epoch with each run's values, which protobuf is asked for once."""
    stand_ins = {name: 1e30 + 1e27 * place for place, name in enumerate(values)}
    event = Event(wall_time=seconds, step=step, summary=events.scalar_summary(stand_ins))
    data = event.SerializeToString()
    bodies = np.repeat(np.frombuffer(data, np.uint8)[None], num_runs, axis=0)
    for name, stand_in in stand_ins.items():
        pattern = struct.pack("<f", stand_in)
        assert data.count(pattern) == 1
        at = data.index(pattern)
        with np.errstate(over="ignore"):
            bodies[:, at : at + 4] = values[name].astype("<f4")[:, None].view(np.uint8)
    return bodies


def _checksums(rows: np.ndarray) -> np.ndarray:
    """[R, L] -> [R]."""
    length = rows.shape[1]
    even = np.pad(rows, ((0, 0), (1, 0))) if length % 2 else np.ascontiguousarray(rows)
    return masked_checksums_of_rows(even, np.full(len(rows), length))
