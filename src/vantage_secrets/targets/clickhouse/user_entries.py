"""The users of a server as its files tell: ``users.xml``, which is only read, and files of ours in ``users.d``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from xml.etree import ElementTree as Xml

from vantage_secrets.errors import RotationError

_PREFIX = "vantage-secrets-"
_PASSWORDS = frozenset(
    {"password", "password_sha256_hex", "password_double_sha1_hex", "password_scram_sha256_hex", "no_password"}
)
_FOREIGN = frozenset({"auth_methods", "http_authentication", "jwt", "kerberos", "ldap", "ssh_keys", "ssl_certificates"})
"""Ways to log in that are not a password, or not one that we can write for old and new servers alike."""


class UserEntries:
    """The entries ``<users><NAME>`` of a server.

    Args:
        users_file: Its ``users.xml``; never written.
        folder: Its ``users.d``.
    """

    def __init__(self, users_file: Path, folder: Path) -> None:
        """Read nothing yet."""
        self.users_file = users_file
        self._folder = folder

    def file_of(self, user: str) -> Path:
        """Return the file of ours that is, or would be, about ``user``."""
        return self._folder / f"{_PREFIX}{user}.xml"

    def has(self, user: str) -> bool:
        """Return whether an entry tells the rights of ``user``, in force or not."""
        return bool(self._places(user))

    def is_in_force(self, user: str) -> bool:
        """Return whether the server has ``user``, once it has loaded its files."""
        ours = _entry(self.file_of(user), user)
        return self.has(user) if ours is None else ours.get("remove") is None

    def differences(self, one: str, other: str) -> list[str]:
        """Return what one of two users has and the other has not, in words that name who has it."""
        mine, theirs = ({*_lines(self._rights(user))} for user in (one, other))
        return [f"only {one} has {line}" for line in sorted(mine - theirs)] + [
            f"only {other} has {line}" for line in sorted(theirs - mine)
        ]

    def write(self, user: str, *, model: str, digest: str) -> None:
        """Have an entry for ``user`` with the rights of ``model`` and the password that has that SHA-256.

        It replaces what another file may say of that user.

        Raises:
            RotationError: The rights cannot be read.
        """
        entry = Xml.Element(user, {"replace": "replace"})
        entry.extend(deepcopy(list(self._rights(model))))
        Xml.SubElement(entry, "password_sha256_hex").text = digest
        self._put(user, entry)

    def require_ours(self, user: str) -> None:
        """Check that nobody else's file has ``user``.

        Raises:
            RotationError: One has.
        """
        if [place for place in self._places(user) if place != self.file_of(user)]:
            raise RotationError(
                f"User '{user}' stands in a file that is not ours: {self._places(user)[0]}.",
                hint="Take it out there: the two users that alternate have files of their own.",
            )

    def remove(self, user: str) -> None:
        """Have no ``user`` in force."""
        if [place for place in self._places(user) if place != self.file_of(user)]:
            self._put(user, Xml.Element(user, {"remove": "remove"}))
        elif self.file_of(user).exists():
            with _our_errors(self.file_of(user)):
                self.file_of(user).unlink()
                _sync(self._folder)

    def _places(self, user: str) -> list[Path]:
        """Return the files with an entry that tells the rights of ``user``."""
        with _our_errors(self._folder):
            files = [self.users_file, *sorted(self._folder.glob("*.xml"))]
        return [path for path in files if (found := _entry(path, user)) is not None and found.get("remove") is None]

    def _rights(self, user: str) -> Xml.Element:
        """Return the entry of ``user`` without its password."""
        places = self._places(user)
        if self.file_of(user) in places:
            places = [self.file_of(user)]  # ours replaces all others
        if len(places) != 1:
            found = " and ".join(map(str, places)) or "nowhere"
            raise RotationError(
                f"The rights of user '{user}' must stand in one file, and stand in: {found}.",
                hint="Write them into one <users> entry; includes and several files are not followed.",
            )
        entry = _entry(places[0], user)
        assert entry is not None
        foreign = sorted(_FOREIGN & {child.tag for child in entry})
        if foreign:
            raise RotationError(
                f"User '{user}' in {places[0]} logs in by {', '.join(foreign)}, which is not ours to change.",
                hint="Give who logs in so a user of their own.",
            )
        rights = Xml.Element(user)
        rights.extend(child for child in entry if child.tag not in _PASSWORDS)
        return rights

    def _put(self, user: str, entry: Xml.Element) -> None:
        """Replace the file of ``user`` at once: the server reads the old one or the new one."""
        root = Xml.Element(_parse(self.users_file).tag)  # old servers take <yandex> alone
        Xml.SubElement(root, "users").append(entry)
        Xml.indent(root)
        path = self.file_of(user)
        begun = path.with_name(f".{path.stem}.begun")  # no name that the server reads
        with _our_errors(path):
            begun.unlink(missing_ok=True)  # left by a run that died
            self._write_readable_for_the_server(begun, Xml.tostring(root) + b"\n")
            begun.replace(path)
            _sync(self._folder)

    def _write_readable_for_the_server(self, path: Path, content: bytes) -> None:
        """Write a file that those may read who may read ``users.xml``: the server, and nobody else by us.

        SECURITY: it is private until it has its owner. It holds a hash of 256 random bits, as readable as the hashes
        beside it.
        """
        like = self.users_file.stat()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            own = os.fstat(file.fileno())
            if (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid):
                os.fchown(file.fileno(), like.st_uid if os.geteuid() == 0 else -1, like.st_gid)
            os.fchmod(file.fileno(), like.st_mode & 0o644 | 0o600)
            os.fsync(file.fileno())


@contextmanager
def _our_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says into one of our errors, in one place."""
    try:
        yield
    except OSError as exc:
        raise RotationError(
            f"'{path}' cannot be written or read: {exc.strerror}.",
            hint="Run this as a user that may write users_folder and belongs to the group of users_file.",
        ) from exc


def _parse(path: Path) -> Xml.Element:
    with _our_errors(path):
        try:
            return Xml.parse(path).getroot()  # noqa: S314  # the server's own settings; expat refuses entity bombs
        except Xml.ParseError as exc:
            raise RotationError(
                f"'{path}' is no XML: line {exc.position[0]}.", hint="Correct it; the server cannot read it either."
            ) from None


def _entry(path: Path, user: str) -> Xml.Element | None:
    """Return ``<users><USER>`` of a file, or ``None`` when it has none, or there is no file."""
    if not path.exists():
        return None
    return next((child for users in _parse(path).iter("users") for child in users if child.tag == user), None)


def _lines(element: Xml.Element, place: str = "") -> Iterator[str]:
    """Yield each setting below an element as one line, such as ``networks/ip 127.0.0.1``."""
    for child in element:
        text = (child.text or "").strip()
        marks = "".join(f" {name}={mark}" for name, mark in sorted(child.attrib.items()))
        if len(child) == 0:
            yield f"{place}{child.tag}{marks} {text}".strip()
        yield from _lines(child, f"{place}{child.tag}/")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
