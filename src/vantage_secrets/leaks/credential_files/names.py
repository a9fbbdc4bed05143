"""Which file has which format, told by its name. Asked for every file of a tree, so it is a look-up or two.

A parser is written ``module.function`` and loaded when the first file of its kind comes: a scan that meets none pays
for none.
"""

from __future__ import annotations

from vantage_secrets.leaks.credential_files.contract import Parser

_NAMES = {
    # clients of networks
    ".netrc": "network_clients.netrc",
    "_netrc": "network_clients.netrc",
    ".git-credentials": "network_clients.git_credentials",
    ".gitconfig": "network_clients.git_config",
    ".msmtprc": "network_clients.mail_settings",
    "msmtprc": "network_clients.mail_settings",
    ".esmtprc": "network_clients.mail_settings",
    "esmtprc": "network_clients.mail_settings",
    "ssmtp.conf": "network_clients.mail_settings",
    ".mbsyncrc": "network_clients.mail_settings",
    ".offlineimaprc": "network_clients.mail_settings",
    ".fetchmailrc": "network_clients.fetchmail",
    "fetchmailrc": "network_clients.fetchmail",
    ".muttrc": "network_clients.mutt",
    "muttrc": "network_clients.mutt",
    ".neomuttrc": "network_clients.mutt",
    "neomuttrc": "network_clients.mutt",
    "sasl_passwd": "network_clients.postfix_logins",
    "wpa_supplicant.conf": "network_clients.supplicant",
    "wg0.conf": "network_clients.wireguard",
    "wg1.conf": "network_clients.wireguard",
    # users' hashes
    ".htpasswd": "password_hashes.htpasswd",
    "htpasswd": "password_hashes.htpasswd",
    ".htdigest": "password_hashes.htpasswd",
    "shadow": "password_hashes.shadow",
    "shadow-": "password_hashes.shadow",
    # package managers and build tools
    ".npmrc": "packages.npmrc",
    "npmrc": "packages.npmrc",
    ".yarnrc": "packages.yarn_lines",
    ".yarnrc.yml": "packages.yarn",
    ".pypirc": "packages.pypirc",
    "pip.conf": "packages.pip_settings",
    "pip.ini": "packages.pip_settings",
    ".condarc": "packages.pip_settings",
    "settings.xml": "packages.maven_settings",
    "gradle.properties": "packages.gradle_properties",
    "nuget.config": "packages.nuget",
    # cloud services and code hosts
    ".s3cfg": "cloud_clients.s3cfg",
    ".boto": "cloud_clients.boto",
    "boto.cfg": "cloud_clients.boto",
    "application_default_credentials.json": "cloud_clients.google",
    "adc.json": "cloud_clients.google",
    "accesstokens.json": "cloud_clients.azure",
    "msal_token_cache.json": "cloud_clients.azure",
    "service_principal_entries.json": "cloud_clients.azure",
    "azureauth.json": "cloud_clients.azure",
    "rclone.conf": "cloud_clients.rclone",
    ".rclone.conf": "cloud_clients.rclone",
    ".databrickscfg": "cloud_clients.databricks",
    "kaggle.json": "cloud_clients.kaggle",
    "clouds.yaml": "cloud_clients.openstack",
    "secure.yaml": "cloud_clients.openstack",
    ".vault-token": "cloud_clients.vault_token",
    # containers
    ".dockercfg": "containers.dockercfg",
    "auth.json": "containers.auth_json",
    "kubeconfig": "containers.kubeconfig",
    ".kubeconfig": "containers.kubeconfig",
    "admin.conf": "containers.kubeconfig",
    "kubeconfig.yaml": "containers.kubeconfig",
    "kubeconfig.yml": "containers.kubeconfig",
    # databases and brokers
    ".pgpass": "databases.pgpass",
    "pgpass.conf": "databases.pgpass",
    "pgpass": "databases.pgpass",
    ".pg_service.conf": "databases.pg_service",
    "pg_service.conf": "databases.pg_service",
    ".my.cnf": "databases.mysql",
    "my.cnf": "databases.mysql",
    "my.ini": "databases.mysql",
    "debian.cnf": "databases.mysql",
    "redis.conf": "databases.redis",
    "sentinel.conf": "databases.redis",
    "users.acl": "databases.redis",
    "users.xml": "databases.clickhouse_xml",
    "default-user.xml": "databases.clickhouse_xml",
    "jaas.conf": "databases.kafka",
    "kafka_server_jaas.conf": "databases.kafka",
    "kafka_client_jaas.conf": "databases.kafka",
    "client.properties": "databases.kafka",
    "server.properties": "databases.kafka",
    "producer.properties": "databases.kafka",
    "consumer.properties": "databases.kafka",
    "admin.properties": "databases.kafka",
    "connect-distributed.properties": "databases.kafka",
    "librdkafka.config": "databases.kafka",
    "odbc.ini": "databases.odbc",
    ".odbc.ini": "databases.odbc",
    ".cqlshrc": "databases.cassandra",
    "cqlshrc": "databases.cassandra",
    "alembic.ini": "databases.database_urls",
    # saved sessions
    "credentials-config.json": "database_clients.dbeaver",
    "portable_settings.txt": "database_clients.heidisql",
    "sqlaliases23.xml": "database_clients.squirrel",
    "datasources.xml": "database_clients.jetbrains_sources",
    "datasources.local.xml": "database_clients.jetbrains_sources",
    "webservers.xml": "database_clients.jetbrains_servers",
    "robomongo.json": "database_clients.mongo_clients",
    "robo3t.json": "database_clients.mongo_clients",
    "sitemanager.xml": "file_transfer.filezilla",
    "recentservers.xml": "file_transfer.filezilla",
    "filezilla.xml": "file_transfer.filezilla",
    "winscp.ini": "file_transfer.winscp",
    "sftp.json": "file_transfer.editor_sftp",
    ".ftpconfig": "file_transfer.editor_sftp",
    ".sftpconfig.json": "file_transfer.editor_sftp",
    "sftp-config.json": "file_transfer.editor_sftp",
    "sftp-config-alt.json": "file_transfer.editor_sftp",
    ".remote-sync.json": "file_transfer.editor_sftp",
    "remote-sync.json": "file_transfer.editor_sftp",
    ".ftppass": "file_transfer.editor_sftp",
    "confcons.xml": "file_transfer.mremoteng",
    # histories
    ".bash_history": "shells.shell_history",
    ".zsh_history": "shells.shell_history",
    ".zhistory": "shells.shell_history",
    ".histfile": "shells.shell_history",
    ".sh_history": "shells.shell_history",
    ".ash_history": "shells.shell_history",
    ".ksh_history": "shells.shell_history",
    ".history": "shells.shell_history",
    "fish_history": "shells.shell_history",
    "consolehost_history.txt": "shells.shell_history",
    ".rediscli_history": "shells.redis_history",
    ".psql_history": "shells.sql_history",
    ".mysql_history": "shells.sql_history",
    ".mariadb_history": "shells.sql_history",
    ".sqlite_history": "shells.sql_history",
    ".clickhouse-client-history": "shells.sql_history",
    ".python_history": "shells.code_history",
    ".node_repl_history": "shells.code_history",
    ".irb_history": "shells.code_history",
    # frameworks
    "wp-config.php": "frameworks.wordpress",
    "configuration.php": "frameworks.php",
    "config.inc.php": "frameworks.php",
    "settings.php": "frameworks.php",
    "settings.local.php": "frameworks.php",
    "env.php": "frameworks.php",
    "database.php": "frameworks.php",
    "localsettings.php": "frameworks.php",
    "settings.py": "frameworks.django",
    "local_settings.py": "frameworks.django",
    "settings_local.py": "frameworks.django",
    "database.yml": "frameworks.rails_database",
    "secrets.yml": "frameworks.rails_secrets",
    "master.key": "frameworks.master_key",
    "secret_token.rb": "frameworks.rails_initializer",
    "devise.rb": "frameworks.rails_initializer",
    "parameters.yml": "frameworks.symfony",
    "parameters.yaml": "frameworks.symfony",
    "tomcat-users.xml": "frameworks.tomcat",
    # infrastructure
    ".terraformrc": "infrastructure.terraform_rc",
    "terraform.rc": "infrastructure.terraform_rc",
    "credentials.tfrc.json": "infrastructure.terraform_credentials",
    ".vault_pass": "infrastructure.ansible_vault_password",
    ".vault-pass": "infrastructure.ansible_vault_password",
    ".vault_pass.txt": "infrastructure.ansible_vault_password",
    ".vault_password": "infrastructure.ansible_vault_password",
    ".vault-password": "infrastructure.ansible_vault_password",
    "vault_pass.txt": "infrastructure.ansible_vault_password",
    "vault_password.txt": "infrastructure.ansible_vault_password",
    "vault-password.txt": "infrastructure.ansible_vault_password",
    "encrypted_data_bag_secret": "infrastructure.chef_secret",
    "hosts.ini": "infrastructure.ansible_inventory",
    "inventory.ini": "infrastructure.ansible_inventory",
    "inventory": "infrastructure.ansible_inventory",
    "credentials.xml": "infrastructure.jenkins_credentials",
    "unattend.xml": "infrastructure.windows_answers",
    "autounattend.xml": "infrastructure.windows_answers",
    "sysprep.xml": "infrastructure.windows_answers",
    "groups.xml": "infrastructure.windows_policy",
    "scheduledtasks.xml": "infrastructure.windows_policy",
    "drives.xml": "infrastructure.windows_policy",
    # clients of HTTP APIs
    "http-client.private.env.json": "api_clients.http_client",
    # .env and its usual brothers
    ".env": "environment_files.env",
    ".envrc": "environment_files.env",
    ".flaskenv": "environment_files.env",
    ".dev.vars": "environment_files.env",
    ".env.local": "environment_files.env",
    ".env.dev": "environment_files.env",
    ".env.dev.local": "environment_files.env",
    ".env.development": "environment_files.env",
    ".env.development.local": "environment_files.env",
    ".env.test": "environment_files.env",
    ".env.testing": "environment_files.env",
    ".env.ci": "environment_files.env",
    ".env.docker": "environment_files.env",
    ".env.stage": "environment_files.env",
    ".env.staging": "environment_files.env",
    ".env.prod": "environment_files.env",
    ".env.prod.local": "environment_files.env",
    ".env.production": "environment_files.env",
    ".env.production.local": "environment_files.env",
    ".env.live": "environment_files.env",
    ".env.backup": "environment_files.env",
    ".env.bak": "environment_files.env",
    ".env.old": "environment_files.env",
    ".env.save": "environment_files.env",
    ".env~": "environment_files.env",
}
"""Formats by base name, in lower case."""

_IN_FOLDER = {
    ".credentials": {".ivy2": "packages.sbt", ".sbt": "packages.sbt"},
    "auth.toml": {"pypoetry": "packages.poetry"},
    "config": {
        ".git": "network_clients.git_config",
        "git": "network_clients.git_config",
        ".irssi": "network_clients.chat",
        "irssi": "network_clients.chat",
        ".aws": "cloud_clients.aws",
        ".kube": "containers.kubeconfig",
        ".snowsql": "databases.snowflake",
        ".bundle": "packages.bundle_config",
    },
    "config.json": {".docker": "containers.docker_config"},
    "config.toml": {".snowflake": "databases.snowflake", "snowflake": "databases.snowflake"},
    "config.xml": {
        "clickhouse": "databases.clickhouse_xml",
        "clickhouse-server": "databases.clickhouse_xml",
        ".clickhouse-client": "databases.clickhouse_xml",
        "clickhouse-client": "databases.clickhouse_xml",
    },
    "config.yaml": {"doctl": "cloud_clients.tokens", ".clickhouse-client": "databases.clickhouse_yaml"},
    "config.yml": {".fly": "cloud_clients.tokens", "glab-cli": "cloud_clients.code_host"},
    "connections.toml": {".snowflake": "databases.snowflake", "snowflake": "databases.snowflake"},
    "context.xml": {"conf": "frameworks.tomcat", "meta-inf": "frameworks.tomcat"},
    "credentials": {
        ".aws": "cloud_clients.aws",
        ".gem": "packages.gem",
        ".cargo": "packages.cargo",
        "git": "network_clients.git_credentials",
    },
    "credentials.json": {".pulumi": "cloud_clients.pulumi"},
    "credentials.toml": {".cargo": "packages.cargo"},
    "hosts.yml": {"gh": "cloud_clients.code_host"},
    "hub": {".config": "cloud_clients.code_host"},
    "passwd": {".vnc": "file_transfer.vnc"},
    "profiles.yml": {".dbt": "databases.dbt", "dbt": "databases.dbt"},
    "repositories.yaml": {"helm": "containers.helm_repositories", ".helm": "containers.helm_repositories"},
    "secrets.toml": {".streamlit": "frameworks.streamlit"},
    "server.xml": {"conf": "frameworks.tomcat"},
    "stored_tokens": {
        "huggingface": "cloud_clients.hugging_face_tokens",
        ".huggingface": "cloud_clients.hugging_face_tokens",
    },
    "token": {"huggingface": "cloud_clients.hugging_face", ".huggingface": "cloud_clients.hugging_face"},
}
"""Formats by base name and the folder it is in, where the base name alone says too little."""

_SUFFIXES = {
    ".netrc": "network_clients.netrc",
    ".ovpn": "network_clients.openvpn",
    ".nmconnection": "network_clients.network_manager",
    ".htpasswd": "password_hashes.htpasswd",
    ".publishsettings": "cloud_clients.publish_settings",
    ".kubeconfig": "containers.kubeconfig",
    ".pgpass": "databases.pgpass",
    ".cnf": "databases.mysql",
    ".jaas": "databases.kafka",
    ".ncx": "database_clients.navicat",
    ".remmina": "file_transfer.remmina",
    ".sql": "sql_dumps.sql",
    ".dump": "sql_dumps.sql",
    ".psql": "sql_dumps.sql",
    ".tfstate": "infrastructure.terraform_state",
    ".tfstate.backup": "infrastructure.terraform_state",
    ".tfvars": "infrastructure.terraform_variables",
    ".tfvars.json": "infrastructure.terraform_variables_json",
    ".postman_environment.json": "api_clients.postman",
    ".postman_globals.json": "api_clients.postman",
    ".env": "environment_files.env",
}
"""Formats by the end of the name, from a dot on."""

_BY_CONTENT = {
    ".yaml": "containers.yaml_of_any_name",
    ".yml": "containers.yaml_of_any_name",
    ".json": "containers.json_of_any_name",
}
"""Syntaxes by the end of the name, in which the contents tell whether it is a credential file."""

_SUFFIXES_IN_FOLDER = {
    ".credentials": {".ivy2": "packages.sbt", ".sbt": "packages.sbt"},
    ".conf": {"wireguard": "network_clients.wireguard", "redis": "databases.redis"},
    ".key": {"credentials": "frameworks.master_key"},
    ".py": {"settings": "frameworks.django"},
    ".xml": {"users.d": "databases.clickhouse_xml", "config.d": "databases.clickhouse_xml"},
    ".yaml": {"users.d": "databases.clickhouse_yaml", "config.d": "databases.clickhouse_yaml"},
    ".yml": {"group_vars": "infrastructure.ansible_inventory", "host_vars": "infrastructure.ansible_inventory"},
}
"""Formats by the end of the name and the folder."""

_EXAMPLES = ("example", "sample", "template", "dist", "tpl", "tmpl", "defaults", "schema")

BASE_NAMES: tuple[bytes, ...] = tuple(sorted(name.encode() for name in {*_NAMES, *_IN_FOLDER}))
"""Base names, in lower case, of files that may have a parser; some only have in a certain folder."""

SUFFIXES: tuple[bytes, ...] = tuple(sorted(suffix.encode() for suffix in _SUFFIXES))
"""Ends of names, in lower case, of files that have a parser, whatever the contents; see ``MARKS`` for the others."""

MARKS: tuple[bytes, ...] = (
    b"kind: Secret",
    b'kind: "Secret"',
    b'"kind": "Secret"',
    b'"kind":"Secret"',
    b"current-context:",
    b'"auths"',
    b'"service_account"',
    b'"authorized_user"',
    b'"_postman_variable_scope"',
    b'"__export_format"',
)
"""Texts that a credential file of any name holds; one that holds none of them has nothing for ``parser_of_text``."""

_loaded: dict[str, Parser] = {}


def parser_for(path: str) -> Parser | None:
    """Return the parser of the file at ``path``, None when its name means nothing.

    Args:
        path: With ``/`` between folders, from wherever; upper and lower case are one. ``!`` ends an archive's name.
    """
    parser = _name_of_parser(path.lower().replace("!", "/"))
    if parser is None:
        return None
    if parser not in _loaded:
        _loaded[parser] = _load(parser)
    return _loaded[parser]


def parser_of_text(data: bytes) -> Parser:
    """Return the parser of a file that holds one of ``MARKS``, for when its name is not known."""
    name = _BY_CONTENT[".json" if data.lstrip()[:1] in (b"{", b"[") else ".yaml"]
    if name not in _loaded:
        _loaded[name] = _load(name)
    return _loaded[name]


def _name_of_parser(path: str) -> str | None:
    before, _slash, base = path.rpartition("/")
    named = _NAMES.get(base)
    if named:
        return named
    folder = before[before.rfind("/") + 1 :]
    candidates = _IN_FOLDER.get(base)
    if candidates and folder in candidates:
        return candidates[folder]
    if base.startswith(".env."):
        # SECURITY: an example may hold a real secret by mistake; the rules look for those that have a form.
        return None if base.endswith(_EXAMPLES) else "environment_files.env"
    return _by_suffix(base, folder)


def _by_suffix(base: str, folder: str) -> str | None:
    dot = base.rfind(".")
    if dot < 0:
        return None
    last = base[dot:]
    if last in _SUFFIXES_IN_FOLDER and folder in _SUFFIXES_IN_FOLDER[last]:
        return _SUFFIXES_IN_FOLDER[last][folder]
    longer = base.rfind(".", 0, dot)
    return (_SUFFIXES.get(base[longer:]) if longer >= 0 else None) or _SUFFIXES.get(last) or _BY_CONTENT.get(last)


def _load(name: str) -> Parser:
    from importlib import import_module

    module, _dot, function = name.partition(".")
    parser: Parser = getattr(import_module(f"vantage_secrets.leaks.credential_files.{module}"), function)
    return parser
