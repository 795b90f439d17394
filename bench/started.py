"""One start in a process of its own: prints as JSON when it was ready and what memory it took.

python -m bench.started config.yaml     Tastemaker, with a store that is filled already
python -m bench.started store.db        the same items' bodies through orjson.loads, kept in a list
"""

import json
import sqlite3
import sys
from pathlib import Path
from time import time


def main() -> None:
    path = Path(sys.argv[1])
    from .rows import resident

    if path.suffix == ".db":
        import orjson

        before = resident()
        imported = time()
        with sqlite3.connect(path) as connection:
            items = [orjson.loads(body) for (body,) in connection.execute("SELECT body FROM items")]
        print(
            json.dumps(
                {"imported": imported, "ready": time(), "memory": resident() - before, "items": len(items)}
            )
        )
        return

    import asyncio

    from tastemaker.core.config import load
    from tastemaker.core.orchestrator import Orchestrator

    imported = time()

    async def start() -> None:
        settings = load(path)
        before = resident()
        async with Orchestrator(settings) as orchestrator:
            ready = time()
            items = sum(len(agent.catalog.snapshot()) for agent in orchestrator.agents.values())
            memory = resident() - before
        print(json.dumps({"imported": imported, "ready": ready, "memory": memory, "items": items}))

    asyncio.run(start())


if __name__ == "__main__":
    main()
