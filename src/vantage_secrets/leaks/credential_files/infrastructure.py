"""State, variables and keys of tools that build infrastructure and run jobs on it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vantage_secrets.leaks.credential_files.contract import Entry, Field, Parser
from vantage_secrets.leaks.credential_files.plausibility import decoded, is_secret, is_value, keyed, named, whole
from vantage_secrets.leaks.credential_files.shapes.json_text import json_entries
from vantage_secrets.leaks.credential_files.shapes.settings import settings
from vantage_secrets.leaks.credential_files.shapes.spans import url_secrets
from vantage_secrets.leaks.credential_files.shapes.xml_text import xml_entries

_STATE_NAME = re.compile(
    rb"(?i)(?:connection_string|kube_config_raw|kubeconfig|sas_token|sas_url|bcrypt_hash|user_data_secret"
    rb"|ses_smtp_password_v4|private_key_(?:pem|openssh)|private_key_pem_pkcs8|client_key|secret_string|secret_data"
    rb"|primary_access_key|secondary_access_key|primary_(?:blob_)?connection_string|admin_ssh_key_data)\Z"
)
_STATE_PUBLIC = (b"type", b"name", b"id", b"arn", b"mode", b"provider", b"module")
_INVENTORY = re.compile(
    rb"(?m)(?<![\w.-])(ansible_(?:ssh_|become_|sudo_|winrm_)?pass(?:word)?|[a-z_]{1,64}password)[ \t]*+[=:][ \t]*+"
    rb"""(?:"([^"\r\n]++)"|'([^'\r\n]++)'|([^\s"'#]++))"""
)
_JENKINS_NAMES = (
    b"password", b"passphrase", b"secret", b"privateKey", b"secretKey", b"secretBytes", b"apiToken", b"clientSecret",
    b"token",
)  # fmt: skip
_JENKINS_CIPHERTEXT = re.compile(rb"\{[A-Za-z0-9+/=\s]+\}|[A-Za-z0-9+/]{42,43}==?")


def terraform_state(data: bytes) -> Iterator[Field]:
    """Find the secrets of a Terraform state: outputs that are marked, generated passwords, attributes by name."""
    held: dict[bytes, Entry] = {}
    for entry in json_entries(data):
        path, key, begin, end = entry
        value = data[begin:end]
        if path[:1] == (b"outputs",) and len(path) == 2:
            if key == b"value":
                held[path[1]] = entry
            elif key == b"sensitive" and value == b"true":
                held[b"\0" + path[1]] = entry
        elif _is_state_secret(path, key, value):
            yield Field("terraform-state-secret", begin, end)
    for name, entry in held.items():
        value = data[entry.begin : entry.end]
        is_marked = b"\0" + name in held or is_secret(name, value)
        if not name.startswith(b"\0") and is_marked and is_value(value):
            yield Field("terraform-state-secret", entry.begin, entry.end)


def _is_state_secret(path: tuple[bytes, ...], key: bytes, value: bytes) -> bool:
    if key in _STATE_PUBLIC or len(value) < 4 or b"attributes" not in path:
        return False
    # random_password's own result; Terraform marks it by its schema, not in the state's attributes.
    is_generated = key in (b"result", b"bcrypt_hash") and len(value) >= 8
    return is_value(value) and (is_generated or is_secret(key, value) or bool(_STATE_NAME.search(key)))


def terraform_variables(data: bytes) -> Iterator[Field]:
    """Find the secrets of a ``.tfvars``: variables, and members of maps, by their names; addresses' passwords."""
    for _path, key, begin, end in settings(data):
        if is_secret(key, data[begin:end]):
            yield Field("terraform-variable", begin, end)
        else:
            for first, last in url_secrets(data, begin, end):
                if is_value(data[first:last]):
                    yield Field("terraform-variable", first, last)


def terraform_variables_json(data: bytes) -> Iterator[Field]:
    """Find the secrets of a ``.tfvars.json``."""
    yield from named(json_entries, "terraform-variable")(data)


def ansible_inventory(data: bytes) -> Iterator[Field]:
    """Find the connection passwords of an inventory or of variables of hosts and groups."""
    for match in _INVENTORY.finditer(data):
        begin, end = match.span(match.lastindex or 0)
        if is_value(data[begin:end]) and not data.startswith((b"!vault", b"{{"), begin):
            yield Field("ansible-password", begin, end)


def jenkins_credentials(data: bytes) -> Iterator[Field]:
    """Find what is plain in Jenkins' ``credentials.xml``; ciphertext, in braces, needs ``secrets/`` as well."""
    for _path, key, begin, end in xml_entries(data):
        value = data[begin:end]
        if key in _JENKINS_NAMES and is_value(value) and not _JENKINS_CIPHERTEXT.fullmatch(value):
            yield Field("jenkins-credential", begin, end)


def windows_answers(data: bytes) -> Iterator[Field]:
    """Find the passwords of a Windows answer file: plain, or base64 of UTF-16 with the element's name behind."""
    for path, key, begin, end in xml_entries(data):
        inside = path[-1:] and path[-1].lower().endswith(b"password")
        if not (key == b"Value" and inside) and key.lower() not in (b"administratorpassword", b"adminpassword"):
            continue
        value = data[begin:end]
        text = decoded(value).replace(b"\0", b"")
        if is_value(value) and text.lower() not in (b"password", b"administratorpassword"):
            yield Field("windows-answer-file-password", begin, end)


def windows_policy(data: bytes) -> Iterator[Field]:
    """Find the passwords of Group Policy Preferences: AES under the key that Microsoft published."""
    for _path, key, begin, end in xml_entries(data):
        if key == b"@cpassword" and end - begin >= 16:
            yield Field("windows-policy-password", begin, end)


terraform_rc: Parser = keyed(settings, {b"token": "terraform-cli-token"})
terraform_credentials: Parser = keyed(json_entries, {b"token": "terraform-cli-token"})
ansible_vault_password: Parser = whole("ansible-vault-password-file")
chef_secret: Parser = whole("chef-data-bag-secret")
