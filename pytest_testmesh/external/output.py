"""Keeps the last part of what a plugin prints, so that a report can show what one step caused."""

from __future__ import annotations

import os
import select
import selectors
import threading
from collections.abc import Sequence

KEPT_BYTES = 64 * 1024
_PIPE_BYTES = 1024 * 1024  # the largest pipe that Linux gives to an ordinary user


class OutputTail:
    """The end of a stream of bytes, in bounded memory; positions count from the stream's start."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._data = bytearray()
        self._dropped = 0
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """Add *data*; the oldest bytes go once twice the limit is held."""
        with self._lock:
            self._data += data
            excess = len(self._data) - self._kept_bytes
            # Moving the kept part only once in a while keeps the cost of a byte constant.
            if excess > self._kept_bytes:
                del self._data[:excess]
                self._dropped += excess

    @property
    def position(self) -> int:
        """How many bytes were written so far."""
        with self._lock:
            return self._dropped + len(self._data)

    def since(self, position: int) -> str:
        """Return what was written after *position*, at most the kept part, and say what is missing.

        Bytes that are not UTF-8 are shown as ``\\xNN``.
        """
        with self._lock:
            end = self._dropped + len(self._data)
            if position >= end:
                return ""
            begin = max(position, self._dropped, end - self._kept_bytes)
            text = self._data[begin - self._dropped :].decode(errors="backslashreplace")
        lost = begin - position
        return f"[{lost} bytes of earlier output left out]\n{text}" if lost > 0 else text

    def last_lines(self, count: int, since: int = 0) -> list[str]:
        """Return the last *count* lines after position *since* that are not blank."""
        lines = [line.rstrip() for line in self.since(since).splitlines() if line.strip()]
        return lines[-count:]


class OutputPipes:
    """Pipes for one process to print into, drained into tails so that it never blocks on a full one."""

    def __init__(self, tails: Sequence[OutputTail], name: str) -> None:
        self._lock = threading.Lock()
        self._closed = False
        pairs = [os.pipe() for _ in tails]
        self._wake_read, self._wake_write = os.pipe()
        self._tails = {read_end: tail for (read_end, _), tail in zip(pairs, tails, strict=True)}
        self.write_ends = [write_end for _, write_end in pairs]
        self._poll = select.poll()
        for read_end in self._tails:
            os.set_blocking(read_end, False)
            self._poll.register(read_end, select.POLLIN)
        self._thread = threading.Thread(target=self._drain, name=f"testmesh-output-{name}", daemon=True)
        self._thread.start()

    def close_write_ends(self) -> None:
        """Leave the writing to the process, once it has the pipes: they end when it does."""
        while self.write_ends:
            os.close(self.write_ends.pop())

    def collect(self) -> None:
        """Take over what was printed up to now, without waiting for the thread."""
        with self._lock:
            if not self._closed:
                for read_end, _ in self._poll.poll(0):
                    self._read(read_end)

    def close(self) -> None:
        """Take over the rest and close the pipes, also when some process still holds their other end."""
        self.collect()
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self.close_write_ends()
        os.write(self._wake_write, b"x")
        self._thread.join()
        for descriptor in (*self._tails, self._wake_read, self._wake_write):
            os.close(descriptor)

    def _drain(self) -> None:
        with selectors.DefaultSelector() as selector:
            for descriptor in (*self._tails, self._wake_read):
                selector.register(descriptor, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    with self._lock:
                        if self._closed:
                            return
                        if not self._read(key.fd):
                            selector.unregister(key.fd)

    def _read(self, read_end: int) -> bool:
        """Move what one pipe holds into its tail; False once the pipe has ended."""
        try:
            data = os.read(read_end, _PIPE_BYTES)
        except BlockingIOError:
            return True
        self._tails[read_end].write(data)
        return bool(data)
