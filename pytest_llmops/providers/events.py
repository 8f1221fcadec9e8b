"""Read server-sent events out of bytes that come in any portions."""

from __future__ import annotations

import codecs


class EventReader:
    """Gather the data of events; what else they hold is passed over."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        """Portions of a line that goes on."""
        self._data: list[str] = []
        self._begun = False

    def feed(self, portion: bytes) -> list[str]:
        """Return the data of the events that `portion` completes.

        Raises:
            UnicodeDecodeError: a line is no UTF-8.
        """
        self._rest.append(portion)
        if b"\n" not in portion and b"\r" not in portion:
            return []
        lines = b"".join(self._rest).splitlines(keepends=True)
        # A carriage return at the end may be the half of a line end.
        self._rest = [] if not lines or lines[-1].endswith(b"\n") else [lines.pop()]
        return [event for line in lines for event in self._line(line)]

    def end(self) -> list[str]:
        """Return the data of the event that the end of the bytes completes, if any.

        Many servers leave out the empty line after the last one.

        Raises:
            UnicodeDecodeError: a line is no UTF-8.
        """
        rest, self._rest = b"".join(self._rest), []
        return [*self._line(rest), *self._line(b"")]

    def _line(self, line: bytes) -> list[str]:
        line = line.rstrip(b"\r\n")
        if not self._begun:
            self._begun, line = True, line.removeprefix(codecs.BOM_UTF8)
        if not line:
            data, self._data = self._data, []
            return ["\n".join(data)] if data else []
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" ").decode())
        return []
