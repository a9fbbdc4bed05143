"""All kinds of secrets that credential files hold, with what is told to people of each."""

from __future__ import annotations

from vantage_secrets.leaks.credential_files.contract import Kind

_CHANGE = "Change it where this login opens a door."
_DATABASE = "Change the database user's password."
_MAIL = "Change the mail account's password."
_SAVED = "Change the password of the saved server."
_TOKEN = "Revoke the token in the service's account settings."  # noqa: S105 - advice
_HASHES = "Have these users change their passwords; a hash is guessed offline."

KINDS: dict[str, Kind] = {
    # clients of networks
    "netrc-password": Kind(
        "Password in a .netrc", _CHANGE, "high",
        "https://www.gnu.org/software/inetutils/manual/html_node/The-_002enetrc-file.html",
    ),
    "git-credentials-password": Kind(
        "Password or token in Git's credential store", "Revoke it at the Git host.", "high",
        "https://git-scm.com/docs/git-credential-store",
    ),
    "git-config-password": Kind(
        "Password or token in an address of a Git configuration", "Revoke it at the Git host.", "high",
        "https://git-scm.com/docs/git-config",
    ),
    "git-config-header": Kind(
        "Authorization header in a Git configuration", "Revoke it at the Git host.", "high",
        "https://git-scm.com/docs/git-config#Documentation/git-config.txt-httpextraHeader",
    ),
    "mail-client-password": Kind(
        "Password in a mail program's configuration", _MAIL, "high", "https://marlam.de/msmtp/msmtp.html",
    ),
    "irc-password": Kind(
        "Password in a chat client's configuration", _CHANGE, "high", "https://irssi.org/documentation/settings/",
    ),
    "openvpn-password": Kind(
        "Password in an OpenVPN profile", "Change the VPN user's password.", "high",
        "https://openvpn.net/community-resources/reference-manual-for-openvpn-2-6/",
    ),
    "openvpn-static-key": Kind(
        "Static key in an OpenVPN profile", "Make a new static key and give it to server and clients.", "medium",
        "https://openvpn.net/community-resources/reference-manual-for-openvpn-2-6/",
    ),
    "wireguard-conf-private-key": Kind(
        "WireGuard private key", "Make a new key pair and replace the public key at each peer.", "high",
        "https://www.man7.org/linux/man-pages/man8/wg.8.html",
    ),
    "wireguard-preshared-key": Kind(
        "WireGuard preshared key", "Make a new one with 'wg genpsk' for both peers.", "high",
        "https://www.man7.org/linux/man-pages/man8/wg.8.html",
    ),
    "wifi-passphrase": Kind(
        "Pass phrase of a wireless network", "Change the network's pass phrase.", "high",
        "https://networkmanager.dev/docs/api/latest/nm-settings-keyfile.html",
    ),
    # users' hashes
    "htpasswd-hash": Kind(
        "Hash of a web user's password", _HASHES, "low",
        "https://httpd.apache.org/docs/2.4/misc/password_encryptions.html",
    ),
    "unix-password-hash": Kind(
        "Hash of a system user's password", _HASHES, "low", "https://man7.org/linux/man-pages/man5/shadow.5.html",
    ),
    # package managers and build tools
    "npm-auth-token": Kind(
        "Token for an npm registry", "Revoke it with 'npm token revoke'.", "high",
        "https://docs.npmjs.com/cli/v10/configuring-npm/npmrc",
    ),
    "npm-basic-auth": Kind(
        "Login for an npm registry, in base64", "Change the registry user's password.", "high",
        "https://docs.npmjs.com/cli/v10/configuring-npm/npmrc",
    ),
    "npm-password": Kind(
        "Password for an npm registry, in base64", "Change the registry user's password.", "high",
        "https://docs.npmjs.com/cli/v10/configuring-npm/npmrc",
    ),
    "pypirc-password": Kind(
        "Password or token for a Python package index", "Delete the token in the index's account settings.", "high",
        "https://packaging.python.org/en/latest/specifications/pypirc/",
    ),
    "pip-index-password": Kind(
        "Password in the address of a Python package index", "Change the index user's password.", "high",
        "https://pip.pypa.io/en/stable/topics/authentication/",
    ),
    "maven-password": Kind(
        "Password in Maven's or sbt's settings", "Change the repository user's password.", "high",
        "https://maven.apache.org/settings.html#Servers",
    ),
    "gradle-secret": Kind(
        "Password or token in gradle.properties", _CHANGE, "high",
        "https://docs.gradle.org/current/userguide/signing_plugin.html",
    ),
    "nuget-password": Kind(
        "Password or key in a NuGet.Config", _TOKEN, "high",
        "https://learn.microsoft.com/en-us/nuget/reference/nuget-config-file",
    ),
    "bundler-password": Kind(
        "Password in Bundler's configuration", "Change the gem server user's password.", "high",
        "https://bundler.io/man/bundle-config.1.html",
    ),
    "composer-auth": Kind(
        "Password or token in Composer's auth.json", _TOKEN, "high",
        "https://getcomposer.org/doc/articles/authentication-for-private-packages.md",
    ),
    "cargo-token": Kind(
        "Token for a Cargo registry", "Revoke it in the registry's account settings.", "high",
        "https://doc.rust-lang.org/cargo/reference/config.html#credentials",
    ),
    "gem-credentials-key": Kind(
        "Key for a gem server", "Revoke it in the gem server's account settings.", "high",
        "https://guides.rubygems.org/api-key-scopes/",
    ),
    # cloud services and code hosts
    "aws-secret-key": Kind(
        "AWS secret access key in a profile", "Deactivate it with 'aws iam update-access-key'.", "high",
        "https://docs.aws.amazon.com/cli/v1/userguide/cli-configure-files.html",
    ),
    "aws-profile-session-token": Kind(
        "AWS session token in a profile", "Revoke the role's active sessions.", "medium",
        "https://docs.aws.amazon.com/cli/v1/userguide/cli-configure-files.html",
    ),
    "s3cfg-secret": Kind(
        "Secret key or pass phrase in s3cmd's configuration", "Deactivate the access key.", "high",
        "https://s3tools.org/kb/item14.htm",
    ),
    "boto-secret": Kind(
        "Secret in a .boto", "Deactivate the key or revoke the token.", "high",
        "https://cloud.google.com/storage/docs/boto-gsutil",
    ),
    "service-account-file-key": Kind(
        "Private key of a Google service account", "Delete it with 'gcloud iam service-accounts keys delete'.", "high",
        "https://cloud.google.com/iam/docs/keys-create-delete",
    ),
    "google-login-refresh-token": Kind(
        "Refresh token of a Google login", "Run 'gcloud auth application-default revoke'.", "high",
        "https://cloud.google.com/docs/authentication/application-default-credentials",
    ),
    "google-client-secret": Kind(
        "Client secret in Google's application default credentials", "Reset it in the API console.", "low",
        "https://cloud.google.com/docs/authentication/application-default-credentials",
    ),
    "azure-token": Kind(
        "Token in the Azure command line's cache", "Revoke the user's sign-in sessions.", "high",
        "https://learn.microsoft.com/en-us/cli/azure/authenticate-azure-cli",
    ),
    "azure-login-client-secret": Kind(
        "Client secret of an Azure service principal", "Delete it with 'az ad app credential delete'.", "high",
        "https://learn.microsoft.com/en-us/cli/azure/azure-cli-sp-tutorial-2",
    ),
    "azure-publish-password": Kind(
        "Deployment password in a publish profile", "Reset the app's publish profile.", "high",
        "https://learn.microsoft.com/en-us/visualstudio/azure/how-to-get-publish-profile-from-azure-app-service",
    ),
    "rclone-password": Kind(
        "Obscured password in rclone's configuration", _CHANGE, "high",
        "https://rclone.org/commands/rclone_obscure/",
    ),
    "rclone-secret": Kind(
        "Key or token in rclone's configuration", _TOKEN, "high", "https://rclone.org/docs/#config-file",
    ),
    "code-host-token": Kind(
        "Token in a code host's command-line client", _TOKEN, "high",
        "https://cli.github.com/manual/gh_auth_login",
    ),
    "hugging-face-token-file": Kind(
        "Hugging Face token in its client's cache", "Delete it at huggingface.co/settings/tokens.", "high",
        "https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables",
    ),
    "databricks-secret": Kind(
        "Token or password in a .databrickscfg", "Revoke it in the workspace's user settings.", "high",
        "https://docs.databricks.com/en/dev-tools/auth/config-profiles.html",
    ),
    "cloud-client-token": Kind(
        "Token in a cloud service's command-line client", _TOKEN, "high",
        "https://docs.digitalocean.com/reference/doctl/reference/auth/init/",
    ),
    "openstack-password": Kind(
        "Password in an OpenStack clouds.yaml", _CHANGE, "high",
        "https://docs.openstack.org/openstacksdk/latest/user/config/configuration.html",
    ),
    "vault-token-file": Kind(
        "Token in Vault's token helper file", "Run 'vault token revoke'.", "high",
        "https://developer.hashicorp.com/vault/docs/commands/token-helper",
    ),
    # containers
    "docker-registry-auth": Kind(
        "Login for a container registry", "Change the registry user's password or delete the token.", "high",
        "https://docs.docker.com/reference/cli/docker/login/",
    ),
    "docker-identity-token": Kind(
        "Identity token for a container registry", "Sign the registry's user out everywhere.", "high",
        "https://docs.docker.com/reference/cli/docker/login/",
    ),
    "kubernetes-secret": Kind(
        "Value of a Kubernetes Secret", "Change what it opens, then the Secret.", "medium",
        "https://kubernetes.io/docs/concepts/configuration/secret/",
    ),
    "kubernetes-docker-config": Kind(
        "Registry logins in a Kubernetes Secret", "Change the registry user's password.", "high",
        "https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/",
    ),
    "kubeconfig-token": Kind(
        "Token in a kubeconfig", "Delete the service account's token or sign the user out.", "high",
        "https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/",
    ),
    "kubeconfig-client-key": Kind(
        "Client key in a kubeconfig", "Take the user's permissions: Kubernetes cannot revoke a certificate.", "high",
        "https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/",
    ),
    "kubeconfig-password": Kind(
        "Password in a kubeconfig", _CHANGE, "high", "https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/",
    ),
    "helm-repository-password": Kind(
        "Password of a Helm repository", "Change the repository user's password.", "high",
        "https://helm.sh/docs/helm/helm_repo_add/",
    ),
    # databases and brokers
    "pgpass-password": Kind(
        "PostgreSQL password in a .pgpass or service file", _DATABASE, "high",
        "https://www.postgresql.org/docs/current/libpq-pgpass.html",
    ),
    "mysql-password": Kind(
        "MySQL password in an option file", _DATABASE, "high", "https://dev.mysql.com/doc/refman/8.4/en/option-files.html",
    ),
    "redis-conf-password": Kind(
        "Redis password", "Set another with 'ACL SETUSER' or 'requirepass'.", "high",
        "https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/",
    ),
    "redis-acl-hash": Kind(
        "Hash of a Redis user's password", _HASHES, "low",
        "https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/",
    ),
    "clickhouse-users-password": Kind(
        "Password in a ClickHouse configuration", _DATABASE, "high",
        "https://clickhouse.com/docs/operations/settings/settings-users",
    ),
    "clickhouse-users-hash": Kind(
        "Hash of a ClickHouse user's password", _HASHES, "low",
        "https://clickhouse.com/docs/operations/settings/settings-users",
    ),
    "kafka-config-password": Kind(
        "Password in a Kafka configuration", "Change the user's SCRAM password or the key store's.", "high",
        "https://kafka.apache.org/documentation/#security_sasl",
    ),
    "odbc-password": Kind(
        "Password in an ODBC configuration", _DATABASE, "high", "https://www.unixodbc.org/odbcinst.html",
    ),
    "dbt-secret": Kind(
        "Password or token in dbt's profiles", _DATABASE, "high",
        "https://docs.getdbt.com/docs/core/connect-data-platform/profiles.yml",
    ),
    "alembic-url-password": Kind(
        "Password in a database's address", _DATABASE, "high", "https://docs.sqlalchemy.org/en/20/core/engines.html",
    ),
    "snowflake-password": Kind(
        "Password or token in a Snowflake client's configuration", _DATABASE, "high",
        "https://docs.snowflake.com/en/user-guide/snowsql-config",
    ),
    "cassandra-password": Kind(
        "Cassandra password in a cqlshrc", _DATABASE, "high",
        "https://cassandra.apache.org/doc/latest/cassandra/managing/tools/cqlsh.html",
    ),
    "sql-password": Kind(
        "Password in a SQL statement", _DATABASE, "high", "https://www.postgresql.org/docs/current/sql-createrole.html",
    ),
    "sql-password-hash": Kind(
        "Hash of a password in SQL", _HASHES, "low", "https://dev.mysql.com/doc/refman/8.4/en/create-user.html",
    ),
    "sql-dump-password": Kind(
        "Password in a row of a database dump", "Have these users change their passwords.", "medium",
        "https://www.postgresql.org/docs/current/app-pgdump.html",
    ),
    "sql-dump-token": Kind(
        "Token or key in a row of a database dump", "Delete these tokens in the application.", "medium",
        "https://dev.mysql.com/doc/refman/8.4/en/mysqldump.html",
    ),
    # saved sessions
    "dbeaver-credentials": Kind(
        "Saved passwords of DBeaver, under a published key", _DATABASE, "medium",
        "https://dbeaver.com/docs/dbeaver/Admin-Manage-Connections/",
    ),
    "dbeaver-password": Kind(
        "Saved password of DBeaver", _DATABASE, "high", "https://dbeaver.com/docs/dbeaver/Admin-Manage-Connections/",
    ),
    "heidisql-password": Kind(
        "Saved password of HeidiSQL, obscured", _DATABASE, "medium", "https://www.heidisql.com/help.php",
    ),
    "navicat-password": Kind(
        "Saved password of Navicat, under a published key", _DATABASE, "medium",
        "known from samples of exported connection files",
    ),
    "jetbrains-database-password": Kind(
        "Password in a data source of a JetBrains IDE", _DATABASE, "high",
        "https://www.jetbrains.com/help/datagrip/connecting-to-a-database.html",
    ),
    "jetbrains-server-password": Kind(
        "Saved server password of a JetBrains IDE, obscured", _SAVED, "medium",
        "https://www.jetbrains.com/help/idea/deploying-applications.html",
    ),
    "squirrel-password": Kind(
        "Saved password of SQuirreL SQL", _DATABASE, "high", "https://squirrel-sql.sourceforge.io/",
    ),
    "saved-mongodb-password": Kind(
        "Saved password of a MongoDB client", _DATABASE, "medium", "known from samples of saved connections",
    ),
    "filezilla-password": Kind(
        "Saved password of FileZilla", _SAVED, "high", "https://wiki.filezilla-project.org/Client_password_storage",
    ),
    "winscp-password": Kind(
        "Saved password of WinSCP, obscured", _SAVED, "medium",
        "https://winscp.net/eng/docs/security_credentials",
    ),
    "vnc-password": Kind(
        "Password of a VNC server, under a fixed key", "Set another with 'vncpasswd'.", "medium",
        "https://tigervnc.org/doc/vncpasswd.html",
    ),
    "mremoteng-password": Kind(
        "Saved password of mRemoteNG, under a published key", _SAVED, "medium",
        "https://mremoteng.readthedocs.io/en/latest/user_interface/connections.html",
    ),
    "editor-sftp-password": Kind(
        "Saved server password of an editor", _SAVED, "high", "https://codexns.io/products/sftp_for_sublime/settings",
    ),
    "remmina-password": Kind(
        "Saved password of Remmina, its key in another file", _SAVED, "low",
        "https://gitlab.com/Remmina/Remmina/-/wikis/home",
    ),
    # histories
    "shell-history-password": Kind(
        "Password typed in a shell", "Change it, then delete the line from the history.", "medium",
        "https://www.gnu.org/software/bash/manual/html_node/Bash-History-Facilities.html",
    ),
    "sql-history-password": Kind(
        "Password typed in a database's client", _DATABASE, "high",
        "https://www.postgresql.org/docs/current/app-psql.html",
    ),
    "code-history-secret": Kind(
        "Secret typed in an interactive interpreter", _CHANGE, "medium",
        "https://docs.python.org/3/library/site.html#module-rlcompleter",
    ),
    # frameworks
    "wordpress-database-password": Kind(
        "WordPress' database password", _DATABASE, "high",
        "https://developer.wordpress.org/advanced-administration/wordpress/wp-config/",
    ),
    "wordpress-key": Kind(
        "Key or salt of WordPress", "Make new ones at api.wordpress.org/secret-key; it signs everybody out.", "high",
        "https://developer.wordpress.org/advanced-administration/wordpress/wp-config/",
    ),
    "php-secret": Kind(
        "Secret in a PHP application's configuration", _CHANGE, "medium",
        "https://docs.phpmyadmin.net/en/latest/config.html",
    ),
    "django-secret-key": Kind(
        "Secret key of Django or Flask", "Replace it, with SECRET_KEY_FALLBACKS for the overlap.", "high",
        "https://docs.djangoproject.com/en/stable/ref/settings/#secret-key",
    ),
    "django-password": Kind(
        "Password or token in a Python settings module", _CHANGE, "medium",
        "https://docs.djangoproject.com/en/stable/ref/settings/#databases",
    ),
    "rails-database-password": Kind(
        "Database password of Rails", _DATABASE, "high",
        "https://guides.rubyonrails.org/configuring.html#configuring-a-database",
    ),
    "rails-secret": Kind(
        "Secret of a Rails application", "Replace it, with the old one among the rotations.", "high",
        "https://guides.rubyonrails.org/security.html#session-storage",
    ),
    "rails-master-key": Kind(
        "Key of Rails' encrypted credentials", "Make a new key and change everything it kept.", "high",
        "https://guides.rubyonrails.org/security.html#custom-credentials",
    ),
    "symfony-secret": Kind(
        "Secret in Symfony's parameters", _CHANGE, "medium", "https://symfony.com/doc/current/reference/configuration/framework.html",
    ),
    "tomcat-password": Kind(
        "Password in Tomcat's configuration", _CHANGE, "high", "https://tomcat.apache.org/tomcat-10.1-doc/realm-howto.html",
    ),
    "streamlit-secret": Kind(
        "Secret of a Streamlit application", _CHANGE, "medium",
        "https://docs.streamlit.io/develop/api-reference/connections/secrets.toml",
    ),
    # infrastructure
    "terraform-state-secret": Kind(
        "Secret in a Terraform state", "Replace it, with 'terraform apply -replace'.", "medium",
        "https://developer.hashicorp.com/terraform/language/manage-sensitive-data",
    ),
    "terraform-variable": Kind(
        "Secret in Terraform's variables", _CHANGE, "medium",
        "https://developer.hashicorp.com/terraform/language/values/variables",
    ),
    "terraform-cli-token": Kind(
        "Token for a Terraform registry", "Delete it in the registry's user settings.", "high",
        "https://developer.hashicorp.com/terraform/cli/config/config-file#credentials-1",
    ),
    "ansible-vault-password-file": Kind(
        "Password of an Ansible vault", "Run 'ansible-vault rekey' and change everything it kept.", "medium",
        "https://docs.ansible.com/ansible/latest/vault_guide/vault_managing_passwords.html",
    ),
    "ansible-password": Kind(
        "Connection password in an Ansible inventory", _CHANGE, "high",
        "https://docs.ansible.com/ansible/latest/inventory_guide/intro_inventory.html",
    ),
    "chef-data-bag-secret": Kind(
        "Key of Chef's encrypted data bags", "Make a new key and encrypt the data bags again.", "medium",
        "https://docs.chef.io/data_bags/#encrypt-a-data-bag-item",
    ),
    "jenkins-credential": Kind(
        "Plain credential of Jenkins", _CHANGE, "high", "https://www.jenkins.io/doc/book/using/using-credentials/",
    ),
    "jenkins-master-key": Kind(
        "Key of Jenkins' credentials", "Make a new one and change everything it kept.", "medium",
        "https://www.jenkins.io/doc/developer/security/secrets/",
    ),
    "windows-answer-file-password": Kind(
        "Password in a Windows answer file", "Change the account's password.", "high",
        "https://learn.microsoft.com/en-us/windows-hardware/customize/desktop/unattend/",
    ),
    "windows-policy-password": Kind(
        "Password in a Group Policy preference, under a published key", "Change the account's password.", "high",
        "https://learn.microsoft.com/en-us/openspecs/windows_protocols/ms-gppref/",
    ),
    # clients of HTTP APIs and .env
    "postman-secret": Kind(
        "Secret in a Postman environment", _TOKEN, "medium",
        "https://learning.postman.com/docs/sending-requests/variables/variables/",
    ),
    "insomnia-secret": Kind(
        "Secret in an Insomnia export", _TOKEN, "medium", "https://docs.insomnia.rest/insomnia/import-export-data",
    ),
    "http-client-secret": Kind(
        "Secret in an HTTP client's private environment", _TOKEN, "medium",
        "https://www.jetbrains.com/help/idea/exploring-http-syntax.html",
    ),
    "env-secret": Kind(
        "Secret in an environment file", _CHANGE, "medium",
        "https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/",
    ),
    "env-url-password": Kind(
        "Password in an address of an environment file", _CHANGE, "high", "https://12factor.net/config",
    ),
}  # fmt: skip
"""Kinds by id, in the order of the modules that find them."""
