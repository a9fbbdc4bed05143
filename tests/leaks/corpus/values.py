"""Secrets as people choose them and as generators draw them, and the names that they are given."""

from __future__ import annotations

import random
import string

from vantage_secrets.leaks.examples import expand

_WORDS = (  # noqa: SIM905
    "summer winter autumn spring tiger dragon monkey falcon eagle panther wizard hammer rocket thunder silver"
    " golden purple orange yellow banana coffee cookie pepper ginger basil cheese butter river forest mountain"
    " ocean island desert garden castle tower bridge harbor market village london berlin madrid vienna oslo"
    " denver dallas austin phoenix jordan marley jasper oliver harper sophie hannah peter martin guitar violin"
    " piano drummer soccer hockey tennis runner skater cyclist penguin badger otter walrus turtle rabbit"
    " hamster kitten puppy shadow midnight sunrise sunset rainbow snowflake blizzard comet galaxy saturn"
    " jupiter mercury neptune apollo gemini orion pegasus unicorn phantom spartan viking knight archer ranger"
    " cowboy outlaw"
).split()
_LEET = str.maketrans("aeiost", "4310$7")
_MARKS = "!#$%&*+-.?@^_~"
_CALM_MARKS = "!%*+-.?^_~"
"""Marks that need no quotes in an environment, YAML or properties file."""


def _names(listed: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(name.split()) for name in listed.split("; "))


PASSWORD_NAMES = _names(
    "password; db password; database password; admin password; smtp password; mysql root password; redis "
    "password; user password; db pass; root pass; keystore password; ftp passwd; ldap bind password; "
    "service account password; root pwd; mail passwd; portal password; backup passphrase; default user "
    "password; sa password; sftp password; proxy pass; ssh passphrase; vpn password; replication "
    "password; app password; mongo password; grafana admin password; basic auth password; jenkins "
    "password; passwd; pwd; gpg passphrase; truststore password; postgres password; rabbitmq pass; "
    "initial password; new password; old password; reporting db password; warehouse passwd; oracle pwd; "
    "elastic password; svc pwd; kafka password; login password"
)
SECRET_NAMES = _names(
    "api key; secret key; client secret; auth token; access token; webhook secret; jwt secret; session "
    "secret; encryption key; signing key; payment secret key; refresh token; bot token; deploy token; "
    "service token; shared secret; internal api token; app secret; oauth client secret; consumer secret; "
    "master key; private token; storage account key; secret key base; api secret; bearer token; mailer "
    "api key; maps api key; analytics api key; cookie secret; hmac secret; registration token; runner "
    "token; account key; cdn api token; search admin api key; license key; app auth token; metrics write "
    "token; ci job secret; secret"
)


def password(generator: random.Random, *, calm: bool = False) -> str:
    """Return a password; a ``calm`` one needs no quotes anywhere."""
    marks = _CALM_MARKS if calm else _MARKS
    kind = generator.choices(range(8), weights=(22, 14, 12, 12, 8, 14, 14, 4))[0]
    word, other = generator.sample(_WORDS, 2)
    least, most = generator.choice(((10, 99), (100, 999), (1960, 2026)))
    digits = str(generator.randint(least, most))
    if kind == 0:
        return generator.choice((word, word.capitalize())) + digits
    if kind == 1:
        return word.capitalize() + digits + generator.choice(marks)
    if kind == 2:
        return generator.choice((word + other, word.capitalize() + other.capitalize())) + digits
    if kind == 3:
        return word.translate(_LEET if not calm else str.maketrans("aeiot", "43107")) + generator.choice(marks) + digits
    if kind == 4:
        return generator.choice("-_.").join(generator.sample(_WORDS, 4)) + generator.choice(("", digits))
    if kind == 5:
        return _drawn(generator, string.ascii_letters + string.digits, generator.randint(8, 20))
    if kind == 6:
        return _drawn(generator, string.ascii_letters + string.digits + marks, generator.randint(12, 24))
    return word + other


def _drawn(generator: random.Random, alphabet: str, length: int) -> str:
    """Return random text that begins and ends with a letter and has a digit, as generators make sure of."""
    middle = generator.choices(alphabet, k=length - 3)
    text = [generator.choice(string.digits), *middle]
    generator.shuffle(text)
    return generator.choice(string.ascii_letters) + "".join(text) + generator.choice(string.ascii_letters)


def secret(generator: random.Random) -> str:
    """Return a key or token that has no vendor's format."""
    template = generator.choices(
        (
            "{hex:32}", "{hex:40}", "{hex:64}", "{alnum:24}", "{alnum:32}", "{alnum:48}", "{base64:43}=",
            "{base64url:43}", "{uuid}", "tk_{alnum:28}", "live-{lowernum:30}", "{lowernum:26}", "{HEX:32}",
            "{base64:86}==", "{alnum:8}.{alnum:40}",
        ),
        weights=(14, 12, 8, 10, 14, 8, 6, 8, 4, 4, 3, 4, 2, 2, 1),
    )[0]  # fmt: skip
    return expand(template, generator)


def styled(words: tuple[str, ...], style: str) -> str:
    """Return a name written as ``snake``, ``upper``, ``camel``, ``pascal``, ``kebab`` or ``dotted``."""
    if style == "upper":
        return "_".join(words).upper()
    if style == "camel":
        return words[0] + "".join(word.capitalize() for word in words[1:])
    if style == "pascal":
        return "".join(word.capitalize() for word in words)
    return {"snake": "_", "kebab": "-", "dotted": "."}[style].join(words)
