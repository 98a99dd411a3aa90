#!/usr/bin/env python3
"""Times docs2queries against a server of its own that answers each request after 100 ms, as many as come at once.

With 64 in flight, no client can do more than 640 requests a second: the figure is how near docs2queries comes to that,
with every reply on disk before it is used, and how much memory it takes.
"""
import argparse
import asyncio
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

REPLY = json.dumps({
    "id": "x", "object": "chat.completion", "created": 1, "model": "bench",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": json.dumps(
        {"queries": [f"what does number {n} of the bench say about latency?" for n in range(5)]})}}],
    "usage": {"prompt_tokens": 600, "completion_tokens": 80, "total_tokens": 680},
}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(REPLY), REPLY)


class Connection(asyncio.Protocol):
    """Reads one request after the other; answers each when the latency is over."""

    def __init__(self, times, latency):
        self.times, self.latency, self.buffer = times, latency, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        head, ended, body = self.buffer.partition(b"\r\n\r\n")
        if not ended:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            self.buffer = body[length:]
            self.times.append(time.perf_counter())
            asyncio.get_running_loop().call_later(self.latency, self.transport.write, ANSWER)


async def measure(options, folder, number):
    """One run; gives requests a second from the first to the last, and the peak memory in MB."""
    times = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(times, options.latency), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    command = [f"{options.bin}/docs2queries", "--llm", "bench", "--base-url", f"http://127.0.0.1:{port}/v1", "-n", "5"]
    command += ["--concurrency", str(options.concurrency), "--journal", f"{folder}/journal{number}"]
    command += [f"{folder}/corpus.jsonl", "-o", f"{folder}/pairs.jsonl"]
    with tempfile.TemporaryFile("w+") as error:
        process = subprocess.Popen(command, stderr=error, env={"OPENAI_API_KEY": "sk-bench"})
        _, status, usage = await loop.run_in_executor(None, os.wait4, process.pid, 0)
        error.seek(0)
        if status or len(times) != options.documents:
            sys.exit(f"bench: {' '.join(command)}: {len(times)} requests:\n{error.read()}")
    server.close()
    return len(times) / (times[-1] - times[0] + options.latency), usage.ru_maxrss / 1024


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--bin", required=True, help="folder of the filters")
parser.add_argument("--documents", type=int, default=4000)
parser.add_argument("--concurrency", type=int, default=64)
parser.add_argument("--latency", type=float, default=0.1, help="seconds")
parser.add_argument("--rounds", type=int, default=3)
options = parser.parse_args()

with tempfile.TemporaryDirectory(dir=".") as folder:
    text = "The tenant pays the rent on the first day of each month, without any deduction. " * 20
    lines = (json.dumps({"_id": f"d{n}", "text": f"Document {n}. {text}"}) for n in range(options.documents))
    pathlib.Path(folder, "corpus.jsonl").write_text("\n".join(lines))
    results = [asyncio.run(measure(options, folder, number)) for number in range(options.rounds)]

rate = statistics.median(rate for rate, _ in results)
most = options.concurrency / options.latency
print(f"docs2queries, {options.concurrency} in flight, {options.latency * 1000:.0f} ms each, median of {options.rounds}: "
      f"{rate:.0f} requests/s of {most:.0f}, peak memory {max(memory for _, memory in results):.0f} MB")
