"""Databases, brokers, saved sessions and histories: what their files hold is found in its place."""

from __future__ import annotations

import secrets

import pytest

from tests.leaks.marked_files import Case, fill
from vantage_secrets.leaks.credential_files import Field, parser_for

CASES = (
    Case(
        "home/.pgpass",
        r"""# host:port:database:user:commented
db.internal:5432:app:alice:@value:pgpass-password@
*:*:*:bob:@weak:pgpass-password@
\:\:1:5432:app:carol:@value:pgpass-password@
db.internal:5432:app:dave:
db.internal:5432:app
db.internal:5432:app:docs:<password>
""",
    ),
    Case("conf/team.pgpass", "db:5432:*:a:@value:pgpass-password@\r\n"),
    Case("home/.pg_service.conf", "[app]\nhost=db.internal\nuser=a\npassword=@value:pgpass-password@\n"),
    Case(
        "home/.my.cnf",
        """[client]
user = root
password = "@value:mysql-password@"
[mysqldump]
password=@weak:mysql-password@
[mysqld]
port = 3306
# password = commented
""",
    ),
    Case("etc/mysql/debian.cnf", "[client]\nhost = localhost\npassword = @value:mysql-password@\n"),
    Case(
        "etc/redis/redis.conf",
        """port 6379
# requirepass foobared
requirepass @value:redis-conf-password@
masterauth "@value:redis-conf-password@"
user app on >@value:redis-conf-password@ ~app:* +@all
user ops on #@hex64:redis-acl-hash@ ~* +@all
""",
    ),
    Case(
        "etc/clickhouse-server/users.xml",
        """<clickhouse><users>
  <default><password></password><networks><ip>::/0</ip></networks></default>
  <writer><password>@value:clickhouse-users-password@</password></writer>
  <reader><password_sha256_hex>@hex64:clickhouse-users-hash@</password_sha256_hex></reader>
  <!-- <old><password>commented</password></old> -->
  <env><password from_env="CLICKHOUSE_PASSWORD"/></env>
</users></clickhouse>
""",
    ),
    Case(
        "etc/clickhouse-server/config.d/cluster.xml",
        """<clickhouse><remote_servers><main><secret>@value:clickhouse-users-password@</secret>
<shard><replica><host>ch1</host><password><![CDATA[@value:clickhouse-users-password@]]></password></replica></shard>
</main></remote_servers><kafka><sasl_password>@value:clickhouse-users-password@</sasl_password></kafka></clickhouse>
""",
    ),
    Case(
        "etc/clickhouse-server/users.d/writer.yaml",
        "users:\n  writer:\n    password: @value:clickhouse-users-password@\n    profile: default\n",
    ),
    Case(
        "home/.clickhouse-client/config.xml", "<config><password>@value:clickhouse-users-password@</password></config>"
    ),
    Case(
        "kafka/client.properties",
        """# client
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\
  username="collector" password="@value:kafka-config-password@";
ssl.keystore.location=/etc/kafka/keystore.jks
ssl.keystore.password=@value:kafka-config-password@
ssl.truststore.password=changeme
sasl.password=${file:/etc/secret:password}
""",
    ),
    Case(
        "kafka/kafka_server_jaas.conf",
        """KafkaServer {
  org.apache.kafka.common.security.plain.PlainLoginModule required
  username="admin"
  password="@value:kafka-config-password@"
  user_admin="@value:kafka-config-password@"
  user_collector="@weak:kafka-config-password@";
};
""",
    ),
    Case("etc/odbc.ini", "[warehouse]\nDriver = ClickHouse\nUID = a\nPWD = @value:odbc-password@\n"),
    Case("home/.cassandra/cqlshrc", "[authentication]\nusername = a\npassword = @value:cassandra-password@\n"),
    Case(
        "home/.snowsql/config",
        "[connections.prod]\naccountname = a\nusername = b\npassword = @value:snowflake-password@\n",
    ),
    Case(
        "home/.dbt/profiles.yml",
        """shop:
  target: prod
  outputs:
    prod:
      type: postgres
      user: a
      password: "@value:dbt-secret@"
    dev:
      type: postgres
      password: "{{ env_var('DBT_PASSWORD') }}"
""",
    ),
    Case(
        "app/alembic.ini", "[alembic]\nsqlalchemy.url = postgresql://app:@value:alembic-url-password@@db.internal/app\n"
    ),
    Case(
        "backup/shop.sql",
        """-- MySQL dump 10.13
CREATE TABLE `users` (
  `id` int NOT NULL AUTO_INCREMENT,
  `email` varchar(255) DEFAULT NULL,
  `password` varchar(255) DEFAULT NULL,
  `api_token` char(32) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `email` (`email`)
) ENGINE=InnoDB;
INSERT INTO `users` VALUES (1,'a@b.internal','@bcrypt:sql-password-hash@','@hex32:sql-dump-token@'),\
(2,'o\\'hara@b.internal','@weak:sql-dump-password@',NULL),(3,'(;,)','',NULL);
INSERT INTO `posts` VALUES (1,'password','text about passwords; and more');
INSERT INTO members (name, pass) VALUES ('it''s', '@hex32:sql-password-hash@')
ON DUPLICATE KEY UPDATE name = 'x';
CREATE USER 'app'@'%' IDENTIFIED BY '@value:sql-password@';
CREATE USER 'old'@'%' IDENTIFIED WITH mysql_native_password AS '@mysql41:sql-password-hash@';
ALTER ROLE writer WITH LOGIN PASSWORD '@value:sql-password@';
CREATE USER reader IDENTIFIED WITH sha256_hash BY '@hex64:sql-password-hash@';
CREATE LOGIN app WITH PASSWORD = N'@value:sql-password@';
CREATE USER docs IDENTIFIED BY '<password>';
""",
    ),
    Case(
        "backup/app.dump",
        """--
COPY public.accounts (id, email, encrypted_password, note) FROM stdin;
1\ta@b.internal\t@bcrypt:sql-password-hash@\tnothing
2\tb@b.internal\t@pbkdf2:sql-password-hash@\t\\N
3\tc@b.internal\t\\N\t\\N
\\.
COPY public.orders (id, note) FROM stdin;
1\tpassword is here
\\.
""",
    ),
    Case(
        "DBeaver/.dbeaver/credentials-config.json",
        '{"postgres-1": {"#connection": {"user": "a", "password": "@value:dbeaver-password@"}}}',
    ),
    Case(
        "HeidiSQL/portable_settings.txt",
        "Servers\\db\\Host<|||>1<|||>db.internal\nServers\\db\\Password<|||>1<|||>@upperhex:heidisql-password@\n"
        "Servers\\db\\Port<|||>1<|||>3306\n",
    ),
    Case(
        "navicat/connections.ncx",
        '<Connections Ver="1.5"><Connection ConnectionName="a" UserName="root" Password="@upperhex:navicat-password@"'
        ' SavePassword="true" SSH_Password=""/></Connections>',
    ),
    Case(
        "repo/.idea/dataSources.xml",
        "<project><jdbc-url>jdbc:postgresql://db.internal/app?user=a&amp;password=@value:jetbrains-database-password@"
        "</jdbc-url><jdbc-url>jdbc:clickhouse://ch.internal:8123/default</jdbc-url></project>",
    ),
    Case(
        "repo/.idea/webServers.xml",
        '<webServer name="a"><fileTransfer host="h" password="@upperhex:jetbrains-server-password@"'
        ' port="22"/></webServer>',
    ),
    Case(
        "home/.squirrel-sql/SQLAliases23.xml",
        "<Beans><Bean><userName>a</userName><password>@value:squirrel-password@</password></Bean>"
        "<Bean><password></password></Bean></Beans>",
    ),
    Case(
        "home/.3T/robomongo/robomongo.json",
        '{"connections": [{"credentials": [{"userName": "a", "userPassword": "@value:saved-mongodb-password@"}]}]}',
    ),
    Case(
        "FileZilla/sitemanager.xml",
        """<FileZilla3><Servers>
<Server><Host>a</Host><User>u</User><Pass encoding="base64">@base64:filezilla-password@</Pass></Server>
<Server><Host>b</Host><User>u</User><Pass>@value:filezilla-password@</Pass></Server>
<Server><Host>c</Host><Pass encoding="crypt" pubkey="x">@base64:none@</Pass></Server>
<Server><Host>d</Host><User>anonymous</User><Pass encoding="base64" /></Server>
</Servers></FileZilla3>
""",
    ),
    Case(
        "WinSCP.ini",
        "[Sessions\\a]\nHostName=a\nUserName=u\nPassword=@upperhex:winscp-password@\n[Sessions\\b]\nPassword=\n",
    ),
    Case(
        "confCons.xml",
        '<Connections Protected="x"><Node Name="a" Username="u" Password="@base64:mremoteng-password@" Port="22"/>'
        '<Node Name="b" Password=""/></Connections>',
    ),
    Case(
        "repo/.vscode/sftp.json",
        """{
    // the server of the site
    "host": "web.internal",
    "username": "deploy",
    "password": "@value:editor-sftp-password@",
    "privateKeyPath": "~/.ssh/id_rsa",
    "passphrase": "@value:editor-sftp-password@",
    "remotePath": "/var/www",
}
""",
    ),
    Case(
        "home/.ftppass",
        '{"key1": {"username": "u", "password": "@weak:editor-sftp-password@"}, "key2": {"password": ""}}',
    ),
    Case(
        "home/.local/share/remmina/a.remmina",
        "[remmina]\nserver=a\npassword=@base64:remmina-password@\nssh_password=\n",
    ),
    Case(
        "home/.bash_history",
        """ls -la
#1700000000
mysql -u root -p@weak:shell-history-password@ shop
mysql -u root -p shop
PGPASSWORD=@value:shell-history-password@ psql -h db.internal
export GITLAB_TOKEN="@value:shell-history-password@"
export GITLAB_TOKEN=$(pass show gitlab)
sshpass -p '@value:shell-history-password@' ssh a@b
sudo sshpass -p@value:shell-history-password@ ssh a@b && echo done
curl -u admin:@value:shell-history-password@ https://grafana.internal/api
curl -u admin https://grafana.internal/api
curl https://ci:@value:shell-history-password@@git.internal/x
docker login -u ci -p @value:shell-history-password@ registry.internal
docker run -p 8080:80 -e DB_PASSWORD=@value:shell-history-password@ app
clickhouse-client --user default --password @value:shell-history-password@ -q 'SELECT 1'
clickhouse-client --password --host x
redis-cli -a @value:shell-history-password@ ping
ssh -p 22 someone@host
echo '@value:shell-history-password@' | sudo -S apt update
echo "alice:@value:shell-history-password@" | sudo chpasswd
echo @value:shell-history-password@ | docker login --password-stdin registry.internal
echo hello | tee file
openssl rsa -in a.pem -passin pass:@value:shell-history-password@
kubectl create secret generic a --from-literal=token=@value:shell-history-password@
helm upgrade a ./a --set auth.password=@value:shell-history-password@ --set replicas=3
aws configure set aws_secret_access_key @value:shell-history-password@
htpasswd -b .htpasswd alice @value:shell-history-password@
rabbitmqctl add_user app @value:shell-history-password@
vault login @value:shell-history-password@
wget --http-password=@value:shell-history-password@ https://a.internal/
smbclient //h/share -U 'alice%@value:shell-history-password@'
mysqldump --password=$DB_PASSWORD shop
psql "host=db password=@value:shell-history-password@"
git commit -m "password: changed"
vault kv get secret/app/password
""",
    ),
    Case(
        "home/.zsh_history",
        ": 1700000000:0;mysql -uroot -p@weak:shell-history-password@\n: 1700000001:3;ls \\\n  -la\n",
    ),
    Case(
        "home/.local/share/fish/fish_history",
        "- cmd: ls\n  when: 1700000000\n- cmd: curl --user a:@value:shell-history-password@ https://h/\n"
        "  when: 1700000009\n",
    ),
    Case(
        "home/.psql_history",
        "SELECT 1;\nALTER USER app WITH PASSWORD '@value:sql-history-password@';\nALTER USER x PASSWORD NULL;\n",
    ),
    Case(
        "home/.mysql_history",
        "_HiStOrY_V2_\nCREATE\\040USER\\040app\\040IDENTIFIED\\040BY\\040'@value:sql-history-password@';\n",
    ),
    Case(
        "home/.clickhouse-client-history",
        "### 2026-01-01 00:00:00.000\n"
        "CREATE USER w IDENTIFIED WITH sha256_password BY '@value:sql-history-password@'\n",
    ),
    Case(
        "home/.rediscli_history",
        "AUTH @value:redis-conf-password@\nGET key\nconfig set requirepass @value:redis-conf-password@\n",
    ),
    Case(
        "home/.python_history",
        """import os
os.environ["API_TOKEN"] = "@value:code-history-secret@"
connect(host="db.internal", password='@value:code-history-secret@')
engine = create_engine("postgresql://a:@value:code-history-secret@@db.internal/app")
password = getpass("Password: ")
token = "short"
""",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path)
def test_each_secret_is_found_where_it_stands_and_nothing_else_is(case: Case) -> None:
    data, expected = fill(case.template)
    parser = parser_for(case.path)
    assert parser is not None
    assert sorted(parser(data), key=lambda field: field.begin) == expected


def test_the_ciphertext_of_dbeaver_is_one_secret() -> None:
    parser = parser_for("DBeaver/.dbeaver/credentials-config.json")
    assert parser is not None
    assert list(parser(secrets.token_bytes(160))) in ([Field("dbeaver-credentials", 0, 160)], [])
    assert list(parser(b"\xff" + secrets.token_bytes(159))) == [Field("dbeaver-credentials", 0, 160)]
    assert list(parser(b"\xff" * 50)) == []


def test_the_password_file_of_a_vnc_server_is_one_secret() -> None:
    parser = parser_for("home/.vnc/passwd")
    assert parser is not None
    assert list(parser(secrets.token_bytes(8))) == [Field("vnc-password", 0, 8)]
    assert list(parser(b"root:x:0:0:root:/root:/bin/sh\n")) == []


def test_a_value_that_zsh_metafied_is_found_whole() -> None:
    value = b"p\x83\xa3\x83\xbcssw\x83\xb6rd"
    data = b": 1700000000:0;mysql -uroot -p" + value + b" shop\n"
    parser = parser_for(".zsh_history")
    assert parser is not None
    assert [data[field.begin : field.end] for field in parser(data)] == [value]
