"""A load of HTTP requests from one thread, light enough to leave the cores to the service that it measures."""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Load:
    """What came of a number of requests over some connections kept open.

    Attributes:
        seconds: from the first request to the last answer.
        latencies: seconds of each, in the order of their ends.
        answers: status and body of each.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def run(url: str, requests: list[tuple[str, str, Any, dict[str, str]]], connections: int = 16) -> Load:
    """Returns what came of requests (method, path, JSON body or None, headers), each connection one after the other."""
    load, queue = Load(), iter(requests)

    async def all_of_them() -> None:
        started = time.perf_counter()
        await asyncio.gather(*(_connection(url, queue, load) for _ in range(connections)))
        load.seconds = time.perf_counter() - started

    asyncio.run(all_of_them())
    return load


async def _connection(url: str, queue: Iterator[tuple[str, str, Any, dict[str, str]]], load: Load) -> None:
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    for method, path, body, headers in queue:
        started = time.perf_counter()
        content = b"" if body is None else json.dumps(body).encode()
        lines = {
            "Host": where.netloc,
            "Content-Length": str(len(content)),
            "Content-Type": "application/json",
            **headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content)
        status, answer = await _answer(reader)
        load.latencies.append(time.perf_counter() - started)
        load.answers.append((status, answer))
    writer.close()
    await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    names = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    if names.get("transfer-encoding") == "chunked":
        parts = []
        while size := int(await reader.readline(), 16):
            parts.append(await reader.readexactly(size))
            await reader.readline()
        await reader.readline()
        body = b"".join(parts)
    else:
        body = await reader.readexactly(int(names.get("content-length", "0")))
    return int(head[0].split()[1]), body
