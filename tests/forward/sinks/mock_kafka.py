"""librdkafka's own mock cluster, through its C interface (``rdkafka_mock.h``): it can be shut and told what to say.

It speaks Kafka's protocol on real sockets, and it is no Kafka: it has neither TLS nor passwords, and keeps no disk.
"""

import ctypes
from pathlib import Path
from types import TracebackType
from typing import Any

import confluent_kafka

BEGINNING = confluent_kafka.OFFSET_BEGINNING

PRODUCE = 0
"""The key of the request in the protocol."""


def _library() -> Any:
    (found,) = (Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs").glob("librdkafka*")
    loaded = ctypes.CDLL(str(found))
    for name in ("rd_kafka_new", "rd_kafka_mock_cluster_new", "rd_kafka_conf_new"):
        getattr(loaded, name).restype = ctypes.c_void_p
    loaded.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return loaded


class MockKafka:
    """A cluster of one broker."""

    def __init__(self) -> None:
        self._library = _library()
        error = ctypes.create_string_buffer(512)
        config = ctypes.c_void_p(self._library.rd_kafka_conf_new())
        # Without it the handle writes to the standard error that it has no broker of its own.
        self._library.rd_kafka_conf_set(config, b"log_level", b"0", error, 512)
        self._handle = ctypes.c_void_p(self._library.rd_kafka_new(0, config, error, 512))
        self._cluster = ctypes.c_void_p(self._library.rd_kafka_mock_cluster_new(self._handle, 1))
        self.port = int(self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).rpartition(b":")[2])

    def __enter__(self) -> "MockKafka":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)

    def kill(self) -> None:
        """Close its port and every connection."""
        assert not self._library.rd_kafka_mock_broker_set_down(self._cluster, 1)

    def start(self) -> None:
        """Listen again, on the same port, with what it has."""
        assert not self._library.rd_kafka_mock_broker_set_up(self._cluster, 1)

    def slow_down(self, milliseconds: int) -> None:
        """Reply so much later."""
        assert not self._library.rd_kafka_mock_broker_set_rtt(self._cluster, 1, milliseconds)

    def reply_with(self, *errors: int) -> None:
        """Reply to the next records with these errors."""
        values = (ctypes.c_int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(PRODUCE), ctypes.c_size_t(len(errors)), values
        )

    def records(self, topic: str, count: int) -> list[confluent_kafka.Message]:
        """Read a topic until it has so many different events."""
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": f"127.0.0.1:{self.port}",
                "group.id": "test",
                "auto.offset.reset": "earliest",
                "log_level": 0,
            }
        )
        found: list[confluent_kafka.Message] = []
        try:
            # Without joining a group, which takes seconds.
            partitions = consumer.list_topics(topic, 10).topics[topic].partitions
            consumer.assign([confluent_kafka.TopicPartition(topic, one, BEGINNING) for one in partitions])
            for _ in range(100):
                found += [one for one in consumer.consume(count, 0.2) if one.error() is None]
                if len({dict(one.headers() or ())["id"] for one in found}) >= count:
                    break
            return found
        finally:
            consumer.close()
