"""The real spotipy against a local Spotify, through the settings that a user has."""

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from starlette.applications import Starlette
from tastemaker.core import (
    Budget,
    ConnectorError,
    Exhausted,
    Garbage,
    Invalid,
    Missing,
    Refused,
    ServiceError,
    Throttled,
    Unavailable,
    Unreachable,
)

pytest.importorskip("spotipy", reason="needs the extra 'spotify'")

from tastemaker.connectors.spotify import Listener, Spotify
from tastemaker.connectors.spotify_objects import FEATURES

from ..fakes.faults import Fault
from ..fakes.serving import serve
from ..fakes.spotify import spotify_app
from ..fakes.spotify_judge import SPEC, complaints, needs_description

T = TypeVar("T")
SECRET = "app-secret-3f9a"


class Stand:
    """A local Spotify and a connector to it."""

    def __init__(self, app: Starlette, url: str) -> None:
        self.app, self.url = app, url
        self.fake = app.state.spotify
        self.catalogue = self.fake.catalogue

    def connector(self, **options: Any) -> Spotify:
        given = {
            "client_id": "app",
            "client_secret": SECRET,
            "api_url": f"{self.url}/v1",
            "accounts_url": self.url,
            "market": "DE",
            "retries": 0,
        }
        return Spotify.model_validate({**given, **options})

    def asked(self, path: str = "") -> list[str]:
        return [f"{each.path}" for each in self.app.state.requests if each.path.startswith(path)]

    def listener(self, user: str = "ann", *scopes: str) -> Listener:
        return Listener(user, self.fake.accounts.user_token(user, *scopes))

    def fault(self, path: str = "/v1", **what: Any) -> None:
        self.app.state.faults.append(Fault(path, **{"times": -1, **what}))


@pytest.fixture(scope="module", params=["development", "extended"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Starlette, str]]:
    app = spotify_app(request.param)
    with serve(app) as url:
        yield app, url
    if SPEC.exists():
        assert complaints(app.state.answers, extended=request.param == "extended") == []


@pytest.fixture
def either(served: tuple[Starlette, str]) -> Stand:
    """A local Spotify as it is to an app of either kind."""
    app, url = served
    app.state.requests.clear()
    return Stand(app, url)


def stand(profile: Any) -> Iterator[Stand]:
    app = spotify_app(profile)
    with serve(app) as url:
        yield Stand(app, url)
    if SPEC.exists():
        assert complaints(app.state.answers, extended=profile == "extended") == []


@pytest.fixture
def development() -> Iterator[Stand]:
    yield from stand("development")


@pytest.fixture
def extended() -> Iterator[Stand]:
    yield from stand("extended")


def run(spotify: Spotify, ask: Callable[[Spotify], Awaitable[T]]) -> T:
    async def asked() -> T:
        try:
            return await ask(spotify)
        finally:
            await spotify.close()

    return asyncio.run(asked())


def failure(spotify: Spotify, ask: Callable[[Spotify], Awaitable[Any]]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        run(spotify, ask)
    return caught.value


def test_there_is_a_description_to_judge_by() -> None:
    needs_description()


def test_a_search_goes_through_real_pages(either: Stand) -> None:
    found = run(either.connector(), lambda spotify: spotify.search("genre:jazz", limit=35))
    assert [each["id"] for each in found] == [track.id for track in either.catalogue.of_genre("jazz")[:35]]
    asked = [each.query for each in either.app.state.requests if each.path == "/v1/search"]
    assert sorted((int(each["offset"]), each["limit"], each["market"]) for each in asked) == [
        (0, "10", "DE"),
        (10, "10", "DE"),
        (20, "10", "DE"),
        (30, "10", "DE"),
    ]


def test_a_track_is_a_raw_item(either: Stand) -> None:
    track = either.catalogue.of_genre("soul")[3]
    found = run(either.connector(), lambda spotify: spotify.track(track.id))
    assert found == {
        "id": track.id,
        "title": track.name,
        "artist": track.artists[0].name,
        "artist_id": track.artists[0].id,
        "artists": [artist.name for artist in track.artists],
        "album": track.album.name,
        "album_id": track.album.id,
        "released": track.album.released,
        "duration_ms": track.duration_ms,
        "explicit": track.explicit,
        "isrc": track.isrc,
        "popularity": track.popularity if either.fake.extended else None,
        "url": f"https://open.spotify.com/track/{track.id}",
        "image": f"https://i.scdn.example/image/{track.album.id}",
    }


def test_filters_that_spotify_documents(either: Stand) -> None:
    artist = next(iter(either.catalogue.artists.values()))

    async def ask(spotify: Spotify) -> Any:
        return await asyncio.gather(
            spotify.search(f'artist:"{artist.name}"', limit=10),
            spotify.search("genre:metal year:1980-1999", limit=10),
            spotify.search("tag:hipster", "album", limit=20),
            spotify.search(artist.name, "artist"),
            spotify.search("tag:hipster", "track"),
        )

    by_artist, by_year, hipster, artists, nothing = run(either.connector(), ask)
    assert {track["artist"] for track in by_artist} >= {artist.name}
    assert all("1980" <= track["released"][:4] <= "1999" for track in by_year)
    assert len(by_year) == 10
    assert len(hipster) == 20
    assert max(either.catalogue.albums[album["id"]].popularity for album in hipster) < 30
    assert artist.name in [each["name"] for each in artists]
    assert nothing == []


def test_albums_and_their_tracks(either: Stand) -> None:
    artist = next(each for each in either.catalogue.artists.values() if len(each.albums) == 5)

    async def ask(spotify: Spotify) -> Any:
        albums = await spotify.artist_albums(artist.id)
        return albums, await spotify.album_tracks(albums[0]), await spotify.album(albums[0]["id"])

    albums, tracks, album = run(either.connector(), ask)
    assert [each["id"] for each in albums] == [each.id for each in artist.albums]
    assert [each["id"] for each in tracks] == [each.id for each in artist.albums[0].tracks]
    assert tracks[0]["album"] == albums[0]["name"] == album["name"]
    assert tracks[0]["released"] == artist.albums[0].released
    assert tracks[0]["isrc"] is None


def test_what_a_person_hears(either: Stand) -> None:
    ann = either.fake.people["ann"]
    listener = either.listener()

    async def ask(spotify: Spotify) -> Any:
        return await asyncio.gather(
            spotify.top_tracks(listener, period="short_term"),
            spotify.top_artists(listener, limit=10),
            spotify.saved_tracks(listener, limit=120),
            spotify.recently_played(listener),
            spotify.followed_artists(listener),
            spotify.playlists(listener),
            spotify.playlist_items(listener, next(iter(ann.playlists)), limit=70),
        )

    top, artists, saved, played, followed, playlists, items = run(either.connector(), ask)
    assert [each["id"] for each in top] == [track.id for track in ann.top_tracks["short_term"][:50]]
    assert [each["name"] for each in artists] == [each.name for each in ann.top_artists["medium_term"][:10]]
    assert [each["id"] for each in saved] == [track.id for track, _ in ann.saved[:120]]
    assert [each["id"] for each in played] == [track.id for track, _ in ann.played[:50]]
    assert played[0]["at"] == pytest.approx(ann.since - ann.played[0][1], abs=1)
    assert [each["id"] for each in followed] == [artist.id for artist in ann.followed]
    assert [each["title"] for each in playlists] == ["Sundays", "On the road"]
    assert [each["size"] for each in playlists] == [70, 70]
    assert len({each["id"] for each in items}) == 70


def test_a_new_listener_has_nothing_yet(either: Stand) -> None:
    listener = either.listener("new")

    async def ask(spotify: Spotify) -> Any:
        return await asyncio.gather(
            spotify.top_tracks(listener),
            spotify.recently_played(listener),
            spotify.followed_artists(listener),
        )

    assert run(either.connector(), ask) == [[], [], []]


def test_somebody_elses_playlist_is_refused_and_nobody_is_blamed_for_it(either: Stand) -> None:
    of_bob = next(iter(either.fake.people["bob"].playlists))
    listener = either.listener()

    async def ask(spotify: Spotify) -> Any:
        for _ in range(6):
            with pytest.raises(Refused, match="403"):
                await spotify.playlist_items(listener, of_bob)
        return await spotify.denied(), await spotify.top_tracks(listener)

    denied, top = run(either.connector(), ask)
    assert denied == {}
    assert top


def test_a_missing_scope_is_refused(either: Stand) -> None:
    listener = either.listener("ann", "user-library-read")
    problem = failure(either.connector(), lambda spotify: spotify.top_tracks(listener))
    assert isinstance(problem, Refused)
    assert "Insufficient client scope" in str(problem)


def test_what_does_not_exist_is_missing_and_asked_for_once(either: Stand) -> None:
    async def ask(spotify: Spotify) -> None:
        for _ in range(3):
            with pytest.raises(Missing):
                await spotify.track("0" * 22)

    run(either.connector(), ask)
    assert len(either.asked("/v1/tracks")) == 1


def test_several_tracks_in_whatever_way_the_app_may(either: Stand) -> None:
    ids = [track.id for track in either.catalogue.of_genre("folk")[:12]]

    async def ask(spotify: Spotify) -> Any:
        first = await spotify.refresh([*ids, "0" * 22])
        await spotify.refresh(ids[:5])  # not from the cache
        return first, await spotify.denied()

    (found, denied) = run(either.connector(ask_features=False), ask)
    assert [each and each["id"] for each in found] == [*ids, None]
    asked = either.asked("/v1/tracks")
    if either.fake.extended:
        assert asked == ["/v1/tracks/"] * 2
        assert denied == {}
    else:
        assert asked.count("/v1/tracks/") == 1  # noticed once, and not tried again
        assert len(asked) == 1 + 13 + 5
        assert list(denied) == ["several_tracks"]


def test_a_track_that_a_market_has_under_another_id_is_not_taken_for_gone(either: Stand) -> None:
    first, second, other = (track.id for track in either.catalogue.of_genre("folk")[:3])
    either.fake.relinked[second] = other

    async def ask(spotify: Spotify) -> Any:
        return await spotify.refresh([first, second]), await spotify.track(second)

    try:
        refreshed, single = run(either.connector(), ask)
    finally:
        either.fake.relinked.clear()
    assert [each and each["id"] for each in refreshed] == [first, second]
    assert single["id"] == second
    assert single["url"].endswith(other)


def test_what_one_account_is_told_is_not_told_another_under_the_same_name(either: Stand) -> None:
    """Somebody may come with another token than the last time."""
    anns, bobs = either.listener("ann"), either.listener("bob")

    async def ask(spotify: Spotify) -> Any:
        one, other = Listener("ann", anns.token), Listener("ann", bobs.token)
        found = [await spotify.top_tracks(each) for each in (one, other, one)]
        return found, [await spotify.top_tracks(each) for each in (anns, bobs)]

    found, right = run(either.connector(), ask)
    assert found == [right[0], right[1], right[0]]
    assert right[0] != right[1]
    assert len(either.asked("/v1/me/top")) == 3


def test_a_refresh_takes_nothing_for_gone_that_could_not_be_asked_for(development: Stand) -> None:
    first, second, third = (track.id for track in development.catalogue.of_genre("folk")[:3])
    broken = [Fault(f"/v1/tracks/{identity}", status=500, times=-1) for identity in (first, second, third)]

    async def ask(spotify: Spotify) -> Any:
        development.app.state.faults.append(broken[1])
        some = await spotify.refresh([first, second, third, "0" * 22])
        development.app.state.faults[:] = broken
        with pytest.raises(Unreachable, match="500"):
            await spotify.refresh([first, second, third])
        development.app.state.faults.clear()
        return some

    found = run(development.connector(), ask)
    assert [found[0]["id"], found[2]["id"]] == [first, third]
    assert isinstance(found[1], Unreachable)
    assert found[3] is None


def test_a_refresh_brings_the_features_that_spotify_gives_and_takes_the_others_away(either: Stand) -> None:
    identity = either.catalogue.of_genre("folk")[0].id

    async def ask(spotify: Spotify) -> Any:
        if either.fake.extended:
            known = await spotify.audio_features([identity])
            (found,) = await spotify.refresh([identity])
            assert isinstance(found, dict)
            assert {name: found[name] for name in FEATURES} == known[identity]
            either.app.state.faults.append(Fault("/v1/audio-features", status=500))
        (found,) = await spotify.refresh([identity])
        assert isinstance(found, dict)
        return found

    found = run(either.connector(), ask)
    assert found["title"]
    assert {found[name] for name in FEATURES} == {None}
    mine = run(either.connector(ask_features=False), ask) if not either.fake.extended else {}
    assert "energy" not in mine


def test_best_known_tracks_of_an_artist_in_whatever_way_the_app_may(either: Stand) -> None:
    artist = either.catalogue.of_genre("house")[0].artists[0]
    found = run(
        either.connector(), lambda spotify: spotify.artist_top_tracks({"id": artist.id, "name": artist.name})
    )
    assert found
    assert all(artist.name in track["artists"] for track in found)


def test_new_albums_in_whatever_way_the_app_may(either: Stand) -> None:
    run(either.connector(), lambda spotify: spotify.new_releases())
    if either.fake.extended:
        assert either.asked("/v1/search") == []
    else:
        assert either.asked("/v1/search") == ["/v1/search"]


def test_apps_in_development_mode_are_noticed_and_left_alone_for_a_day(development: Stand) -> None:
    now = [1_700_000_000.0]
    spotify = development.connector()
    spotify._bind(spotify.memory, lambda: now[0], "spotify")

    async def ask(spotify: Spotify) -> None:
        for _ in range(3):
            with pytest.raises(Unavailable):
                await spotify.recommendations(genres=["jazz"])
            with pytest.raises(Unavailable):
                await spotify.audio_features(["0" * 22])
        assert sorted(await spotify.denied()) == ["audio_features", "recommendations"]
        assert (development.asked("/v1/rec"), development.asked("/v1/aud")) == (
            ["/v1/recommendations"],
            ["/v1/audio-features"],
        )
        now[0] += 86_401
        assert await spotify.denied() == {}
        with pytest.raises(Unavailable):
            await spotify.recommendations(genres=["jazz"])
        assert len(development.asked("/v1/rec")) == 2

    run(spotify, ask)


def test_apps_with_extended_quota_get_recommendations_within_bounds(extended: Stand) -> None:
    async def ask(spotify: Spotify) -> Any:
        found = await spotify.recommendations(
            genres=["techno"], limit=40, ranges={"min_energy": 0.7, "max_energy": 0.9, "target_valence": 0.3}
        )
        return found, await spotify.audio_features([track["id"] for track in found])

    found, features = run(extended.connector(), ask)
    assert 10 <= len(found) <= 40
    assert set(features) == {track["id"] for track in found}
    assert all(0.7 <= features[track["id"]]["energy"] <= 0.9 for track in found)
    assert {"danceability", "tempo", "valence"} <= set(features[found[0]["id"]])


@pytest.mark.parametrize(
    "case",
    json.loads((SPEC.parent / "examples" / "observed-errors.json").read_text())["spotify"]
    if SPEC.exists()
    else [],
    ids=lambda case: case["when"][:40],
)
def test_every_refusal_that_was_seen(development: Stand, case: dict[str, Any]) -> None:
    body = b"" if case["body"] is None else json.dumps(case["body"]).encode()
    headers = {"Retry-After": "7200"} if "headers" in case else {}
    wanted = {400: Invalid, 401: Refused, 403: Refused, 404: Missing, 429: Throttled}[case["status"]]
    if "QUOTA_EXCEEDED" in body.decode():
        wanted = Exhausted
    if "token endpoint" in case["when"]:
        development.fault("/api/token", status=400, body=body)
        problem = failure(development.connector(), lambda spotify: spotify.search("jazz"))
        assert isinstance(problem, Refused)
        return
    development.fault("/v1", status=case["status"], body=body, headers=headers)
    problem = failure(development.connector(), lambda spotify: spotify.artist("0" * 22))
    assert isinstance(problem, wanted)
    spotify = development.connector()
    withheld = failure(spotify, lambda spotify: spotify.recommendations(genres=["jazz"]))
    assert isinstance(withheld, Unavailable if case["status"] in (403, 404) else wanted)


def test_the_app_without_premium_says_so_in_plain_words(development: Stand) -> None:
    development.fake.accounts.apps["app"].premium = False
    problem = failure(development.connector(), lambda spotify: spotify.search("jazz"))
    assert isinstance(problem, Refused)
    assert "Active premium subscription required" in str(problem)
    assert "premium" in str(asyncio.run(development.connector().health()))


def test_that_text_may_come_without_any_json(development: Stand) -> None:
    development.fault(status=403, body=b"Active premium subscription required for the owner of the app.")
    problem = failure(development.connector(), lambda spotify: spotify.search("jazz"))
    assert isinstance(problem, Refused)
    assert "Active premium" in str(problem)


def test_a_long_retry_after_is_put_off_not_slept(development: Stand) -> None:
    development.fake.rate, development.fake.retry_after = 0, 86_400

    async def ask(spotify: Spotify) -> tuple[ServiceError, ServiceError]:
        with pytest.raises(Throttled) as first:
            await spotify.search("jazz")
        with pytest.raises(Throttled) as second:
            await spotify.search("soul")
        return first.value, second.value

    spotify = development.connector(retries=3)
    first, second = asyncio.run(asyncio.wait_for(ask(spotify), 20))
    assert isinstance(first, Throttled)
    assert first.after == 86_400
    assert "put off" in str(second)
    assert development.asked("/v1") == ["/v1/search"]


def test_a_short_retry_after_is_waited_for(development: Stand) -> None:
    development.fault(times=1, status=429, headers={"Retry-After": "0"}, body=b"{}")
    assert run(development.connector(retries=1), lambda spotify: spotify.search("genre:jazz"))
    assert len(development.asked("/v1")) == 2


def test_a_spent_quota_is_left_alone_until_the_next_day(development: Stand) -> None:
    development.fake.quota = 1

    async def ask(spotify: Spotify) -> ServiceError:
        assert await spotify.search("genre:jazz")
        with pytest.raises(Exhausted):
            await spotify.search("genre:soul")
        with pytest.raises(Exhausted) as again:
            await spotify.search("genre:folk")
        return again.value

    problem = run(development.connector(retries=3), ask)
    assert isinstance(problem, Exhausted)
    assert problem.until is not None
    assert problem.until % 86_400 == 0
    assert len(development.asked("/v1")) == 2


def test_our_own_budget_is_never_overdrawn(development: Stand) -> None:
    async def ask(spotify: Spotify) -> list[Any]:
        searches = [spotify.search(f"genre:jazz {number}") for number in range(30)]
        return await asyncio.gather(*searches, return_exceptions=True)

    answers = run(development.connector(budgets={"api": Budget(limit=12, per=30)}), ask)
    assert len(development.asked("/v1")) == 12
    assert sum(isinstance(answer, Exhausted) for answer in answers) == 18


def test_an_app_token_that_ends_is_fetched_anew(development: Stand) -> None:
    async def ask(spotify: Spotify) -> None:
        await spotify.search("genre:jazz")
        await spotify.search("genre:soul")
        assert len(development.asked("/api/token")) == 1
        development.fake.accounts.advance(3601)
        found = await asyncio.gather(
            *(spotify.search(f"genre:{each}") for each in ("folk", "metal", "pop", "punk"))
        )
        assert all(found)
        assert len(development.asked("/api/token")) == 2

    run(development.connector(), ask)


def test_a_users_token_that_ended_is_refused_and_the_app_goes_on(development: Stand) -> None:
    listener = development.listener()
    development.fake.accounts.advance(3601)

    async def ask(spotify: Spotify) -> None:
        for _ in range(7):
            with pytest.raises(Refused, match="expired"):
                await spotify.top_tracks(listener)
        assert await spotify.search("genre:jazz")

    run(development.connector(), ask)


def test_wrong_credentials_are_refused(development: Stand) -> None:
    problem = failure(
        development.connector(client_secret="wrong-secret-77"), lambda spotify: spotify.search("jazz")
    )
    assert isinstance(problem, Refused)
    assert "invalid_client" in str(problem)
    assert "wrong-secret-77" not in str(problem)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b"<html>maintenance</html>", Garbage),
        (b"", Garbage),
        (b"[]", Garbage),
        (b"{}", Garbage),
        (b'{"tracks": {"items": 7}}', Garbage),
        (b'{"tracks": {"items": [7]}}', Garbage),
        (b'{"tracks": {"items": [{"id": "x"}]}}', Garbage),
        (b'{"tracks": null}', Garbage),
        (b"\xff\xfe\x00", Garbage),
    ],
)
def test_garbage_is_called_so_and_never_kept(
    development: Stand, body: bytes, wanted: type[ServiceError]
) -> None:
    development.fault(garbage=body, times=1)

    async def ask(spotify: Spotify) -> list[Any]:
        with pytest.raises(wanted):
            await spotify.search("genre:jazz")
        return await spotify.search("genre:jazz")

    assert len(run(development.connector(), ask)) == 10


def test_a_word_instead_of_an_error_object(development: Stand) -> None:
    """spotipy itself falls over this one."""
    development.fault(status=400, body=b'{"error": "invalid_client"}')
    assert type(failure(development.connector(), lambda spotify: spotify.search("jazz"))) is Refused


@pytest.mark.parametrize(
    "what", [{"drop": True}, {"status": 503, "body": b"{}"}, {"delay": 30.0}, {"status": 502}]
)
def test_what_gives_no_answer_is_unreachable(development: Stand, what: dict[str, Any]) -> None:
    development.fault(**what)
    spotify = development.connector(timeout_seconds=0.4 if "delay" in what else 30.0)
    assert type(failure(spotify, lambda spotify: spotify.search("jazz"))) is Unreachable


def test_a_dropped_connection_is_tried_again(development: Stand) -> None:
    development.fault(drop=True, times=1)
    assert run(development.connector(retries=1), lambda spotify: spotify.search("genre:jazz"))


def test_an_accounts_service_that_hangs_or_lies(development: Stand) -> None:
    for what, wanted in (
        ({"delay": 30.0}, Unreachable),
        ({"status": 503}, Unreachable),
        ({"garbage": b"oops"}, Garbage),
        ({"garbage": b"{}"}, Garbage),
        ({"status": 429, "headers": {"Retry-After": "999"}}, Throttled),
    ):
        development.app.state.faults.clear()
        development.fault("/api/token", **what)
        spotify = development.connector(timeout_seconds=0.3 if "delay" in what else 30.0)
        assert type(failure(spotify, lambda spotify: spotify.search("jazz"))) is wanted
    assert development.asked("/v1") == []


def test_nobody_is_followed_to_another_host(development: Stand, strays: list[str]) -> None:
    """Neither by the `next` of a page, nor by a redirect; the token stays where it belongs."""
    thief = spotify_app()
    with serve(thief) as elsewhere:
        page = {
            "items": [],
            "next": f"{elsewhere}/v1/search?offset=10",
            "total": 500,
            "limit": 10,
            "offset": 0,
        }
        page["items"] = [{**_raw_track(development), "href": f"{elsewhere}/v1/tracks/x"}] * 10
        development.fault(garbage=json.dumps({"tracks": page}).encode(), times=2)
        assert len(run(development.connector(), lambda spotify: spotify.search("jazz", limit=20))) == 20
        development.app.state.faults.clear()
        development.fault(status=302, headers={"Location": f"{elsewhere}/v1/search"})
        assert type(failure(development.connector(), lambda spotify: spotify.search("jazz"))) is Garbage
        listener = development.listener()
        development.app.state.faults.clear()
        cursor = {"items": [], "next": f"{elsewhere}/v1/me/following", "cursors": {"after": "x"}, "total": 9}
        development.fault("/v1/me/following", garbage=json.dumps({"artists": cursor}).encode())
        assert run(development.connector(), lambda spotify: spotify.followed_artists(listener)) == []
    assert thief.state.requests == []
    assert strays == []


def _raw_track(development: Stand) -> dict[str, Any]:
    from ..fakes.spotify_shapes import Shapes

    return Shapes(development.url, False).track(next(iter(development.catalogue.tracks.values())))


def test_a_cursor_that_does_not_move_ends_the_reading(development: Stand) -> None:
    artist = {"id": "a", "name": "A", "type": "artist"}
    page = {"items": [artist], "next": "x", "cursors": {"after": "a"}, "total": 9}
    development.fault("/v1/me/following", garbage=json.dumps({"artists": page}).encode())
    listener = development.listener()
    found = run(development.connector(), lambda spotify: spotify.followed_artists(listener, limit=500))
    assert len(found) == 2


def test_no_secret_is_logged_or_written(
    development: Stand, caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listener = development.listener()
    with caplog.at_level(logging.DEBUG):

        async def ask(spotify: Spotify) -> Any:
            await spotify.search("genre:jazz")
            await spotify.top_tracks(listener)
            development.fault(status=500, body=b"{}")
            with pytest.raises(ServiceError) as caught:
                await spotify.search("genre:soul")
            return caught.value, repr(spotify), spotify.model_dump_json()

        problem, *shown = run(development.connector(), ask)
    granted = [*development.fake.accounts.access, SECRET]
    assert len(granted) == 3
    written = "\n".join([caplog.text, str(problem), repr(problem), repr(listener), *shown])
    assert written
    assert [secret for secret in granted if secret in written] == []
    assert os.listdir(tmp_path) == []


def test_answers_are_kept_and_one_question_is_asked_once(development: Stand) -> None:
    async def ask(spotify: Spotify) -> None:
        await asyncio.gather(*(spotify.search("Genre:JAZZ  ") for _ in range(50)))
        await spotify.search("genre:jazz")
        assert development.asked("/v1") == ["/v1/search"]

    run(development.connector(), ask)


def test_what_one_person_hears_is_never_told_to_another(development: Stand) -> None:
    ann, bob = development.listener("ann"), development.listener("bob")

    async def ask(spotify: Spotify) -> Any:
        first = await asyncio.gather(*(spotify.top_tracks(each) for each in (ann, bob) * 8))
        await spotify.forget("ann")
        return first, await spotify.top_tracks(ann)

    first, again = run(development.connector(), ask)
    for number, found in enumerate(first):
        person = development.fake.people["bob" if number % 2 else "ann"]
        assert [each["id"] for each in found] == [each.id for each in person.top_tracks["medium_term"][:50]]
    assert again == first[0]
    assert len(development.asked("/v1/me/top/tracks")) == 3


def test_without_keys_it_is_not_configured() -> None:
    assert not Spotify().configured
    assert not Spotify(client_id="x").configured
    assert Spotify.model_validate({"client_id": "x", "client_secret": "y"}).configured


@pytest.mark.parametrize("uri", ["http://localhost:8000/cb", "http://example.org/cb", "ftp://127.0.0.1/", ""])
def test_only_redirect_uris_that_spotify_takes(uri: str) -> None:
    with pytest.raises(ValueError, match="redirect_uri"):
        Spotify(redirect_uri=uri)


def test_its_terms() -> None:
    spotify = Spotify()
    assert (spotify.terms.keep_days, spotify.terms.trainable) == (1.0, False)
    assert spotify.terms.withholds("title")
    assert spotify.terms.withholds("energy")
    assert not spotify.terms.withholds("rating")
    assert not Spotify(ask_features=False).terms.withholds("energy")
    assert not Spotify(trainable=True).terms.withholds("title")


def test_without_spotipy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tastemaker.connectors.spotify_client", None)
    with pytest.raises(ConnectorError, match=r"pip install 'tastemaker\[spotify\]'"):
        Spotify().open()
