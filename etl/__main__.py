"""The start of the command: Ctrl-C is one message and one exit code from here on, whatever a library makes of it."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading

INTERRUPTED = 130


def main() -> None:
    """Runs `profilemill` and ends the process with its exit code."""
    pressed: list[int] = []

    def note(number: int, frame: object) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    def unraisable(what: sys.UnraisableHookArgs) -> None:
        """An interrupt that came while a library's finalizer ran is lost there: it is given again."""
        if pressed and isinstance(what.exc_value, KeyboardInterrupt):
            threading.Timer(0.05, _thread.interrupt_main).start()
        else:
            sys.__unraisablehook__(what)

    signal.signal(signal.SIGINT, note)
    sys.unraisablehook = unraisable
    code = INTERRUPTED
    try:
        # Loaded here: the libraries behind it take a second, in which Ctrl-C may come too.
        from etl.cli import main as run

        code = run()
    except BaseException:
        # DuckDB and others turn an interrupt into errors of their own.
        if not pressed:
            raise
    if pressed or code == INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stderr.write("error: interrupted; nothing half-done counts, run again to go on\n")
        sys.stdout.flush()
        sys.stderr.flush()
        # Not sys.exit: Python ends by the signal itself where an interrupt passed through an import.
        os._exit(INTERRUPTED)
    sys.exit(code)


if __name__ == "__main__":
    main()
