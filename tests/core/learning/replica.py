"""One of many processes on a store: python replica.py CONFIG NAME.

It makes slates and interactions until it is told otherwise, by lines on stdin: `save` and `promote` (policy taste),
`rest` (no more load), `reach POSITION` (prints the digest of every policy's state there), `end`.
"""

import asyncio
import json
import sys
from pathlib import Path

import anyio.to_thread
from tastemaker.core import Interaction, Request
from tastemaker.core.agent import state_digest
from tastemaker.core.config import load
from tastemaker.core.orchestrator import Orchestrator


async def main(config: str, name: str) -> None:
    settings = load(Path(config))
    async with Orchestrator(settings) as tastemaker:
        resting = asyncio.Event()
        load_task = asyncio.create_task(_load(tastemaker, name, resting))
        print("ready", flush=True)
        while True:
            order, _, rest = (await anyio.to_thread.run_sync(sys.stdin.readline)).strip().partition(" ")
            if order == "save":
                print(
                    await anyio.to_thread.run_sync(lambda: tastemaker.versions("books").save("taste").number)
                )
            elif order == "promote":
                found = await anyio.to_thread.run_sync(
                    lambda number: tastemaker.versions("books").promote("taste", number), int(rest)
                )
                print(found.position)
            elif order == "rest":
                resting.set()
                await load_task
                print(tastemaker.store.end())
            elif order == "reach":
                assert await tastemaker.learner.reached(int(rest), 60)
                policies = tastemaker.agents["books"].policies
                print(json.dumps({each: state_digest(policies[each].state()) for each in policies}))
            else:
                return
            sys.stdout.flush()


async def _load(tastemaker: Orchestrator, name: str, resting: asyncio.Event) -> None:
    number = 0
    while not resting.is_set():
        user = f"{name}{number % 7}"
        slate = await tastemaker.recommend("books", Request(user))
        item = slate.picks[number % len(slate.picks)].item
        kind = ("click", "buy", "skip")[number % 3]
        told = Interaction(f"{name}-{number}", "books", user, item, kind, tastemaker.clock(), slate=slate.id)
        await tastemaker.record([told])
        number += 1
        await asyncio.sleep(0.002)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
