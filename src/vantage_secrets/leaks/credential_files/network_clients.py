"""Files in which clients of networks keep their logins: HTTP, Git, mail, chat, VPN and wireless."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vantage_secrets.leaks.credential_files.contract import Field, Parser
from vantage_secrets.leaks.credential_files.plausibility import decoded, is_value, keyed
from vantage_secrets.leaks.credential_files.shapes.settings import directives, settings
from vantage_secrets.leaks.credential_files.shapes.spans import lines, trimmed, unquoted, url_secrets, words

_HEADER = re.compile(
    rb"(?i)extraheader[ \t]*+=[^\r\n]{0,64}?authorization:[ \t]*+(?:(basic|bearer|token)[ \t]++)?([^\s\"']++)"
)
_BLOCK = re.compile(rb"(?s)<(auth-user-pass|tls-auth|tls-crypt(?:-v2)?|secret)>(.*?)(?:</|\Z)")
_STATIC_KEY = re.compile(rb"-----BEGIN OpenVPN [^-]{1,40}-----([^-]++)")
_MUTT = re.compile(
    rb"""(?m)^[ \t]*+set[ \t]++(?:my_)?\w*?pass(?:word)?[ \t]*+=[ \t]*+(?:"([^"\r\n]++)"|'([^'\r\n]++)'|(\S++))"""
)
_CHAT = re.compile(
    rb"""(?i)(?<![a-z_])(?:sasl_|server_|proxy_)?password[ \t]*+=[ \t]*+"([^"\r\n]++)\""""
    rb"""|(?<![a-z])(?:identify|/oper)[ \t]++([^\s";]++)(?=["\s;])"""
)
_POSTFIX = re.compile(rb"(?m)^[^\s#]\S*+[ \t]++[^\s:]++:(\S++)")
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_COMMENT_LINE = re.compile(rb"(?m)^[ \t]*+#[^\r\n]*+")


def netrc(data: bytes) -> Iterator[Field]:
    """Find the passwords of a ``.netrc``: what follows ``password``, outside macros."""
    takers = (b"machine", b"login", b"account", b"password", b"passwd", b"macdef")
    yield from _after(data, (b"password", b"passwd"), takers, "netrc-password")


def fetchmail(data: bytes) -> Iterator[Field]:
    """Find the passwords of a ``.fetchmailrc``."""
    takers = (b"poll", b"skip", b"user", b"username", b"protocol", b"proto", b"password", b"pass", b"is")
    yield from _after(data, (b"password", b"pass"), takers, "mail-client-password")


def _after(data: bytes, keywords: tuple[bytes, ...], takers: tuple[bytes, ...], kind: str) -> Iterator[Field]:
    """Yield the word after each keyword; ``takers`` are all words whose next one is a value and no keyword."""
    visible = _COMMENT_LINE.sub(lambda match: b" " * len(match[0]), data)
    before, resume = b"", 0
    for begin, end in words(visible):
        word = data[begin:end]
        if begin < resume:
            continue
        if before in keywords and is_value(word):
            yield Field(kind, begin, end)
        elif before == b"macdef":  # its text ends at an empty line
            blank = _EMPTY_LINE.search(data, end)
            resume = blank.end() if blank else len(data)
        before = word if before not in takers and word in takers else b""


def git_credentials(data: bytes) -> Iterator[Field]:
    """Find the secret of each address of a ``.git-credentials``."""
    for begin, end in url_secrets(data):
        if is_value(data[begin:end]):
            yield Field("git-credentials-password", begin, end)


def git_config(data: bytes) -> Iterator[Field]:
    """Find what a ``.gitconfig`` holds in addresses (``url.*.insteadOf``, remotes) and in ``http.extraHeader``."""
    for begin, end in url_secrets(data):
        if is_value(data[begin:end]):
            yield Field("git-config-password", begin, end)
    for match in _HEADER.finditer(data):
        if is_value(match[2]) and is_value(decoded(match[2]) or b"-"):
            yield Field("git-config-header", *match.span(2))


def mutt(data: bytes) -> Iterator[Field]:
    """Find the passwords of a ``.muttrc``: ``set imap_pass = …`` and those of addresses."""
    for match in _MUTT.finditer(data):
        if is_value(match[match.lastindex or 0]) and b"`" not in match[0]:
            yield Field("mail-client-password", *match.span(match.lastindex or 0))
    for begin, end in url_secrets(data):
        if is_value(data[begin:end]):
            yield Field("mail-client-password", begin, end)


def postfix_logins(data: bytes) -> Iterator[Field]:
    """Find the passwords of a ``sasl_passwd``: lines of ``host user:password``."""
    for match in _POSTFIX.finditer(data):
        if is_value(match[1]):
            yield Field("mail-client-password", *match.span(1))


def chat(data: bytes) -> Iterator[Field]:
    """Find the passwords of a chat client's configuration (irssi): its networks' and those it sends to NickServ."""
    for match in _CHAT.finditer(data):
        if is_value(match[match.lastindex or 0]):
            yield Field("irc-password", *match.span(match.lastindex or 0))


def openvpn(data: bytes) -> Iterator[Field]:
    """Find the inline login and the static keys of an OpenVPN profile; rules find its private key."""
    for block in _BLOCK.finditer(data):
        if block[1] != b"auth-user-pass":
            continue
        texts = [trimmed(data, *span) for span in lines(data, *block.span(2))]
        if len(texts) >= 2 and is_value(data[slice(*texts[1])]):
            yield Field("openvpn-password", *texts[1])
    for key in _STATIC_KEY.finditer(data):
        begin, end = trimmed(data, *key.span(1))
        if end - begin >= 128:
            yield Field("openvpn-static-key", begin, end)


def mail_settings(data: bytes) -> Iterator[Field]:
    """Find the passwords of msmtp's, esmtp's, ssmtp's, mbsync's and OfflineIMAP's configuration."""
    names = (b"password", b"pass", b"authpass", b"remotepass", b"localpass")
    for _path, key, begin, end in directives(data):
        if key.lower() in names and is_value(data[begin:end]):
            yield Field("mail-client-password", begin, end)


def supplicant(data: bytes) -> Iterator[Field]:
    """Find the pass phrases of wireless networks in a ``wpa_supplicant.conf``."""
    for _path, key, begin, end in settings(data):
        if key.strip() in (b"psk", b"password", b"private_key_passwd", b"wep_key0") and is_value(data[begin:end]):
            yield Field("wifi-passphrase", *unquoted(data, begin, end))


wireguard: Parser = keyed(
    settings, {b"privatekey": "wireguard-conf-private-key", b"presharedkey": "wireguard-preshared-key"}
)
network_manager: Parser = keyed(
    settings,
    {b"psk": "wifi-passphrase", b"password": "wifi-passphrase", b"wep-key0": "wifi-passphrase"},
)
