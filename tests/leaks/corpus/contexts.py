"""How configuration files and programs hold a secret: one template a way, by kind of file.

``@N`` is the name in the style given, ``@V`` the value, ``@U`` a user, ``@H`` a host; ``\n`` begins another line, and a
doubled backslash is one. ``calm`` templates have no quotes, so the value must need none.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Context(NamedTuple):
    """One way to hold a secret.

    Attributes:
        template: The text.
        style: Of the name.
        kinds: ``p`` a password may stand there, ``s`` a key or token.
        is_calm: Whether the value must do without quotes.
        suffix: Of the file.
    """

    template: str
    style: str
    kinds: str
    is_calm: bool
    suffix: str


_TABLE = {
    "env": """
        upper ps calm  @N=@V
        upper ps calm  export @N=@V
        upper ps quote @N="@V"
        upper ps quote @N='@V'
        upper ps calm  # @N=@V
    """,
    "yaml": """
        snake ps calm  @N: @V
        snake ps quote @N: "@V"
        camel ps quote @N: '@V'
        kebab ps calm    @N: @V
        upper ps quote   - name: @N\\n    value: "@V"
        upper ps calm    - name: @N\\n    value: @V
        upper ps calm    - @N=@V
        dotted ps calm @N: @V
    """,
    "json": """
        snake ps quote   "@N": "@V",
        camel ps quote   "@N": "@V",
        upper ps quote   { "name": "@N", "value": "@V" },
        pascal ps quote   "@N": "@V",
        camel ps quote   "body": "{\\\\"@N\\\\": \\\\"@V\\\\"}",
    """,
    "toml": """
        snake ps quote @N = "@V"
        kebab ps quote @N = '@V'
    """,
    "ini": """
        snake ps calm  @N = @V
        snake ps calm  @N=@V
        kebab ps calm  @N = @V
    """,
    "properties": """
        dotted ps calm @N=@V
        dotted ps calm spring.datasource.@N=@V
        dotted ps calm @N = @V
        camel ps calm  app.@N=@V
    """,
    "xml": """
        camel ps quote   <@N>@V</@N>
        camel ps quote   <property name="@N" value="@V"/>
        pascal ps quote  <add key="@N" value="@V" />
        snake ps quote   <string name="@N">@V</string>
        camel ps quote   <entry key="@N">@V</entry>
        camel ps quote   <datasource user="@U" @N="@V"/>
        camel ps quote   <@N><![CDATA[@V]]></@N>
    """,
    "py": """
        upper ps quote @N = "@V"
        snake ps quote @N = '@V'
        snake ps quote client = connect(host="@H", @N="@V")
        snake ps quote     self.@N = "@V"
        snake ps quote     "@N": "@V",
        snake ps quote config["@N"] = "@V"
        snake ps quote @N: str = "@V"
        upper ps quote os.environ["@N"] = "@V"
        upper ps quote @N = os.environ.get("@N", "@V")
        snake p  quote conn = psycopg2.connect(dbname="shop", user="@U", password="@V", host="@H")
        snake p  quote requests.get(url, auth=("@U", "@V"))
        snake p  quote if password == "@V":
        snake ps quote parser.add_argument("--@N", default="@V")
        snake ps quote @N = SecretStr("@V")
    """,
    "go": """
        camel ps quote 	@N := "@V"
        pascal ps quote 		@N: "@V",
        camel ps quote const @N = "@V"
        camel ps quote var @N string = "@V"
        camel ps quote 	cfg.@N = `@V`
        upper ps quote 	os.Setenv("@N", "@V")
        snake p  quote 	req.SetBasicAuth("@U", "@V")
        snake p  quote 	db, err := sql.Open("postgres", "host=@H user=@U password=@V dbname=shop sslmode=disable")
    """,
    "java": """
        upper ps quote     private static final String @N = "@V";
        camel ps quote     String @N = "@V";
        pascal ps quote     config.set@N("@V");
        dotted ps quote     props.put("@N", "@V");
        dotted ps quote     System.setProperty("@N", "@V");
        camel ps quote     @Value("${@N:@V}")
        camel p  quote     Connection c = DriverManager.getConnection("jdbc:mysql://@H/shop", "@U", "@V");
    """,
    "ts": """
        camel ps quote const @N = '@V';
        camel ps quote   @N: '@V',
        camel ps quote let @N: string = "@V";
        camel ps quote   private readonly @N = "@V";
        upper ps quote process.env.@N = '@V';
        upper ps quote const key = process.env.@N || "@V";
        camel ps quote export const config = { @N: "@V", retries: 3 };
        camel ps quote   this.@N = `@V`;
    """,
    "rb": """
        snake ps quote   @N: "@V",
        snake ps quote   :@N => '@V',
        snake ps quote @N = '@V'
        snake ps quote config.@N = "@V"
        upper ps quote ENV['@N'] ||= '@V'
        upper ps quote   @N = ENV.fetch("@N", "@V")
    """,
    "php": """
        snake ps quote     '@N' => '@V',
        upper ps quote define('@N', '@V');
        snake ps quote $@N = "@V";
        camel ps quote     private $@N = '@V';
        snake ps quote $config['@N'] = '@V';
        upper ps quote     '@N' => env('@N', '@V'),
    """,
    "cs": """
        pascal ps quote     public string @N { get; set; } = "@V";
        camel ps quote     var @N = "@V";
        pascal ps quote     const string @N = "@V";
        camel ps quote     string @N = @"@V";
        pascal ps quote     options.@N = "@V";
        camel p  calm      var c = "Server=@H;Database=shop;User Id=@U;Password=@V;";
        pascal p  quote     new NetworkCredential("@U", "@V")
    """,
    "sh": """
        upper ps quote @N="@V"
        upper ps quote export @N='@V'
        upper ps calm  @N=@V ./run.sh
        kebab ps quote ./deploy --@N "@V" --verbose
        kebab ps calm  ./deploy --@N=@V
        upper ps calm  docker run -d -e @N=@V app:latest
        snake p  calm  mysql -h @H -u @U -p@V shop < dump.sql
        snake p  quote curl -u @U:"@V" https://@H/health
        snake p  calm  curl -u @U:@V https://@H/health
        snake p  calm  sshpass -p @V ssh @U@@H
        snake p  calm  PGPASSWORD=@V psql -h @H -U @U
        snake s  calm  curl -H "Authorization: Bearer @V" https://@H/v1
        snake s  calm  curl -H 'X-Api-Key: @V' https://@H/v1
        snake p  quote echo "@V" | passwd --stdin @U
    """,
    "ps1": """
        camel ps quote $@N = "@V"
        pascal p  quote Connect-Server -User @U -Password '@V'
        snake p  quote $secure = ConvertTo-SecureString "@V" -AsPlainText -Force
        upper ps quote $env:@N = "@V"
    """,
    "dockerfile": """
        upper ps calm  ENV @N=@V
        upper ps calm  ENV @N @V
        upper ps quote ENV @N="@V"
        upper ps calm  ARG @N=@V
        upper ps calm  RUN @N=@V make install
    """,
    "tf": """
        snake ps quote   @N = "@V"
        snake ps quote variable "@N" {\\n  default = "@V"\\n}
        snake ps quote   @N    = "@V"
    """,
    "sql": """
        snake p  quote CREATE USER @U WITH PASSWORD '@V';
        snake p  quote ALTER ROLE @U PASSWORD '@V';
        snake p  quote CREATE USER '@U'@'%' IDENTIFIED BY '@V';
        snake p  quote GRANT ALL ON shop.* TO '@U'@'@H' IDENTIFIED BY '@V';
        snake p  quote CREATE USER @U IDENTIFIED WITH sha256_password BY '@V';
    """,
    "md": """
        snake p  quote The password is `@V`.
        pascal p  calm  Password: @V
        snake p  calm  Log in as `@U` with password `@V`.
        snake ps calm      export @N=@V
        snake p  calm  | password | @V |
        pascal s  calm  API key: @V
        snake p  calm  - user: @U / password: @V
    """,
    "log": """
        snake p  calm  2026-03-02 10:11:12 DEBUG connecting to postgresql://@U:@V@@H:5432/shop
        snake s  calm  2026-03-02 10:11:12 INFO  > Authorization: Bearer @V
        snake ps calm  2026-03-02 10:11:12 DEBUG config loaded @N=@V
        camel ps quote {"level":"debug","msg":"config","@N":"@V"}
        snake s  calm  10.0.0.7 - - "GET /v1/items?api_key=@V&page=2 HTTP/1.1" 200 512
        snake p  calm  10.0.0.7 - - "GET /login?user=@U&password=@V HTTP/1.1" 302 0
    """,
    "kt": """
        camel ps quote     val @N = "@V"
        camel ps quote     private const val @N: String = "@V"
        camel ps quote     @N = "@V",
        camel p  quote     DriverManager.getConnection(url, "@U", "@V")
    """,
    "swift": """
        camel ps quote     let @N = "@V"
        camel ps quote     static let @N: String = "@V"
        camel p  quote     keychain.set("@V", forKey: "@N")
    """,
    "rs": """
        upper ps quote const @N: &str = "@V";
        snake ps quote     let @N = "@V".to_string();
        snake ps quote     @N: "@V".into(),
        upper ps quote     env::set_var("@N", "@V");
    """,
    "scala": """
        camel ps quote   val @N: String = "@V"
        camel ps quote   .option("@N", "@V")
        dotted ps quote spark.conf.set("@N", "@V")
    """,
    "pl": """
        snake ps quote my $@N = '@V';
        snake p  quote my $dbh = DBI->connect("DBI:mysql:shop;host=@H", "@U", "@V");
        snake ps quote     @N => '@V',
    """,
    "lua": """
        snake ps quote local @N = "@V"
        snake ps quote   @N = "@V",
    """,
    "exs": """
        snake ps quote   @N: "@V",
        snake ps quote config :shop, @N: "@V"
        upper ps quote   @N = System.get_env("@N") || "@V"
    """,
    "groovy": """
        camel ps quote def @N = '@V'
        camel ps quote     @N "@V"
        upper ps quote     environment { @N = '@V' }
        upper ps quote withEnv(["@N=@V"]) {
    """,
    "service": """
        upper ps calm  Environment=@N=@V
        upper ps quote Environment="@N=@V"
        kebab ps calm  ExecStart=/usr/bin/agent --@N=@V --listen :9000
    """,
    "cron": """
        snake p  calm  0 3 * * * mysqldump -u @U -p@V shop | gzip > /backup/shop.sql.gz
        snake p  calm  */5 * * * * curl -su @U:@V https://@H/ping
        upper ps calm  0 4 * * * @N=@V /opt/sync.sh
    """,
    "bat": """
        upper ps calm  set @N=@V
        upper ps quote set "@N=@V"
        upper ps calm  setx @N @V
        snake p  calm  net use Z: \\\\@H\\share /user:@U @V
    """,
    "cpp": """
        upper ps quote #define @N "@V"
        snake ps quote static const char *@N = "@V";
        snake ps quote std::string @N = "@V";
        snake ps quote     std::string @N{"@V"};
    """,
    "diff": """
        snake ps calm  -@N: @V
        upper ps calm  +@N=@V
        snake ps quote -    @N = "@V"
        camel ps quote +  "@N": "@V",
    """,
    "ansible": """
        snake ps calm        @N: @V
        snake p  calm      mysql_user: name=@U password=@V priv=*.*:ALL
        snake ps calm  db1 ansible_host=@H ansible_user=@U ansible_@N=@V
        snake p  calm    command: psql "postgresql://@U:@V@@H/shop"
    """,
    "values": """
        snake ps calm  auth:\\n  username: @U\\n  @N: @V
        camel ps quote auth:\\n  @N: "@V"
        camel ps quote helm upgrade shop ./chart --set db.@N="@V"
        camel ps calm  helm upgrade shop ./chart --set auth.@N=@V
        upper ps quote   env: { @N: "@V" }
        upper ps calm        @N: @V
    """,
    "html": """
        camel ps quote <script>window.@N = "@V";</script>
        camel ps quote <script>var cfg = {@N:"@V",debug:false};</script>
        snake ps quote   <input type="hidden" name="@N" value="@V">
    """,
    "notebook": """
        snake ps quote     "@N = '@V'\\\\n",
        upper ps quote     "os.environ['@N'] = '@V'\\\\n",
        snake ps quote     "client = Client(@N=\\\\"@V\\\\")\\\\n",
    """,
    "url": """
        snake p  calm  DATABASE_URL=postgres://@U:@V@@H:5432/shop
        snake p  calm  broker: amqp://@U:@V@@H:5672/%2f
        snake p  calm  git remote add origin https://@U:@V@@H/org/repo.git
        snake p  calm  cache = "redis://:@V@@H:6379/0"
        snake p  calm  uri: mongodb+srv://@U:@V@@H/shop?retryWrites=true
        snake p  calm  https_proxy=http://@U:@V@@H:3128
        snake p  calm  url = jdbc:postgresql://@H/shop?user=@U&password=@V
        snake p  calm  dsn = "clickhouse://@U:@V@@H:9000/default"
    """,
    "kafka": """
        snake p  quote sasl.jaas.config=o.a.k.c.s.plain.PlainLoginModule required username="@U" password="@V";
        snake p  calm  sasl.password=@V
        snake p  calm  ssl.keystore.password=@V
        snake p  quote     "sasl.password": "@V",
        snake p  quote     sasl_plain_password="@V",
        snake p  quote     user_@U="@V"
    """,
    "clickhouse": """
        snake p  quote             <password>@V</password>
        snake p  calm  clickhouse-client --host @H --user @U --password @V
        snake p  calm  CLICKHOUSE_PASSWORD=@V
        snake p  quote SELECT * FROM remote('@H', shop, orders, '@U', '@V')
        snake p  quote client = clickhouse_connect.get_client(host="@H", username="@U", password="@V")
    """,
}
_ROW = re.compile(r"(?m)^ {8}(\w+) (ps|p |s ) (calm |quote) (.*)$")
_SUFFIXES = {
    "url": "txt",
    "kafka": "properties",
    "clickhouse": "txt",
    "dockerfile": "Dockerfile",
    "ansible": "yml",
    "values": "yaml",
    "notebook": "ipynb",
    "cron": "txt",
}


def contexts() -> dict[str, tuple[Context, ...]]:
    """Return the ways by kind of file."""
    return {kind: tuple(_contexts_of(kind, table)) for kind, table in _TABLE.items()}


def _contexts_of(kind: str, table: str) -> list[Context]:
    found = []
    for style, kinds, quoting, template in _ROW.findall(table):
        text = template.replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")
        found.append(Context(text, style, kinds.strip(), quoting.strip() == "calm", _SUFFIXES.get(kind, kind)))
    return found
