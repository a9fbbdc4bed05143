"""The words of ``vantage-secrets scan watch``, its hook and the hook's installation."""

from __future__ import annotations

import argparse
from pathlib import Path

from vantage_secrets.cli.scan_words import Parser, positive, size
from vantage_secrets.errors import InvalidInputError

_DAEMON = """\
Scan what is pushed to repositories on this machine, and tell each new finding once: as a line of JSON on standard
output, and to those whom the manifest's [notifications] name. No value is ever shown."""
_DAEMON_MORE = """\
More commands: scan watch install REPOSITORY, scan watch hook.
The webhook's secret: --secret, --secret-file, or the variable VANTAGE_SECRETS_WEBHOOK_SECRET.
Ended by SIGTERM or Ctrl-C, after the scan that is under way. Exit codes: 0 ended, 2 usage, 3 failed; with --once
those of a scan: 0 clean, 1 new findings, 3 not everything could be read."""
_HOOK = """\
Scan what a push brings. Git runs this as a post-receive or pre-receive hook and says on standard input what moved."""
_HOOK_MORE = """\
Exit codes: 0 clean or handed over, 1 findings, 2 usage, 3 not everything could be read. Before the push is taken, all
but 0 refuse it, and so they are given there with --refuse only."""
_INSTALL = """\
Put the hook into a repository: post-receive, or with --refuse pre-receive, which keeps findings out."""


def daemon_parser() -> argparse.ArgumentParser:
    """Return the parser of the daemon's words."""
    made = _parser("vantage-secrets scan watch", _DAEMON, _DAEMON_MORE)
    what = made.add_argument_group("what to watch")
    what.add_argument(
        "--repository",
        type=_repository,
        action="append",
        required=True,
        metavar="NAME=PATH",
        help="a repository here, bare or not, and the name that its forge gives it, such as platform/collector",
    )
    what.add_argument("--fetch", action="store_true", help="run 'git fetch --all' in it before a scan: for mirrors")
    what.add_argument("--every", default="1h", metavar="TIME", help="scan after so long without a push too (1h)")
    what.add_argument("--once", action="store_true", help="scan each repository once, and end")
    where = made.add_argument_group("how it hears of pushes")
    where.add_argument("--socket", type=Path, metavar="PATH", help="of hooks on this machine, over this Unix socket")
    where.add_argument("--listen", type=_address, metavar="HOST:PORT", help="of forges, by webhooks to /push")
    where.add_argument("--secret", metavar="NAME", help="the webhook's secret, from the manifest's store")
    where.add_argument("--secret-file", type=Path, metavar="FILE", help="the webhook's secret, a line for each that is")
    where.add_argument("--state", type=Path, metavar="FOLDER", help="what must outlive the process (this user's own)")
    _add_search(made)
    return made


def hook_parser() -> argparse.ArgumentParser:
    """Return the parser of the hook's words."""
    made = _parser("vantage-secrets scan watch hook", _HOOK, _HOOK_MORE)
    _add_hook(made)
    return made


def install_parser() -> argparse.ArgumentParser:
    """Return the parser of the installation's words."""
    made = _parser("vantage-secrets scan watch install", _INSTALL, "Exit codes: 0 done, 2 usage.")
    made.add_argument("repository", type=Path, metavar="REPOSITORY", help="a folder of it")
    made.add_argument("--chain", action="store_true", help="keep a hook that is there, and run it first")
    made.add_argument("--remove", action="store_true", help="take our hook out, and bring back the one before")
    _add_hook(made)
    return made


def _parser(prog: str, description: str, epilog: str) -> Parser:
    made = Parser(
        prog=prog,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    made.add_argument("-h", "--help", action="help", help="show this and end")
    return made


def _add_hook(made: Parser) -> None:
    group = made.add_argument_group("what the hook does")
    group.add_argument("--refuse", action="store_true", help="refuse a push with findings (pre-receive)")
    group.add_argument("--socket", type=Path, metavar="PATH", help="hand the push to the daemon there, if it answers")
    _add_search(made)


def _add_search(made: Parser) -> None:
    group = made.add_argument_group("what to look for")
    group.add_argument("--known", action="store_true", help="the values in the manifest's store too; on record")
    group.add_argument("--rules", action="append", default=[], metavar="FILE", help="rules of yours besides ours")
    group.add_argument("--baseline", metavar="FILE", help="what is known already, seen from the repository's folder")
    group.add_argument("--key-file", metavar="FILE", help="the key of the fingerprints (one of your own)")
    group.add_argument(
        "--max-file-size", type=size, default=268_435_456, metavar="SIZE", help="largest to read (256MB)"
    )
    group.add_argument("-j", "--jobs", type=positive, metavar="N", help="cores to use (all)")
    made.set_defaults(no_cache=False)


def _repository(text: str) -> tuple[str, Path]:
    name, _sign, path = text.partition("=")
    if not name or not path or not name.isprintable() or len(name) > 200:
        raise argparse.ArgumentTypeError("a name and a folder, such as platform/collector=/srv/git/collector.git")
    return name, Path(path)


def _address(text: str) -> tuple[str, int]:
    host, _colon, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise argparse.ArgumentTypeError("a host and a port, such as 127.0.0.1:8787")
    return host.strip("[]"), int(port)


def repositories(given: list[tuple[str, Path]]) -> dict[str, Path]:
    """Return the folders by name.

    Raises:
        InvalidInputError: Two have one name, since forges do not tell upper from lower case, or one is not there.
    """
    names = [name.casefold() for name, _path in given]
    for name, path in given:
        if names.count(name.casefold()) > 1:
            raise InvalidInputError(f"Two repositories are called '{name}'.", hint="Give each a name of its own.")
        if not path.is_dir():
            raise InvalidInputError(f"There is no folder '{path}'.", hint=f"Clone it: git clone --mirror URL '{path}'")
    return dict(given)
