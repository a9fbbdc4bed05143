"""What people write where a secret would stand: references, placeholders, code, words for one, published defaults."""

from __future__ import annotations

from vantage_secrets.leaks.patterns import compiled

_INSTEAD = compiled(
    rb"""(?xi)
    # References to a variable, a template's hole, a store, a file.
    [$][A-Za-z_]\w*(?:\s|-?$) | [$]+[({]. | [$](?:env|this|_\w+|\w+)(?:->|\[|:) | \{\{ | \{[\w.:]*\}$ | \{[%#] | \{\.
    | <[%?]? [^>]*> | <\w+$ | %\w+%$ | %[sdvqr@]$ | %\( | @[\w.]+@$ | @\w+\[ | \#\{ | :\w+$ | !\w+(?:\s|$) | !\d[,;}]
    | &[a-z]+[;]?$ | \*[a-z_]+$ | \|[-+]?$ | >-?$ | [|&]{2} | __\w+__$
    | (?:enc|env|vault|secrets?|op|ssm|arn|file|https?|s3|gs|urn|ref\+?|keyvault|akv|kms|config|awssm|gcpsm|data|sm
        |keyring|pass|projects|mailto|ldaps?|process\.env|os\.(?:environ|getenv)|system\.getenv)[:\[({$/=].
    | \w+://
    # Hashes and public keys.
    | (?:bcrypt|argon2\w*|scrypt|pbkdf2\w*|sha(?:1|224|256|384|512)?|md5|ssha|crypt)[:\[({$/=].
    | [$](?:2[abxy]|5|6|1|y|7|apr1|argon2\w*|scrypt|pbkdf2[\w-]*|p|s)[$]
    | \{(?:s?sha\d*|s?md5|crypt|pbkdf2|argon2|bcrypt|scrypt|noop|pkcs5s2)[\w-]*\}
    | md5[0-9a-f]{32}$ | scram-sha- | \*[0-9a-f]{40}$ | (?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2|pk_(?:live|test)_|-----)
    # Code, types and patterns.
    | [a-z_][\w.]+\((?:.*\))?;?$ | [a-z_][\w.]*\[["'\w]*\]?$ | [a-z_]\w*(?:->|::|\?\.|\|\|)\w
    | (?:new|await|return|lambda|function|typeof|not|async|yield)\s | [a-z_]\w*=["'\w]*[>)]?$(?<=[>)]) | \?\w+$
    | (?:required|nullable|string|sometimes|confirmed|min|max)(?::\d+)?\| | [#.]?[a-z][a-z-]*\[ | \#\w*$
    | \\(?:x[0-9a-f]{2}|0\d\d|u[0-9a-f]{4}|e\[) | /[^/]*[\[({\\^$][^/]*/$ | \[[^\]]*\]$ | \([^)]*\)$
    # Masks, paths, file names, hosts, addresses of mail.
    | \?+$ | [*x.\-_#?=+~/0\\]+$
    | (?:[.~]{1,2}|[a-z]:)?[/\\](?:[\w\ .@+~-]+[/\\])*[\w\ .@+~*-]*$(?<![A-Za-z0-9+/]{20})
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|io|local|test|invalid|dev)$
    | [\w./-]+\.(?:py|go|js|ts|json|ya?ml|txt|pem|key|crt|cer|p12|pfx|jks|conf|cfg|ini|env|html?|php|java|md|xml|toml
        |sh|sock|db|log|csv|age|pub|asc|gpg|properties|svg|png|com|net|org|local|svc|internal|password|token|secret
        |value|data|text|key)$
    # Dates, versions, sizes, numbers.
    | \d{4}-\d\d-\d\d | [\^~>=<]{0,2}v?\d+(?:\.\d+)+(?:[-+][\w.]+)?$ | [-+]?0x[0-9a-f]{1,16}$
    | \d+(?:ms|[smhdw]|[kmg]i?b?|px|r?em|pt|%|deg)?$
    """
)
"""What begins, or is all of, a text that is no secret; tried at the value's start."""

_ANYWHERE = compiled(
    rb"""(?xi)
    placeholder | example | dummy | change[ _-]?(?:me|it|this|in) | redacted | your[ _-] | (?-i:[Yy]our[A-Z])
    | \*{3} | x{4} | \.{3} | \xe2\x80\xa6 | \xe2\x80\xa2
    | (?<![a-z0-9])(?:fake|mock|sample|insert|replace|todo|fixme|enter|some|any|undefined|lorem|foobar|not[_-]?set|unset
        |unused|goes|here|none|null|nil|true|false|xxx)(?![a-z0-9])
    | \$\{ | \{\{ | \}\} | %\(\w+\)s | \#\{ | \{\d\} | =\{ | (?<![A-Za-z0-9])(?-i:%[sdv])(?![A-Za-z0-9*$])
    | \(\? | \.[*+](?:$|\?|\)|\\) | \\[dwsb](?:[+*{\])]|$) | \[\^?[a-zA-Z0-9]-[a-zA-Z0-9]
    | </ | <br | /> | &(?:nbsp|lt|gt|amp|quot|hellip); | \w\(\) | ["']\s?\+\s | \+\s?["']
    | (.)\1{7} | 12345678 | abcdefgh | 01234567 | 0{6} | (?:\\x[0-9a-f]{2}.{0,3}){2}
    """
)
"""What no secret has anywhere in it: placeholders, templates, regular expressions, markup, sequences."""

_WORDS = frozenset(
    b"password passwd passwort passphrase passcode pass pwd pw secret secrets token tokens key keys apikey api_key"
    b" api-key credential credentials auth admin administrator root user username guest default test testing tests"
    b" tester foo bar baz qux quux foobar string str bytes int bool boolean none null nil undefined true false yes"
    b" no on off required optional empty value text hidden input type any object unknown void never public private"
    b" internal demo postgres postgresql mysql mariadb mongo mongodb redis rabbitmq kafka clickhouse elastic neo4j"
    b" oracle sa minio minioadmin minio123 changeit letmein hello world plain plaintext basic bearer digest oauth"
    b" oauth2 jwt saml ldap kerberos md5 sha sha1 sha256 sha512 sha-1 sha-256 sha-512 bcrypt scrypt argon2 argon2i"
    b" argon2id hmac aes aes256 aes-256-cbc aes-256-gcm rsa rsa256 ecdsa ed25519 hs256 hs384 hs512 rs256 es256"
    b" rs512 base64 base32 utf8 utf-8 ascii hex scram scram-sha-256 scram-sha-512 plugin manual auto random"
    b" generated generate generator env environment config current-password new-password one-time-code prompt ask"
    b" file stdin local remote dev development staging production prod qa ci build stage live sandbox login logout"
    b" sign signin signup register reset forgot email name mypassword mysecret mytoken my-password my-secret"
    b" my-token my_password my_secret secretpassword supersecret super-secret super_secret verysecret topsecret"
    b" top-secret s3cr3t s3cret secr3t p4ssw0rd passw0rd pa55word p@ssw0rd pa$$word p@ssword pass@word password!"
    b" abc abc123 abcd qwerty abcdef asdf asdfasdf foopass barpass testpass testpassword testuser testtoken"
    b" testsecret testkey userpass rootpass adminpass dbpass sekrit sekret hunter wrong invalid bad incorrect"
    b" correct valid good old new other another first second third alice bob x y z hush shared foobared tiger"
    b" rosebud swordfish please symbol identifier literal keyword operator punctuation eof newline whitespace"
    b" number float".split()
)
"""Words that stand for a password, that describe one, or that a product publishes as its default."""

_STEMS = frozenset(
    b"password passwd passwort pass pwd pw secret token key apikey admin administrator root user username guest"
    b" default test testing tester foo bar baz qux string value text demo hello world postgres mysql redis"
    b" mypassword mysecret mytoken my-secret secretpassword supersecret testpass testpassword changeit letmein abc"
    b" qwerty asdf dev dummy hunter".split()
)
"""Those that also mean nothing with some digits after them."""

_TAIL = compiled(rb"[\d!.]{1,4}$")


def is_word(value: bytes) -> bool:
    """Return whether ``value`` is a word for a secret or a published default, or such a word with up to four digits."""
    lowered = value.lower()
    return lowered in _WORDS or _TAIL.sub(b"", lowered) in _STEMS


def is_placeholder(value: bytes) -> bool:
    """Return whether ``value`` stands for a secret instead of being one: a reference, code, a mask, a word, a path."""
    return (
        _INSTEAD.match(value) is not None
        or _ANYWHERE.search(value) is not None
        or is_word(value.strip(b"[](){}<>,;"))
        or is_word(value)
        or len(set(value.lower())) < 4
    )
