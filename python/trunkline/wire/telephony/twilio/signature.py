"""Who signed a request of Twilio's: webhooks and the upgrade of media sockets ("Webhooks Security")."""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Final, Literal
from urllib.parse import parse_qsl

from trunkline.errors import InvalidConfig, SignatureInvalid

Algorithm = Literal["HMAC_SHA1", "HMAC_SHA256"]

_DIGESTS: Final[dict[Algorithm, str]] = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_SOCKET_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
# Addresses are cut with a pattern, not parsed and rebuilt: what is signed is the address as written.
_ADDRESS: Final = re.compile(
    r"(?P<scheme>[A-Za-z]+)://(?P<host>(?:[^/?#@]*@)?(?:\[[^\]/?#]*\]|[^/?#:@\[\]]+))(?::(?P<port>\d+))?(?P<rest>[/?].*)?",
    re.DOTALL,
)


def compute_signature(
    auth_token: str, url: str, params: Iterable[tuple[str, str]] = (), *, algorithm: Algorithm = "HMAC_SHA1"
) -> str:
    """The `X-Twilio-Signature` of a request (Twilio, "Webhooks Security").

    Args:
        auth_token: The secret: the account's auth token, or the shared key for HMAC_SHA256.
        url: The address as Twilio has it, with its query as written; a fragment is left out.
        params: The decoded fields of a form body, every one that came, names repeated where they were; nothing for other requests.
        algorithm: HMAC_SHA1 unless the account signs with a shared key.
    """
    values: dict[str, set[str]] = {}
    for name, value in params:
        values.setdefault(name, set()).add(value)
    fields = "".join(name + value for name in sorted(values) for value in sorted(values[name]))
    # A character that UTF-8 cannot hold never came from Twilio: whatever stands for it, the signature will not match.
    signed = (url.partition("#")[0] + fields).encode("utf-8", "replace")
    return b64encode(hmac.digest(auth_token.encode(), signed, _DIGESTS[algorithm])).decode("ascii")


class SignatureValidator:
    """Tells whether a request was signed by Twilio; the address is the public one, from configuration, never from `Host`.

    A signature holds no time, so a request can be sent again by whoever saw it: a media socket needs a single-use token as well.

    Args:
        auth_token: The account's auth token.
        shared_keys: Secrets by key id, for an account that signs with HMAC_SHA256. That algorithm is accepted for these keys alone, and
            only where the request's `X-Twilio-Webhooks-Signature-Settings` names one.

    Raises:
        InvalidConfig: A secret is empty.
    """

    def __init__(self, auth_token: str, *, shared_keys: Mapping[str, str] | None = None) -> None:
        if not auth_token:
            raise InvalidConfig("auth_token", "must not be empty")
        self._auth_token = auth_token
        self._shared_keys = dict(shared_keys or {})
        if not all(self._shared_keys.values()):
            raise InvalidConfig("shared_keys", "must not hold an empty secret")

    def verify_form(
        self, url: str, params: list[tuple[str, str]], signature: str | None, *, settings: str | None = None
    ) -> None:
        """Check a form POST.

        Args:
            url: The public address, with the query it was asked with.
            params: All decoded fields of the body, blank ones and unknown ones too.
            signature: The `X-Twilio-Signature` header, None if there was none.
            settings: The `X-Twilio-Webhooks-Signature-Settings` header, None if there was none.

        Raises:
            SignatureInvalid: It is missing, wrong, or of a kind that is not configured.
        """
        self._verify(_port_forms(url), params, signature, settings)

    def verify_get(self, url: str, signature: str | None, *, settings: str | None = None) -> None:
        """Check a GET, whose fields are in the query of `url`; otherwise as `verify_form`."""
        self._verify(_port_forms(url), [], signature, settings)

    def verify_json(self, url: str, body: bytes, signature: str | None, *, settings: str | None = None) -> None:
        """Check a JSON POST: the query of `url` holds `bodySHA256`, the hash of `body` as received; otherwise as `verify_form`."""
        self._verify(_port_forms(url), [], signature, settings)
        query = url.partition("#")[0].partition("?")[2]
        hashes = [value for name, value in parse_qsl(query, keep_blank_values=True) if name == "bodySHA256"]
        if len(hashes) != 1:
            raise SignatureInvalid("the address does not carry exactly one bodySHA256")
        if not _equal(hashes[0].lower(), hashlib.sha256(body).hexdigest()):
            raise SignatureInvalid("the body is not the one that was signed")

    def verify_upgrade(self, url: str, signature: str | None, *, settings: str | None = None) -> None:
        """Check the upgrade of a media socket: signed is the `wss` form of the Stream's url, with no fields.

        An address without a path may be signed with a slash at its end, and one whose path is a slash without it; otherwise as
        `verify_form`.
        """
        forms = [slashed for form in _port_forms(url) for slashed in _slash_forms(_socket_form(form))]
        self._verify(forms, [], signature, settings)

    def _verify(
        self, urls: list[str], params: list[tuple[str, str]], signature: str | None, settings: str | None
    ) -> None:
        if not signature:
            raise SignatureInvalid("the request is not signed")
        secret, algorithm = self._secret_for(settings)
        matches = [
            _equal(signature, compute_signature(secret, url, params, algorithm=algorithm)) for url in urls
        ]  # all of them, so that the time taken does not tell which form was near
        if not any(matches):
            raise SignatureInvalid("the signature does not match the request")

    def _secret_for(self, settings: str | None) -> tuple[str, Algorithm]:
        named = dict(part.strip().partition("=")[::2] for part in (settings or "").split(","))
        algorithm = named.get("algorithm", "HMAC_SHA1")
        if algorithm == "HMAC_SHA1":
            return self._auth_token, "HMAC_SHA1"
        if algorithm == "HMAC_SHA256":
            secret = self._shared_keys.get(named.get("key", ""))
            if secret is not None:
                return secret, "HMAC_SHA256"
            raise SignatureInvalid("the request names a shared key that is not configured")
        raise SignatureInvalid("the request names a signature algorithm that is not known")


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _port_forms(url: str) -> list[str]:
    """The address as configured, without its port, and with the default port of its scheme: proxies and Twilio disagree on it."""
    address = _ADDRESS.fullmatch(url.partition("#")[0])
    if address is None:
        raise SignatureInvalid("the address to check against is not an absolute one")
    scheme, host, rest = address["scheme"], address["host"], address["rest"] or ""
    forms = [address[0], f"{scheme}://{host}{rest}"]
    if scheme.lower() in _DEFAULT_PORTS:
        forms.append(f"{scheme}://{host}:{_DEFAULT_PORTS[scheme.lower()]}{rest}")
    return list(dict.fromkeys(forms))


def _socket_form(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{_SOCKET_SCHEMES.get(scheme.lower(), scheme)}://{rest}"


def _slash_forms(url: str) -> list[str]:
    start, _, path = url.partition("://")[2].partition("/")
    if path or "?" in start:
        return [url]
    bare = url.removesuffix("/")
    return [url, bare if url.endswith("/") else url + "/"]
