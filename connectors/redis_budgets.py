"""Budgets that processes share through Redis, and what each knows of them itself, so that Redis may lose them."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from ..core import Claim

RESERVE = """
-- Spends under every key or under none. ARGV: cost, a name for this spending, who spends; then for each key:
--   kind 'count': a hash of what each process has spent; limit; milliseconds that it lives; the least that all have
--     spent, as the caller knows; 'process,spent;…' which it holds at least.
--   kind 'window': a set of spendings by time; limit; its milliseconds; the least that the caller itself has spent in
--     it; 'name,milliseconds ago,cost;…' which it holds too; the same of what others had spent, should it be lost.
-- Gives milliseconds to wait, 0 where it is spent, then what is spent under each key: numbers by process, or one.
-- A single -1 says that less is there than the caller knows: tell all of it.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local cost, name, who = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local wait, spent = 0, {}

local function add(key, member, at, paid)
  if redis.call('ZADD', key, 'NX', at, member .. ',' .. paid) == 1 then
    redis.call('INCRBY', key .. ':sum', paid)
  end
end

for i, key in ipairs(KEYS) do
  local at = 6 * i - 2
  local kind, limit, span = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local known, told, lost = tonumber(ARGV[at + 3]), ARGV[at + 4], ARGV[at + 5]
  if kind == 'count' then
    for process, total in string.gmatch(told, '([^,;]+),([^,;]+)') do
      if tonumber(redis.call('HGET', key, process) or '0') < tonumber(total) then
        redis.call('HSET', key, process, total)
        redis.call('PEXPIRE', key, span)
      end
    end
    spent[i] = 0
    for _, total in ipairs(redis.call('HVALS', key)) do spent[i] = spent[i] + tonumber(total) end
    if spent[i] < known then return {-1} end
    if spent[i] + cost > limit then wait = math.max(wait, span) end
  else
    if redis.call('EXISTS', key) == 0 then told = told .. ';' .. lost end
    for member, ago, paid in string.gmatch(told, '([^,;]+),([^,;]+),([^,;]+)') do
      add(key, member, now - tonumber(ago), paid)
    end
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', now - span)) do
      redis.call('ZREM', key, member)
      redis.call('DECRBY', key .. ':sum', string.match(member, ',([^,]+)$'))
    end
    spent[i] = tonumber(redis.call('GET', key .. ':sum') or '0')
    if spent[i] < known then return {-1} end
    redis.call('PEXPIRE', key, span)
    redis.call('PEXPIRE', key .. ':sum', span)
    local over = spent[i] + cost - limit
    if over > 0 then
      local free = span
      local members = redis.call('ZRANGE', key, 0, math.min(over, 1000), 'WITHSCORES')
      for j = 1, #members, 2 do
        over = over - tonumber(string.match(members[j], ',([^,]+)$'))
        if over <= 0 then free = tonumber(members[j + 1]) + span - now break end
      end
      wait = math.max(wait, free, 1)
    end
  end
end

local answer = {wait}
for i, key in ipairs(KEYS) do
  local at = 6 * i - 2
  local pay = wait == 0 and cost > 0
  if ARGV[at] == 'count' then
    if pay then
      redis.call('HINCRBY', key, who, cost)
      redis.call('PEXPIRE', key, ARGV[at + 2])
    end
    answer[i + 1] = redis.call('HGETALL', key)
  else
    if pay then
      add(key, name, now, cost)
      redis.call('PEXPIRE', key, ARGV[at + 2])
      redis.call('PEXPIRE', key .. ':sum', ARGV[at + 2])
    end
    answer[i + 1] = tonumber(redis.call('GET', key .. ':sum') or '0')
  end
end
return answer
"""


class Tab:
    """What one process knows of what is spent under one key.

    A count is kept by process: each number only grows, so that what two know can be put together by the larger of
    each. Of a window a process keeps its own spendings, by name, time and cost, to tell them again.
    """

    __slots__ = (
        "_alone", "_at", "_base", "_by_process", "_heard", "_held", "_known", "_own", "_since", "_told", "claim", "who",
    )  # fmt: skip

    def __init__(self, claim: Claim, who: str) -> None:
        self.claim, self.who = claim, who
        self._by_process = {who: 0}
        self._own: deque[tuple[str, float, int]] = deque()
        self._known, self._at = 0, 0.0
        self._alone = 0
        self._told = True
        self._heard = False
        # While others may have spent what nobody was told: what was known of when that began, and spent here since.
        self._held: float | None = None
        self._base, self._since = 0, 0

    @property
    def heard_of(self) -> bool:
        """Whether Redis has ever said what is spent."""
        return self._heard

    def spent(self, now: float) -> int:
        """What all have spent, as far as is known here."""
        if not self.claim.seconds:
            return sum(self._by_process.values())
        self._age(now)
        return max(self._known + self._alone, sum(paid for _, _, paid in self._own))

    def hold(self, now: float) -> None:
        """From here on others may spend what isn't told: what this process may spend is a share of what is left now."""
        if self._held is None and self._heard:
            self._held, self._base, self._since = now, self.spent(now), 0

    def settle(self) -> None:
        """All have told what they spent."""
        self._held = None

    def affords(self, cost: int, share: float, now: float) -> bool:
        """Whether a cost is within the share of what was left when it was held; never where Redis wasn't heard."""
        if self._held is None:
            return False
        if self.claim.seconds and now - self._held >= self.claim.seconds:
            self._held, self._base = now, 0
            self._since = sum(paid for _, _, paid in self._own)
        return self._since + cost <= int(share * max(0, self.claim.limit - self._base))

    def spend(self, name: str, cost: int, now: float) -> None:
        """Note what was spent without Redis."""
        self._alone += cost
        self._since += cost
        if self.claim.seconds:
            self._own.append((name, now, cost))
            self._told = False
        else:
            self._by_process[self.who] += cost

    def arguments(self, claim: Claim, now: float, *, everything: bool) -> list[Any]:
        """What the script is told of it."""
        if not claim.seconds:
            numbers = self._by_process if everything else {self.who: self._by_process[self.who]}
            told = ";".join(f"{who},{spent}" for who, spent in numbers.items() if spent)
            return ["count", claim.limit, max(1, int((claim.until - now) * 1000)), self.spent(now), told, ""]
        self._age(now)
        own = ";".join(f"{name},{(now - at) * 1000:.0f},{paid}" for name, at, paid in self._own)
        others = self._known - sum(paid for _, at, paid in self._own if at <= self._at)
        lost = f"lost,{(now - self._at) * 1000:.0f},{others}" if others > 0 else ""
        everything = everything or not self._told
        # Those that Redis may just have let go don't count: its clock is another.
        sure = sum(paid for _, at, paid in self._own if at > now - claim.seconds * 0.9)
        at_least, told = (0, own) if everything else (sure, "")
        return ["window", claim.limit, int(claim.seconds * 1000), at_least, told, f"{own};{lost}"]

    def heard(self, spent: Any, now: float, name: str, cost: int) -> None:
        """Take in what the script said; `cost`: what was spent by it."""
        self._alone, self._told, self._heard = 0, True, True
        self._since += cost
        if not self.claim.seconds:
            for who, total in _pairs(spent):
                self._by_process[who] = max(total, self._by_process.get(who, 0))
            return
        self._known, self._at = int(spent), now
        if cost:
            self._own.append((name, now, cost))

    def _age(self, now: float) -> None:
        begin = now - self.claim.seconds
        while self._own and self._own[0][1] <= begin:
            self._own.popleft()
        if self._at <= begin:
            self._known = 0
        if self._told is False:
            self._alone = min(self._alone, sum(paid for _, _, paid in self._own))


def _pairs(flat: Any) -> list[tuple[str, int]]:
    """Fields and numbers of a hash as a script gives it: a list, or with RESP3 perhaps a mapping."""
    if isinstance(flat, dict):
        pairs: Sequence[tuple[Any, Any]] = list(flat.items())
    else:
        pairs = list(zip(flat[::2], flat[1::2], strict=True))
    return [(name.decode() if isinstance(name, bytes) else str(name), int(total)) for name, total in pairs]
