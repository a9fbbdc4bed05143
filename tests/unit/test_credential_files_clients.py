"""Clients of networks, package managers, cloud services and containers: what their files hold is found in its place."""

from __future__ import annotations

import json

import pytest

from tests.leaks.marked_files import Case, fill
from vantage_secrets.leaks.credential_files import parser_for

CASES = (
    Case(
        "home/.netrc",
        """# machine old.internal login x password y
machine git.internal
    login deploy
    password @value:netrc-password@
machine ftp.internal login anonymous password @weak:netrc-password@
machine quoted.internal login a password "@value:netrc-password@"
machine docs.internal login you password your-password-here
machine odd.internal login password password @value:netrc-password@
macdef init
    password not-one-of-ours

default login anonymous password $FTP_PASSWORD
""",
    ),
    Case("home/_NETRC", "machine a login b password @value:netrc-password@ account c"),
    Case(
        "home/.git-credentials",
        """https://deploy:@value:git-credentials-password@@git.internal
https://@hex40:git-credentials-password@@git.internal
https://@hex40:git-credentials-password@:x-oauth-basic@github.internal
https://deploy@git.internal
https://deploy:${GIT_TOKEN}@git.internal
""",
    ),
    Case("home/.config/git/credentials", "https://u:@value:git-credentials-password@@git.internal\n"),
    Case(
        "repo/.git/config",
        """[core]
    repositoryformatversion = 0
[remote "origin"]
    url = https://ci:@value:git-config-password@@git.internal/team/app.git
    fetch = +refs/heads/*:refs/remotes/origin/*
[remote "public"]
    url = git@git.internal:team/app.git
""",
    ),
    Case(
        "home/.gitconfig",
        """[user]
    email = someone@git.internal
[url "https://oauth2:@value:git-config-password@@git.internal/"]
    insteadOf = https://git.internal/
[http "https://git.internal/"]
    extraheader = AUTHORIZATION: basic @login:git-config-header@
[http "https://other.internal/"]
    extraHeader = Authorization: Bearer ${TOKEN}
""",
    ),
    Case(
        "home/.msmtprc",
        """account work
host smtp.internal
user someone
password @value:mail-client-password@
# password commented-out
passwordeval "pass show mail"
account quoted
password "@value:mail-client-password@"
""",
    ),
    Case("etc/ssmtp/ssmtp.conf", "mailhub=smtp.internal:587\nAuthUser=a\nAuthPass=@value:mail-client-password@\n"),
    Case(
        "home/.offlineimaprc",
        "[Repository remote]\nremoteuser = a\nremotepass = @value:mail-client-password@\nremotepasseval = get_pass()\n",
    ),
    Case(
        "home/.fetchmailrc",
        """poll mail.internal protocol imap
    user "someone" there with password "@value:mail-client-password@" is "local" here
poll other.internal user a pass @value:mail-client-password@ keep
""",
    ),
    Case(
        "home/.muttrc",
        """set imap_user = "someone"
set imap_pass = "@value:mail-client-password@"
set smtp_pass=`pass show smtp`
set smtp_url = "smtp://someone:@value:mail-client-password@@smtp.internal:587/"
""",
    ),
    Case(
        "etc/postfix/sasl_passwd",
        "# relay user:password\n[smtp.internal]:587  mailer@internal:@value:mail-client-password@\n",
    ),
    Case(
        "home/.irssi/config",
        """servers = ( { address = "irc.internal"; port = "6697"; password = "@value:irc-password@"; } );
chatnets = { net = { sasl_mechanism = "PLAIN"; sasl_username = "a"; sasl_password = "@value:irc-password@";
    autosendcmd = "/msg NickServ identify @value:irc-password@;wait 2000"; }; };
""",
    ),
    Case(
        "vpn/office.ovpn",
        """client
remote vpn.internal 1194
<auth-user-pass>
someone
@value:openvpn-password@
</auth-user-pass>
<ca>
-----BEGIN CERTIFICATE-----
MIIB
-----END CERTIFICATE-----
</ca>
<tls-auth>
-----BEGIN OpenVPN Static key V1-----
@hex256:openvpn-static-key@
-----END OpenVPN Static key V1-----
</tls-auth>
""",
    ),
    Case(
        "etc/wireguard/office.conf",
        """[Interface]
PrivateKey = @key:wireguard-conf-private-key@
Address = 10.0.0.2/32
[Peer]
PublicKey = @key:none@
PresharedKey = @key:wireguard-preshared-key@
""",
    ),
    Case(
        "etc/NetworkManager/system-connections/office.nmconnection",
        "[wifi]\nssid=Office\n[wifi-security]\nkey-mgmt=wpa-psk\npsk=@value:wifi-passphrase@\n",
    ),
    Case(
        "etc/wpa_supplicant/wpa_supplicant.conf",
        'network={\n    ssid="Office"\n    psk="@value:wifi-passphrase@"\n}\n',
    ),
    Case(
        "www/.htpasswd",
        """# users
alice:@bcrypt:htpasswd-hash@
bob:@apr1:htpasswd-hash@
carol:@ldap:htpasswd-hash@
dave:@des:htpasswd-hash@
erin:*
""",
    ),
    Case("sites/intranet.htpasswd", "alice:@sha512crypt:htpasswd-hash@\n"),
    Case(
        "etc/shadow",
        "root:*:19000:0:99999:7:::\nalice:@sha512crypt:unix-password-hash@:19000:0:99999:7:::\ndaemon:!:19000::::::\n",
    ),
    Case(
        "app/.npmrc",
        """; registries
registry=https://npm.internal/
//npm.internal/:_authToken=@value:npm-auth-token@
//old.internal/:_password=@base64:npm-password@
//old.internal/:username=deploy
_auth = @login:npm-basic-auth@
//registry.npmjs.org/:_authToken=${NPM_TOKEN}
//docs.internal/:_authToken="your-token-here"
""",
    ),
    Case("app/.yarnrc", '"//npm.internal/:_authToken" "@value:npm-auth-token@"\nlastUpdateCheck 1700000000000\n'),
    Case(
        "app/.yarnrc.yml",
        """npmRegistries:
  "https://npm.internal":
    npmAlwaysAuth: true
    npmAuthToken: "@value:npm-auth-token@"
  "https://other.internal":
    npmAuthIdent: @login:npm-basic-auth@
  "https://third.internal":
    npmAuthToken: ${NPM_TOKEN}
yarnPath: .yarn/releases/yarn.cjs
""",
    ),
    Case(
        "home/.pypirc",
        """[distutils]
index-servers =
    pypi
    internal
[pypi]
username = __token__
password = @value:pypirc-password@
[internal]
repository: https://pypi.internal/
password: <password>
""",
    ),
    Case(
        "home/.config/pip/pip.conf",
        "[global]\nindex-url = https://ci:@value:pip-index-password@@pypi.internal/simple\ntimeout = 60\n",
    ),
    Case(
        "home/.m2/settings.xml",
        """<settings>
  <!-- <server><password>commented</password></server> -->
  <servers>
    <server><id>a</id><username>deploy</username><password>@value:maven-password@</password></server>
    <server><id>b</id><password>@jenkins:none@</password></server>
    <server><id>c</id><password>${env.MAVEN_PASSWORD}</password><passphrase>@value:maven-password@</passphrase></server>
  </servers>
  <profiles><profile><properties><sonar.token>@value:maven-password@</sonar.token></properties></profile></profiles>
</settings>
""",
    ),
    Case("home/.sbt/.credentials", "realm=Nexus\nhost=repo.internal\nuser=a\npassword=@value:maven-password@\n"),
    Case(
        "home/.gradle/gradle.properties",
        """org.gradle.jvmargs=-Xmx2g
signing.keyId=24875D73
signing.password=@value:gradle-secret@
signing.secretKeyRingFile=/home/a/.gnupg/secring.gpg
repoPassword=@value:gradle-secret@
RELEASE_STORE_PASSWORD=@weak:gradle-secret@
""",
    ),
    Case(
        "app/NuGet.Config",
        """<?xml version="1.0" encoding="utf-8"?>
<configuration>
  <packageSources><add key="internal" value="https://nuget.internal/v3/index.json" /></packageSources>
  <packageSourceCredentials><internal>
    <add key="Username" value="ci" />
    <add key="ClearTextPassword" value="@value:nuget-password@" />
  </internal></packageSourceCredentials>
  <apikeys><add key="https://nuget.internal" value="@value:nuget-password@" /></apikeys>
</configuration>
""",
    ),
    Case(
        "app/.bundle/config",
        '---\nBUNDLE_PATH: "vendor/bundle"\nBUNDLE_GEMS__INTERNAL: "ci:@value:bundler-password@"\n',
    ),
    Case(
        "app/auth.json",
        """{
  "http-basic": {"repo.internal": {"username": "ci", "password": "@value:composer-auth@"}},
  "github-oauth": {"github.com": "@hex40:composer-auth@"},
  "gitlab-domains": ["git.internal"]
}
""",
    ),
    Case("home/.cargo/credentials.toml", '[registry]\ntoken = "@value:cargo-token@"\n[registries.x]\nindex = "a"\n'),
    Case(
        "home/.config/pypoetry/auth.toml",
        '[http-basic.internal]\nusername = "ci"\npassword = "@value:pypirc-password@"\n',
    ),
    Case("home/.gem/credentials", "---\n:rubygems_api_key: @hex64:gem-credentials-key@\n"),
    Case(
        "home/.aws/credentials",
        """[default]
aws_access_key_id = AKIA
aws_secret_access_key = @value:aws-secret-key@
[session]
aws_session_token=@value:aws-profile-session-token@
[docs]
aws_secret_access_key = YOUR_SECRET_KEY_EXAMPLE
""",
    ),
    Case("home/.s3cfg", "[default]\naccess_key = AKIA\nsecret_key = @value:s3cfg-secret@\ngpg_passphrase =\n"),
    Case(
        "home/.boto",
        "[Credentials]\ngs_oauth2_refresh_token = @value:boto-secret@\n[OAuth2]\nclient_id = a\n"
        "client_secret = @value:boto-secret@\n",
    ),
    Case(
        "home/.config/gcloud/application_default_credentials.json",
        '{"client_id": "1.apps", "client_secret": "@value:google-client-secret@",'
        ' "refresh_token": "@value:google-login-refresh-token@", "type": "authorized_user"}',
    ),
    Case(
        "keys/project-1234.json",
        '{"type": "service_account", "private_key_id": "@hex40:none@", "private_key":'
        ' "@value:service-account-file-key@",'
        ' "client_email": "a@b.internal"}',
    ),
    Case(
        "home/.azure/accessTokens.json",
        '[{"tokenType": "Bearer", "accessToken": "@value:azure-token@", "refreshToken": "@value:azure-token@"}]',
    ),
    Case(
        "home/.azure/service_principal_entries.json",
        '[{"client_id": "a", "tenant": "b", "client_secret": "@value:azure-login-client-secret@"}]',
    ),
    Case(
        "deploy/app.PublishSettings",
        '<publishData><publishProfile profileName="a" userName="$a" userPWD="@value:azure-publish-password@"'
        " /></publishData>",
    ),
    Case(
        "home/.config/rclone/rclone.conf",
        """[box]
type = sftp
host = box.internal
pass = @obscured:rclone-password@
[s3]
type = s3
access_key_id = AKIA
secret_access_key = @value:rclone-secret@
[drive]
type = drive
token = {"access_token":"@value:rclone-secret@","token_type":"Bearer","refresh_token":"@value:rclone-secret@"}
""",
    ),
    Case(
        "home/.config/gh/hosts.yml",
        "github.com:\n    user: someone\n    oauth_token: @value:code-host-token@\n    git_protocol: https\n",
    ),
    Case(
        "home/.config/hub", "github.com:\n- user: someone\n  oauth_token: @value:code-host-token@\n  protocol: https\n"
    ),
    Case("home/.cache/huggingface/token", "@value:hugging-face-token-file@\n"),
    Case("home/.databrickscfg", "[DEFAULT]\nhost = https://dbc.internal\ntoken = @value:databricks-secret@\n"),
    Case("home/.config/doctl/config.yaml", "access-token: @value:cloud-client-token@\napi-url: ''\ncontext: default\n"),
    Case("home/.kaggle/kaggle.json", '{"username":"someone","key":"@hex32:cloud-client-token@"}'),
    Case(
        "etc/openstack/clouds.yaml",
        "clouds:\n  internal:\n    auth:\n      auth_url: https://a/\n      username: a\n"
        "      password: @value:openstack-password@\n",
    ),
    Case("home/.vault-token", "@value:vault-token-file@"),
    Case(
        "home/.docker/config.json",
        """{
  "auths": {
    "https://index.docker.io/v1/": {"auth": "@login:docker-registry-auth@"},
    "registry.internal": {"auth": "", "identitytoken": "@value:docker-identity-token@"},
    "docs.internal": {"auth": "dXNlcm5hbWU6cGFzc3dvcmQ="}
  },
  "credHelpers": {"gcr.io": "gcloud"},
  "plugins": {"x": {"password": "elsewhere-and-not-a-login"}}
}
""",
    ),
    Case("home/.dockercfg", '{"registry.internal": {"auth": "@login:docker-registry-auth@", "email": "a@b"}}'),
    Case("run/containers/auth.json", '{"auths": {"quay.io": {"auth": "@login:docker-registry-auth@"}}}'),
    Case(
        "deploy/secrets.yaml",
        """apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data:
  password: a-setting-by-mistake
---
apiVersion: v1
data:
  KAFKA_SASL_PASSWORD: @base64:kubernetes-secret@
  username: @base64:none@
  tls.crt: @base64:none@
  tls.key: |
    @base64:kubernetes-secret@
  empty: ""
  template: {{ .Values.password | b64enc }}
kind: Secret
metadata:
  name: app
type: Opaque
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Secret
  stringData:
    "api-key": '@value:kubernetes-secret@'   # rotate me
    placeholder: changeme
- apiVersion: v1
  kind: ConfigMap
  data:
    api-key: not-a-secret-by-kind
---
apiVersion: v1
kind: Secret
type: kubernetes.io/dockerconfigjson
data:
  .dockerconfigjson: @base64:kubernetes-docker-config@
""",
    ),
    Case(
        "dump/all.json",
        '{"items": [{"kind": "ConfigMap", "data": {"a": "value-of-a-map"}},'
        ' {"data": {"password": "@base64:kubernetes-secret@"}, "kind": "Secret"}], "kind": "List"}',
    ),
    Case(
        "home/.kube/config",
        """apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: @base64:none@
    server: https://k8s.internal
  name: c
current-context: c
kind: Config
users:
- name: admin
  user:
    client-certificate-data: @base64:none@
    client-key-data: @base64:kubeconfig-client-key@
- name: bot
  user:
    token: @value:kubeconfig-token@
- name: basic
  user:
    username: a
    password: @weak:kubeconfig-password@
- name: oidc
  user:
    auth-provider:
      config:
        client-id: kubernetes
        refresh-token: @value:kubeconfig-token@
      name: oidc
""",
    ),
    Case(
        "home/.config/helm/repositories.yaml",
        "repositories:\n- name: internal\n  password: @value:helm-repository-password@\n"
        "  url: https://charts.internal\n  username: ci\n",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path)
def test_each_secret_of_a_client_is_found_where_it_stands_and_nothing_else_is(case: Case) -> None:
    data, expected = fill(case.template)
    parser = parser_for(case.path)
    assert parser is not None
    assert sorted(parser(data), key=lambda field: field.begin) == expected


def test_a_service_account_key_of_any_name_is_a_credential_file() -> None:
    parser = parser_for("download/anything.json")
    assert parser is not None
    assert list(parser(json.dumps({"type": "object", "private_key": "of a schema"}).encode())) == []
