#!/usr/bin/env python3
"""Times docs2queries against a server that answers each request after 100 ms, however many come at once.

With 64 requests in flight, no client can do more than 640 a second. The figures are how near docs2queries comes to that,
with every reply on disk before it is used, and how much memory it takes.
"""
import asyncio
import json
import pathlib
import statistics
import sys
import tempfile
import time

import measure

REPLY = json.dumps({
    "id": "x", "object": "chat.completion", "created": 1, "model": "bench",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": json.dumps(
        {"queries": [f"what does number {n} of the bench say about latency?" for n in range(5)]})}}],
    "usage": {"prompt_tokens": 600, "completion_tokens": 80, "total_tokens": 680},
}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(REPLY), REPLY)


class Connection(asyncio.Protocol):
    """Reads one request after another, and answers each when the latency has passed."""

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


async def time_run(options, folder, number):
    """Runs docs2queries once; gives requests a second, from the first to the last, and the peak memory in MB."""
    times = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(times, options.latency), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    command = [options.bin / "docs2queries", "--llm", "bench", "--base-url", f"http://127.0.0.1:{port}/v1", "-n", "5"]
    command += ["--concurrency", str(options.concurrency), "--journal", f"{folder}/journal{number}"]
    command += [f"{folder}/corpus.jsonl", "-o", f"{folder}/pairs.jsonl"]
    ran = await asyncio.to_thread(measure.run, *command, env={"OPENAI_API_KEY": "sk-bench", "NO_PROXY": "127.0.0.1"})
    server.close()
    if len(times) != options.documents:
        sys.exit(f"bench: {len(times)} requests for {options.documents} documents:\n{ran.stderr}")
    return len(times) / (times[-1] - times[0] + options.latency), ran.peak_mb


def main():
    parser = measure.parser(__doc__, "bin", "rounds")
    parser.add_argument("--documents", type=int, default=4000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds")
    options = parser.parse_args()
    # Not in /tmp, which may be in memory: replies go to a disk.
    with tempfile.TemporaryDirectory(dir=".") as folder:
        text = "The tenant pays the rent on the first day of each month, without any deduction. " * 20
        lines = (json.dumps({"_id": f"d{n}", "text": f"Document {n}. {text}"}) for n in range(options.documents))
        pathlib.Path(folder, "corpus.jsonl").write_text("\n".join(lines))
        results = [asyncio.run(time_run(options, folder, number)) for number in range(options.rounds)]
    rate = statistics.median(rate for rate, _ in results)
    most = options.concurrency / options.latency
    print(f"docs2queries, {options.concurrency} in flight, {options.latency * 1000:.0f} ms each, median of {options.rounds}: "
          f"{rate:.0f} requests/s of {most:.0f}, peak memory {max(memory for _, memory in results):.0f} MB")


if __name__ == "__main__":
    main()
