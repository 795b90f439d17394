"""A server in a process of its own; prints its port once it can be reached.

    python -m bench.server CORE config.yaml     Tastemaker, as `tastemaker serve` runs it
    python -m bench.server CORE answers.json    a bare FastAPI application that gives those answers

answers.json: by domain, the document that each of its requests is answered with.
"""

import os
import re
import socket
import sys
from pathlib import Path

import orjson
import uvicorn
from fastapi import FastAPI, Response


def bare(answers: Path) -> FastAPI:
    documents = orjson.loads(answers.read_bytes())
    app = FastAPI()

    @app.get("/v1/{domain}/recommendations/{user}")
    async def recommend(domain: str, user: str) -> Response:
        return Response(orjson.dumps(documents[domain]), media_type="application/json")

    return app


def main() -> None:
    core, file = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    path = Path(file)
    if path.suffix == ".json":
        listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(bare(path), log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listener])
        return
    from tastemaker.core.api.serving import serve
    from tastemaker.core.config import load

    serve(load(path), port=0, announce=_announce)


def _announce(welcome: str) -> None:
    found = re.search(r"http://127\.0\.0\.1:(\d+)", welcome)
    assert found is not None
    print(found[1], flush=True)


if __name__ == "__main__":
    main()
