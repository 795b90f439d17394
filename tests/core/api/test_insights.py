"""What a policy learned about somebody comes with the answer to what they did, and decides again as it was logged."""

import json
from itertools import count

from tastemaker.core.config import load
from tastemaker.core.evaluation import compare
from tastemaker.core.store import Store
from tastemaker.plugins.personality import Drift

TRAITS = {"extraversion": {"ideal": {"energy": 0.9}}, "openness": {"likes": ["folk"], "dislikes": ["pop"]}}
PROFILE = {"traits": {"extraversion": 60, "openness": 40}}
CONFIG = f"""
version: 1
store: sqlite:///tracks.db
domains:
  tracks:
    items:
      fields: {{energy: number, genres: tags}}
    sources: [{{use: catalog.random, limit: 20}}]
    scorers:
      match: {{use: personality.match, words: genres, traits: &traits {json.dumps(TRAITS)}}}
    policies:
      drift: {{use: personality.drift, words: genres, rate: 3.0, reach: 50, traits: *traits}}
      taste: {{use: thompson.ranker, weight: 0.2}}
    rewards: {{like: 1.0, skip: -1.0, look: 0.0}}
    slate: {{size: 4}}
"""
TRACKS = [
    {"id": f"t{number}", "energy": number / 30, "genres": [("pop", "folk", "jazz")[number % 3]]}
    for number in range(30)
]


def test_insights_come_with_the_newest_interaction_of_a_user(make_api, tmp_path, monkeypatch):
    numbers = count()
    monkeypatch.setattr("tastemaker.core.orchestrator._slate_id", lambda now: f"slate-{next(numbers)}")
    # However busy the machine is.
    monkeypatch.setattr("tastemaker.core.recording._FOLD_SECONDS", 60.0)
    monkeypatch.setattr("tastemaker.core.agent.live_policy._MOMENT", 60.0)
    api = make_api(CONFIG, shelf=False)
    assert api.put("/v1/tracks/items", TRACKS).status_code == 200
    api.put("/v1/users/ann", PROFILE)
    insights = []
    for _ in range(8):
        slate = api.get("/v1/tracks/recommendations/ann").json()
        assert slate["degraded"] == []
        best = max(slate["items"], key=lambda shown: shown["item"]["energy"])
        did = {"domain": "tracks", "user": "ann", "slate": slate["slate"], "item": best["id"]}
        assert "insight" not in api.post("/v1/interactions", {**did, "kind": "hover"}).json()
        liked = {**did, "kind": "like", "id": f"like-{len(insights)}"}
        insights.append(api.post("/v1/interactions", liked).json().get("insight", ""))
        assert "insight" not in api.post("/v1/interactions", liked).json()  # a duplicate teaches nothing
        listed = [{**did, "kind": "like", "item": shown["id"]} for shown in slate["items"][:2]]
        first, _ = api.post("/v1/interactions", listed).json()["results"]
        assert "insight" not in first
    assert sum("extraversion by +" in said for said in insights) >= 4
    assert all(said.startswith("That moved your ") for said in insights if said)
    why = api.get(f"/v1/slates/{slate['slate']}/trace").json()
    assert why["tuned"]["drift"].startswith("took ")
    assert api.get("/v1/users/ann").json()["profile"] == PROFILE

    settings = load(tmp_path / "config.yaml")
    store = Store(settings.store.get_secret_value())
    try:
        untaught = Drift.model_validate({"traits": TRAITS, "words": "genres"}).state()
        found = compare(settings, store, "tracks", "drift", candidate=untaught)
    finally:
        store.close()
    assert (found.slates, found.replayed) == (8, 1.0)
