"""spotipy, kept on a short lead: one request a call, to the configured hosts only, with its true status.

Its own sessions sleep for as long as a Retry-After says, its paging follows any URL that a body carries, and its
token managers write files. Here each thread has a plain session that can reach the given hosts and nothing else, and
tokens live in memory.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter
from spotipy import Spotify
from spotipy.cache_handler import MemoryCacheHandler
from spotipy.oauth2 import SpotifyClientCredentials, SpotifyPKCE

from ..core import Garbage

T = TypeVar("T")

# It writes tokens into the log, and a line for each refusal: what there is to say, a ServiceError says.
logging.getLogger("spotipy").setLevel(logging.CRITICAL)


class Answered(Exception):
    """Spotify refused a request.

    status: of HTTP. reason: Spotify's own word for it, empty where it gives none. after: the Retry-After, in seconds.
    """

    def __init__(self, status: int, reason: str, after: float | None, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.reason = reason
        self.after = after


@dataclass(frozen=True)
class Addresses:
    """Where Spotify is: the Web API with its `/v1`, and the accounts service."""

    api: str
    accounts: str


class SpotifyClient:
    """Makes requests in whatever thread asks, with the app's token or somebody else's."""

    def __init__(self, addresses: Addresses, client_id: str, secret: str, timeout: float) -> None:
        self._addresses = addresses
        self._client_id = client_id
        self._timeout = timeout
        self._threads = threading.local()
        self._fetching = threading.Lock()
        self._app = SpotifyClientCredentials(
            client_id=client_id,
            client_secret=secret,
            requests_session=self._session(),
            requests_timeout=timeout,
            cache_handler=MemoryCacheHandler(),
        )
        self._app.OAUTH_TOKEN_URL = f"{addresses.accounts.rstrip('/')}/api/token"

    def request(self, ask: Callable[[Spotify], T], token: str = "") -> T:
        """What one request of spotipy gives, with the app's own token where none is given.

        Where the app's token ended before its time, it is made once more with a new one. Raises Answered for a
        refusal, OSError where no answer came, Garbage for one that can't be read.
        """
        if token:
            return self._asked(ask, token)
        own = _raising(self._app_token)
        try:
            return self._asked(ask, own)
        except Answered as refusal:
            if refusal.status != 401:
                raise
        return self._asked(ask, _raising(lambda: self._app_token(instead_of=own)))

    def _asked(self, ask: Callable[[Spotify], T], token: str) -> T:
        client = self._client()
        client.set_auth(token)
        found = _raising(lambda: ask(client))
        if found is None:
            raise Garbage("the answer is no JSON")
        return found

    def login(self, redirect_uri: str, scopes: str, state: str) -> tuple[str, str]:
        """The page where a person consents, and the verifier that belongs to it (RFC 7636)."""
        flow = self._pkce(redirect_uri, scopes)
        return flow.get_authorize_url(state), str(flow.code_verifier)

    def tokens_for_code(self, redirect_uri: str, code: str, verifier: str) -> Mapping[str, Any]:
        """The tokens that a code stands for. Raises Answered."""
        flow = self._pkce(redirect_uri, "")
        flow.code_verifier, flow.code_challenge = verifier, "sent before"
        _raising(lambda: flow.get_access_token(code, check_cache=False))
        found: Mapping[str, Any] = flow.cache_handler.get_cached_token()
        return found

    def refreshed(self, refresh_token: str) -> Mapping[str, Any]:
        """New tokens; where the refresh token is another one, the old one is void. Raises Answered."""
        flow = self._pkce("http://127.0.0.1", "")
        found: Mapping[str, Any] = _raising(lambda: flow.refresh_access_token(refresh_token))
        return found

    def _app_token(self, instead_of: str = "") -> str:
        """The app's token, fetched once for all threads; `instead_of`: one that was refused."""
        if not self._fetching.acquire(timeout=self._timeout):
            raise TimeoutError("no token was given in time")
        try:
            token = str(self._app.get_access_token(as_dict=False))
            if token == instead_of:
                token = str(self._app.get_access_token(as_dict=False, check_cache=False))
            return token
        finally:
            self._fetching.release()

    def _client(self) -> Spotify:
        """The client of the thread that asks."""
        client: Spotify | None = getattr(self._threads, "client", None)
        if client is None:
            client = Spotify(requests_session=self._session(), requests_timeout=self._timeout)
            client.prefix = f"{self._addresses.api.rstrip('/')}/"
            self._threads.client = client
        return client

    def _pkce(self, redirect_uri: str, scopes: str) -> SpotifyPKCE:
        flow = SpotifyPKCE(
            client_id=self._client_id,
            redirect_uri=redirect_uri,
            scope=scopes or None,
            requests_session=self._session(),
            requests_timeout=self._timeout,
            open_browser=False,
            cache_handler=MemoryCacheHandler(),
        )
        root = self._addresses.accounts.rstrip("/")
        flow.OAUTH_AUTHORIZE_URL, flow.OAUTH_TOKEN_URL = f"{root}/authorize", f"{root}/api/token"
        return flow

    def _session(self) -> requests.Session:
        """A session without retries and redirects, which reaches the configured hosts only."""
        session = requests.Session()
        session.trust_env = False  # a .netrc would replace the token
        session.max_redirects = 0
        session.adapters.clear()
        for address in (self._addresses.api, self._addresses.accounts):
            session.mount(f"{address.rstrip('/')}/", HTTPAdapter(max_retries=0))
        return session


def _raising(ask: Callable[[], T]) -> T:
    """What a call of spotipy gives. Raises Answered, OSError or Garbage, whatever spotipy and requests raise."""
    try:
        return ask()
    except Exception as error:
        raise _answered(error) or _unanswered(error) from None


def _unanswered(error: Exception) -> Exception:
    match error:
        case requests.Timeout():
            return TimeoutError("no answer in time")
        case requests.exceptions.InvalidSchema() | requests.TooManyRedirects():
            return Garbage("it leads to a host that the config doesn't name")
        case requests.exceptions.InvalidJSONError() | requests.exceptions.ContentDecodingError():
            return Garbage("the answer can't be read")
        case requests.RequestException():
            return ConnectionError(type(error).__name__)
        case OSError():
            return error
    return Garbage(f"{type(error).__name__}: {error}")


def _answered(error: BaseException) -> Answered | None:
    """The refusal behind an exception of spotipy's; None where there was no answer that refuses.

    What spotipy raises loses the status at times, and at times is an AttributeError of its own. What requests raised
    before holds the answer.
    """
    for cause in _chain(error):
        response = getattr(cause, "response", None)
        if isinstance(cause, requests.HTTPError) and response is not None:
            said = _details(response)
            reason, text = str(said.get("reason") or ""), str(said.get("message") or "")
            return Answered(
                response.status_code, reason, _after(response), text or str(response.reason or "")
            )
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _details(response: requests.Response) -> Mapping[str, Any]:
    """The `error` of the body: the Web API writes an object, the accounts service a word and a description."""
    try:
        body = response.json()
    except ValueError:
        return {"message": response.text[:200]}
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        return error
    if isinstance(error, str):
        return {"reason": error, "message": f"{error}: {body.get('error_description') or ''}".rstrip(": ")}
    return {}


def _after(response: requests.Response) -> float | None:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        return None
