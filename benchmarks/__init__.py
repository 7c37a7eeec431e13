"""What gatepost costs and yields, measured against what people would write or install instead.

Rules:
* One file per question: `receiver`, `receiver_postgres`, `receiver_full`, `receiver_fleet`, `alarm_first`, `live`,
  `export`, `forward`, `forward_brokers`, `fleet`, `fleet_history`, `queries`, `console`, `logins`, `terminal_drain`,
  `terminal_record`, `terminal_flash`, `slow_link`, `cell`, `cell_images`, `cell_full`. Each has a function
  `run(bench) -> list[Row]` and a docstring whose first line is the question.
* A ratio is only worth something when both sides were measured in the same minute on the same machine. So the peer and
  ours take turns, in runs of a few seconds, and the medians are divided: a machine that slows down slows both.
* A peer is written as well as its users would write it, in `peers/`, and nothing of a peer is imported anywhere else.
* Every event is unique, also between runs, so that nobody is measured at recognising duplicates.
* A run in which anybody answered anything but success is an error, not a figure.
* Everything listens and connects on the loopback interface only, and ends by itself.

Run: `make bench`, or `python -m benchmarks receiver --seconds 2 --rounds 1 --dry` for a quick look that writes nothing.
"""
