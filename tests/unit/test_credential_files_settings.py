"""Frameworks, infrastructure and environments: what their settings hold is found in its place."""

from __future__ import annotations

import pytest

from tests.leaks.marked_files import Case, fill
from vantage_secrets.leaks.credential_files import parser_for

CASES = (
    Case(
        "www/wp-config.php",
        """<?php
define( 'DB_NAME', 'shop' );
define( 'DB_USER', 'wordpress' );
define( 'DB_PASSWORD', '@weak:wordpress-database-password@' );
define( 'DB_HOST', 'localhost' );
define('AUTH_KEY',         '@value:wordpress-key@');
define('SECURE_AUTH_KEY',  "@value:wordpress-key@");
define('NONCE_SALT',       'put your unique phrase here');
define('LOGGED_IN_SALT',   '@value:wordpress-key@');
$table_prefix = 'wp_';
define( 'WP_DEBUG', false );
""",
    ),
    Case(
        "www/configuration.php",
        "<?php\nclass JConfig {\n\tpublic $user = 'a';\n\tpublic $password = '@value:php-secret@';\n}\n",
    ),
    Case(
        "www/app/etc/env.php",
        "<?php\nreturn ['crypt' => ['key' => '@hex32:php-secret@'], 'db' => ['username' => 'a',"
        " 'password' => '@value:php-secret@', 'model' => 'mysql4', 'active' => '1']];\n",
    ),
    Case(
        "www/config.inc.php",
        "<?php\n$cfg['blowfish_secret'] = '@value:php-secret@';\n"
        "$cfg['Servers'][$i]['password'] = '@weak:php-secret@';\n"
        "$cfg['Servers'][$i]['host'] = 'db';\n",
    ),
    Case(
        "site/settings.py",
        """import os
SECRET_KEY = "@value:django-secret-key@"
DEBUG = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "USER": "app",
        "PASSWORD": "@weak:django-password@",
    },
    "other": {"PASSWORD": os.environ["OTHER_PASSWORD"]},
}
EMAIL_HOST_PASSWORD = '@value:django-password@'
AWS_SECRET_ACCESS_KEY: str = "@value:django-password@"
CELERY_BROKER_URL = "amqp://app:@value:django-password@@mq.internal//"
LOGIN_URL = "/accounts/login/"
PASSWORD_RESET_TIMEOUT = 3600
TOKEN = "/run/secrets/token"
""",
    ),
    Case("site/settings/production.py", "SECRET_KEY = '@value:django-secret-key@'\n"),
    Case(
        "app/config/database.yml",
        """default: &default
  adapter: postgresql
  password: <%= ENV["DB_PASSWORD"] %>
production:
  <<: *default
  username: app
  password: @value:rails-database-password@
staging:
  url: postgresql://app:@value:rails-database-password@@db.internal/app
test:
  password:
""",
    ),
    Case(
        "app/config/secrets.yml",
        "development:\n  secret_key_base: @hex64:rails-secret@\nproduction:\n"
        '  secret_key_base: <%= ENV["SECRET_KEY_BASE"] %>\n  mailgun_api_key: "@value:rails-secret@"\n',
    ),
    Case("app/config/master.key", "@hex32:rails-master-key@"),
    Case("app/config/credentials/production.key", "@hex32:rails-master-key@\n"),
    Case("jenkins/secrets/master.key", "@hex256:jenkins-master-key@"),
    Case(
        "app/config/initializers/secret_token.rb",
        "# config.secret_key_base = 'comment-of-thirty-two-characters'\n"
        "App.config.secret_key_base = '@hex64:rails-secret@'\n",
    ),
    Case(
        "app/config/parameters.yml",
        "parameters:\n    database_user: app\n    database_password: @weak:symfony-secret@\n"
        "    secret: @hex40:symfony-secret@\n"
        "    mailer_password: '%env(MAILER_PASSWORD)%'\n    locale: en\n",
    ),
    Case(
        "tomcat/conf/tomcat-users.xml",
        '<tomcat-users><!-- <user username="a" password="commented"/> -->\n'
        '<user username="admin" password="@weak:tomcat-password@" roles="manager-gui"/></tomcat-users>\n',
    ),
    Case(
        "app/META-INF/context.xml",
        '<Context><Resource name="jdbc/db" username="a" password="@value:tomcat-password@" url="jdbc:x"/></Context>',
    ),
    Case(
        "app/.streamlit/secrets.toml",
        'db_username = "a"\ndb_password = "@value:streamlit-secret@"\n[api]\nkey = "@value:streamlit-secret@"\n',
    ),
    Case(
        "app/.env",
        """# database
APP_NAME="My App"
APP_KEY=@laravel:env-secret@
DB_HOST=127.0.0.1
DB_PASSWORD=@weak:env-secret@
export API_TOKEN='@value:env-secret@'
KAFKA_SASL_PASSWORD="@value:env-secret@" # the collector's
DATABASE_URL=postgresql://app:@value:env-url-password@@db.internal/app
MAIL_PASSWORD=null
REDIS_PASSWORD=
JWT_SECRET=${JWT_SECRET_FROM_VAULT}
SSL_KEY=/etc/ssl/private/app.key
STRIPE_PUBLISHABLE_KEY=pk-of-the-page
SESSION_KEY=changeme
MAX_TOKEN=4096
""",
    ),
    Case("app/.env.production", "SECRET_KEY_BASE=@hex64:env-secret@\r\nPORT=80\r\n"),
    Case("app/.env.eu-west", "SENTRY_AUTH_TOKEN=@value:env-secret@\n"),
    Case("deploy/prod.env", "SMTP_PASS=@value:env-secret@\n"),
    Case(
        "infra/terraform.tfstate",
        """{
  "version": 4,
  "outputs": {
    "endpoint": {"value": "db.internal:5432", "type": "string"},
    "admin": {"value": "@value:terraform-state-secret@", "type": "string", "sensitive": true},
    "db_password": {"value": "@value:terraform-state-secret@", "type": "string"}
  },
  "resources": [
    {"mode": "managed", "type": "random_password", "name": "db", "instances": [
      {"attributes": {"id": "none", "length": 20, "result": "@value:terraform-state-secret@",
        "bcrypt_hash": "@bcrypt:terraform-state-secret@", "special": true}}]},
    {"mode": "managed", "type": "aws_db_instance", "name": "db", "instances": [
      {"attributes": {"address": "db.internal", "password": "@weak:terraform-state-secret@", "username": "app",
        "master_user_secret": [], "kms_key_id": "arn:aws:kms:eu:1:key/2"}}]},
    {"mode": "managed", "type": "tls_private_key", "name": "k", "instances": [
      {"attributes": {"private_key_pem": "@value:terraform-state-secret@", "public_key_pem": "public"}}]}
  ]
}
""",
    ),
    Case(
        "infra/terraform.tfstate.backup",
        '{"resources": [{"instances": [{"attributes": {"token": "@value:terraform-state-secret@"}}]}]}',
    ),
    Case(
        "infra/prod.tfvars",
        """# variables
region      = "eu-west-1"
db_password = "@value:terraform-variable@"
tags = {
  owner     = "ops"
  api_token = "@value:terraform-variable@"
}
broker_url = "amqp://a:@value:terraform-variable@@mq.internal"
secret_arn = "arn:aws:secretsmanager:eu:1:secret:x"
admin_password = "<password>"
""",
    ),
    Case("infra/prod.auto.tfvars.json", '{"region": "eu", "db_password": "@value:terraform-variable@"}'),
    Case("home/.terraformrc", 'credentials "app.terraform.io" {\n  token = "@value:terraform-cli-token@"\n}\n'),
    Case(
        "home/.terraform.d/credentials.tfrc.json",
        '{"credentials": {"app.terraform.io": {"token": "@value:terraform-cli-token@"}}}',
    ),
    Case("ansible/.vault_pass", "@weak:ansible-vault-password-file@\n"),
    Case(
        "ansible/hosts.ini",
        """[web]
web1 ansible_user=deploy ansible_password=@value:ansible-password@ ansible_become_pass='@weak:ansible-password@'
web2 ansible_user=deploy ansible_password="{{ vault_web2 }}"
""",
    ),
    Case(
        "ansible/group_vars/all.yml",
        "ansible_user: deploy\nansible_become_password: @value:ansible-password@\n"
        "db_password: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n",
    ),
    Case("chef/encrypted_data_bag_secret", "@base64:chef-data-bag-secret@\n"),
    Case(
        "jenkins/credentials.xml",
        "<list><c><username>a</username><password>@value:jenkins-credential@</password></c>"
        "<c><password>@jenkins:none@</password></c></list>",
    ),
    Case(
        "setup/Autounattend.xml",
        "<unattend><UserAccounts><AdministratorPassword><Value>@value:windows-answer-file-password@</Value>"
        "<PlainText>true</PlainText></AdministratorPassword></UserAccounts><Key><Value>other</Value></Key></unattend>",
    ),
    Case(
        "Policies/Preferences/Groups/Groups.xml",
        '<Groups><User name="a"><Properties cpassword="@base64:windows-policy-password@" userName="a"/></User>'
        '<User name="b"><Properties cpassword=""/></User></Groups>',
    ),
    Case(
        "team.postman_environment.json",
        """{"name": "prod", "values": [
  {"key": "host", "value": "https://api.internal", "type": "default", "enabled": true},
  {"key": "access_token", "value": "@value:postman-secret@", "type": "default"},
  {"type": "secret", "value": "@weak:postman-secret@", "key": "pin"},
  {"key": "api_key", "value": "{{api_key}}", "type": "secret"}
], "_postman_variable_scope": "environment"}
""",
    ),
    Case(
        "exports/insomnia.json",
        '{"_type": "export", "__export_format": 4, "resources": [{"_type": "environment",'
        ' "data": {"host": "https://a", "api_token": "@value:insomnia-secret@"}}]}',
    ),
    Case("http/http-client.private.env.json", '{"dev": {"user": "a", "password": "@weak:http-client-secret@"}}'),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path)
def test_each_secret_is_found_where_it_stands_and_nothing_else_is(case: Case) -> None:
    data, expected = fill(case.template)
    parser = parser_for(case.path)
    assert parser is not None
    assert sorted(parser(data), key=lambda field: field.begin) == expected


@pytest.mark.parametrize("path", ["app/.env.example", "app/.env.sample", "app/.env.production.template", ".env.dist"])
def test_an_example_of_an_environment_file_is_left_to_the_rules(path: str) -> None:
    assert parser_for(path) is None


def test_a_script_that_prints_the_vault_password_is_none() -> None:
    parser = parser_for(".vault_pass")
    assert parser is not None
    assert list(parser(b"#!/bin/sh\npass show ansible\n")) == []
    assert list(parser(b"$ANSIBLE_VAULT;1.1;AES256\n6162\n")) == []
