"""What the name of a variable, key or option says about its value: a password, another secret, or neither."""

from __future__ import annotations

from functools import lru_cache

from vantage_secrets.leaks.patterns import compiled

_WORD = compiled(rb"[A-Z]{2,}s?(?![a-z])|[A-Z]?[a-z]+|[A-Z]")

_PASSWORD = frozenset(
    b"password passwd passwort passphrase passcode pwd pswd psw passwrd pass pw senha contrasena kennwort"
    b" wachtwoord motdepasse".split()
)
_PASSWORD_ENDINGS = (b"password", b"passwd", b"passphrase", b"pwd", b"pass", b"passcode")
_NO_PASSWORD = frozenset(
    b"bypass compass trespass encompass surpass onepass lastpass keepass multipass allpass lowpass highpass"
    b" bandpass minipass saltedpassword subpass renderpass singlepass firstpass prepass getpass sshpass passpass"
    b" oldpass underpass overpass".split()
)
_SECRET = frozenset(b"secret token apikey credential credentials creds bearer jwt secretkey accesskey".split())
_SECRET_ENDINGS = (b"secret", b"token", b"apikey", b"secretkey", b"accesskey", b"privatekey", b"authkey")
_KEY_OWNERS = frozenset(
    b"api access secret private auth app application encryption encrypt signing sign master account storage admin"
    b" license licence service crypto cipher aes hmac session cookie jwt shared webhook integration write security"
    b" consumer server deploy ingest ingestion personal project subscription function functions host vault"
    b" registration decryption hash authentication authorization instrumentation data site team org platform".split()
)
"""What stands before ``key`` where a key is a secret, unlike in ``sort_key`` or ``public_key``."""

_SALT_OWNERS = frozenset(b"auth secure logged in nonce password security secret app hash".split())
"""A salt that guards a whole installation is a secret; that of one password is not."""

_NO_SECRET = frozenset(
    b"url uri urls path paths file filename files dir directory folder name names type types length len size min"
    b" max minimum maximum field fields label placeholder hint policy prompt message msg error errors title text"
    b" description desc help version count expiry expires expiration expired ttl timeout age ref reference regex"
    b" regexp pattern format encoding algorithm alg hash hashed hashes digest header headers prefix suffix class"
    b" selector input form validator validation strength reset change changed manager provider store endpoint host"
    b" port enabled required source mode method column index env var variable id ids status state lifetime interval"
    b" duration rotation generator generate rule rules check checker checked confirmation arn link button icon"
    b" parser lexer stream list map set cache handler callback func function fn factory service api params param"
    b" attribute attr property schema model view page template tmpl scope scopes audience issuer limit limits"
    b" bucket budget usage used price cost position offset pos start end idx line kind info meta metadata test"
    b" tests spec optional req nullable invalid valid mismatch missing incorrect wrong changer encoder encryptor"
    b" hasher rounds iterations complexity history mount volume namespace group role user username email login"
    b" account owner grant exchange authority loader reader getter accessor plugin driver engine backend protocol"
    b" protected visible visibility autocomplete mask masked char chars character characters show hide toggle"
    b" dialog modal screen component element node expression ast operator literal identifier bits certificate cert"
    b" digits fingerprint thumbprint checksum sha md5 tag annotation mgr challenge context arg args separator"
    b" delimiter through thru expected actual wanted".split()
)
"""Words after the keyword, or ending the name, that make it tell of a secret rather than hold one."""

_NO_SECRET_BEFORE = frozenset(
    b"has is was have no non without forgot forgotten reset change invalid wrong missing require requires required"
    b" requiring enable disable min max minimum maximum validate validates verify verifies check checks get gets"
    b" fetch find lookup read parse load list delete remove clear revoke ask prompt show hide toggle hash hashed"
    b" encrypt decrypt encode decode make can should must csrf xsrf authenticity forgery antiforgery verification"
    b" next page pagination continuation continue cancel cancellation sort primary foreign public partition cache"
    b" eos bos pad unk sep mask cls start end begin generate first last previous prev peek string word keyword lex"
    b" lexer syntax design punctuation operator comment text close open left right skip expect match special label"
    b" sync resume cursor delta watch etag dedup idempotency stop paren brace bracket comma colon semicolon".split()
)


@lru_cache(maxsize=4096)
def kind_of(name: bytes) -> str:
    """Return ``password``, ``secret`` or, where the name says neither, an empty text.

    Args:
        name: As it stands there, such as ``DB_PASSWORD``, ``apiKey`` or ``spring.mail.password``.
    """
    words = [word.lower() for word in _WORD.findall(name)]
    for position in range(len(words) - 1, -1, -1):
        kind = _kind_at(words, position)
        if kind:
            after = words[position + 1 :]
            before = words[:position]
            refused = any(word in _NO_SECRET for word in after) or any(word in _NO_SECRET_BEFORE for word in before)
            return "" if refused else kind
    return ""


def _kind_at(words: list[bytes], position: int) -> str:
    word = words[position]
    if word == b"pass":
        # In code it is a verb and a stage far more often, so it must end the name.
        return "password" if position == len(words) - 1 or words[position + 1] in (b"word", b"phrase", b"code") else ""
    if word in _PASSWORD or (word.endswith(_PASSWORD_ENDINGS) and word not in _NO_PASSWORD):
        return "password"
    if word in _SECRET or word.endswith(_SECRET_ENDINGS):
        return "secret"
    before = words[position - 1] if position else b""
    if word == b"key" and before in _KEY_OWNERS:
        return "secret"
    if word == b"salt" and before in _SALT_OWNERS:
        return "secret"
    return ""
