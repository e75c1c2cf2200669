"""`python -m tests.bench.soak.watched FILE`: the gateway, which on SIGUSR1 writes the number of its tasks to FILE."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from gateway.__main__ import main


def tell(file: Path) -> None:
    """Rename at the end: who waits for the file must not see half of it."""
    begun = file.with_suffix(".begun")
    begun.write_text(str(len(asyncio.all_tasks())))
    begun.rename(file)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, lambda *_: tell(Path(sys.argv[1])))
    sys.exit(main())
