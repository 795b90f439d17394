"""A server in a process of its own: python program.py CONFIG PORT WORKERS [HOST]."""

import sys
from pathlib import Path

from tastemaker.core import TastemakerError
from tastemaker.core.api.serving import serve
from tastemaker.core.config import load

if __name__ == "__main__":
    _, config, port, workers, *host = sys.argv
    try:
        serve(
            load(Path(config)),
            host[0] if host else None,
            int(port),
            int(workers),
            announce=lambda text: print(text, flush=True),
        )
    except TastemakerError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
