import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from tests.receiver.kit import Answer, Running, alarm, base64, receiving, record

JPEG = base64(b"\xff\xd8face\xff\xd9")


def numbers(answer: Answer) -> dict[str, float]:
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        f"{sample.name}{{{','.join(f'{k}={v}' for k, v in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


async def fill(receiver: Running) -> None:
    await receiver.push(record(rgb_image=JPEG))
    await receiver.push(record(rgb_image=JPEG))
    await receiver.push(alarm())
    await receiver.push({"type": 9})
    await receiver.push(b"[]")
    await receiver.push(record(), headers={"Content-Type": "multipart/form-data"})
    await receiver.flush()


async def test_what_became_of_every_push_is_counted(receiver: Running) -> None:
    await fill(receiver)
    told = numbers(await receiver.get("/metrics"))
    assert told["gatepost_events_accepted_total{kind=record}"] == 1
    assert told["gatepost_events_accepted_total{kind=alarm}"] == 1
    assert told["gatepost_events_duplicate_total{}"] == 1
    assert told["gatepost_events_quarantined_total{}"] == 1
    assert told["gatepost_events_refused_total{reason=content type}"] == 1
    assert sum(v for k, v in told.items() if k.startswith("gatepost_events_refused_total")) == 2
    assert told["gatepost_commit_failed_events_total{}"] == 0
    assert told["gatepost_queue_events{}"] == 0


async def test_reply_times_are_a_histogram(receiver: Running) -> None:
    await fill(receiver)
    told = numbers(await receiver.get("/metrics"))
    counts = [value for name, value in told.items() if name.startswith("gatepost_reply_seconds_bucket")]
    assert counts == sorted(counts)
    assert told["gatepost_reply_seconds_bucket{le=+Inf}"] == told["gatepost_reply_seconds_count{}"] == 6
    assert told["gatepost_reply_seconds_sum{}"] > 0


async def test_commits_are_measured(receiver: Running) -> None:
    await fill(receiver)
    told = numbers(await receiver.get("/metrics"))
    assert told["gatepost_commit_events_sum{}"] == 4
    assert told["gatepost_commit_seconds_count{}"] == told["gatepost_commit_events_count{}"] >= 1
    assert 0 < told["gatepost_commit_seconds_sum{}"] < 60


async def test_each_terminal_has_its_state_and_its_lag(receiver: Running) -> None:
    await fill(receiver)
    told = numbers(await receiver.get("/metrics"))
    assert told["gatepost_terminals{presence=online}"] >= 1
    assert told["gatepost_terminals{presence=never}"] == 0
    assert told["gatepost_terminal_presence{terminal=SN-1}"] == 3
    assert told["gatepost_terminal_events_total{outcome=records,terminal=SN-1}"] == 1
    assert told["gatepost_terminal_events_total{outcome=duplicates,terminal=SN-1}"] == 1
    assert told["gatepost_terminal_lag_seconds{terminal=SN-1}"] > 0
    assert told["gatepost_terminal_last_seen_timestamp_seconds{terminal=SN-1}"] > 1_600_000_000
    assert told["gatepost_store_bytes{part=events}"] > 0
    assert told["gatepost_store_bytes{part=images}"] > 0


async def test_numbers_of_each_terminal_can_be_left_to_another_receiver(tmp_path: Path) -> None:
    async with receiving(tmp_path, metrics_per_terminal="off") as receiver:
        await fill(receiver)
        told = numbers(await receiver.get("/metrics"))
    assert told["gatepost_terminals{presence=online}"] >= 1
    assert not [name for name in told if name.startswith("gatepost_terminal_")]


async def test_no_number_is_labelled_with_a_person(receiver: Running) -> None:
    await fill(receiver)
    text = (await receiver.get("/metrics")).body.decode()
    assert "王" not in text
    assert "23385" not in text


async def test_two_receivers_of_one_process_do_not_count_each_others(tmp_path: Path) -> None:
    async with receiving(tmp_path / "one") as one, receiving(tmp_path / "two") as two:
        await one.push(record())
        assert numbers(await two.get("/metrics"))["gatepost_events_accepted_total{kind=record}"] == 0


async def test_names_follow_the_conventions(receiver: Running) -> None:
    text = (await receiver.get("/metrics")).body.decode()
    names = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    assert all(re.fullmatch(r"(gatepost|process)_[a-z_]+", name) for name in names)
    assert "process_resident_memory_bytes" in names


async def test_each_destination_has_its_ledger(receiver: Running) -> None:
    config = b'{"kind":"webhook","url":"https://localhost/"}'
    destinations = receiver.desk.destinations
    paused = destinations.create("HR", "webhook", config, b"{}", now_ms=0, paused=True)
    destinations.create(
        "again", "webhook", config, b"{}", now_ms=0, span=(0, 1), replay_of=paused.id, paused=True
    )
    await fill(receiver)
    told = numbers(await receiver.get("/metrics"))
    assert told["gatepost_forward_seen_total{destination=HR}"] == 2
    assert told["gatepost_forward_waiting{destination=HR}"] == 2
    assert told["gatepost_forward_lag_seconds{destination=HR}"] > 0
    assert told["gatepost_forward_up{destination=HR}"] == 0
    for part in ("filtered_total", "delivered_total", "dead", "dropped_total", "attempts_total"):
        assert told[f"gatepost_forward_{part}{{destination=HR}}"] == 0
    assert "destination=again" not in "".join(told)
