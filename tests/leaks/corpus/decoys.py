"""What stands in real files beside secrets and looks like one: nothing in it opens anything.

Templates of ``vantage_secrets.leaks.examples``, by kind of file; ``\n`` begins another line.
"""

from __future__ import annotations

_TABLE = {
    "env": """
        DB_PASSWORD=${DB_PASSWORD}
        DB_PASSWORD=
        API_KEY=your-api-key-here
        SECRET_KEY=changeme
        AUTH_TOKEN=<your token>
        PASSWORD_MIN_LENGTH=12
        TOKEN_TTL=3600
        TOKEN_URL=https://auth.corp.net/oauth/token
        PASSWORD_FILE=/run/secrets/db_password
        AWS_REGION=eu-central-1
        GIT_SHA={hex:40}
        IMAGE_DIGEST=sha256:{hex:64}
        SESSION_COOKIE_NAME=session_id
        JWT_ALGORITHM=RS256
        PUBLIC_KEY_PATH=keys/public.pem
        REDIS_URL=redis://cache:6379/0
        DATABASE_URL=postgres://$DB_USER:$DB_PASSWORD@db/shop
        SENTRY_RELEASE=shop@{hex:12}
        PASSWORD_RESET_TIMEOUT=86400
        API_KEY=xxxxxxxxxxxxxxxxxxxxxxxx
        BUILD_ID={uuid}
        SECRET_NAME=prod/shop/db
        # generate the password with: openssl rand -base64 32
    """,
    "yaml": """
        password: ""
        password: null
        password: ${DB_PASSWORD}
        password: {{ .Values.db.password }}
        password: !vault |
        password: "{{ vault_db_password }}"
        type: password
        - name: DB_PASSWORD\\n  valueFrom:\\n    secretKeyRef:\\n      name: db-credentials\\n      key: password
        secretName: shop-tls-2024
        existingSecret: "db-credentials"
        secretKey: password
        tokenEndpoint: https://auth.corp.net/token
        token_type: bearer
        passwordSecretRef: {{ include "shop.fullname" . }}-db
        uses: actions/checkout@{hex:40}
        image: registry.corp.net/shop@sha256:{hex:64}
        api_key: ${{ secrets.API_KEY }}
        GITHUB_TOKEN: ${{ secrets.GITHUB_TOKEN }}
        checksum/config: {hex:64}
        uid: {uuid}
        password:\\n  type: string\\n  format: password\\n  minLength: 8
        credentials: google-cloud-key
        auth: basic
        pass_filenames: false
        secret: [a, b]
        tokenizer: standard
        serviceAccountToken:\\n  expirationSeconds: 3600
        api-key: YOUR_API_KEY
        digest: {base64:43}=
        etag: "{hex:32}"
        password: *default_password
        passwd: /etc/passwd
        token: {{ lookup('env', 'TOKEN') }}
    """,
    "json": """
        "integrity": "sha512-{base64:86}==",
        "resolved": "https://registry.npmjs.org/left-pad/-/left-pad-1.3.0.tgz#{hex:40}",
        "password": "Passwort",
        "password": "Mot de passe",
        "password": "",
        "password": null,
        "forgotPassword": "Forgot your password?",
        "passwordHint": "At least 8 characters",
        "type": "password",
        "tokenUrl": "https://auth.corp.net/oauth/token",
        "secretName": "db-credentials",
        "token": "string",
        "id": "{uuid}",
        "sha": "{hex:40}",
        "commit": "{hex:40}",
        "nextPageToken": "{base64url:60}",
        "publicKey": "{base64:86}==",
        "passwordField": "#login-password",
        "apiKey": "<API_KEY>",
        "password": "{{password}}",
        "password": "${input:password}",
        "login.password.label": "Password",
        "login.password.wrong": "The password is wrong",
        "access_token": "YOUR_ACCESS_TOKEN",
        "token_type": "Bearer",
        "image": "data:image/png;base64,iVBORw0KGgo{base64:120}",
        "hash": "{hex:32}",
        "x-amz-id-2": "{base64:64}",
        "passport": "^0.6.0",
        "jsonwebtoken": "^9.0.2",
        "csrf-token": "^1.0.0",
        "x": {digit:9}, "key": "value-{digit:4}",
        "autocomplete": "current-password",
        "clientSecret": "{{CLIENT_SECRET}}",
        "secretArn": "arn:aws:secretsmanager:eu-west-1:{digit:12}:secret:shop-{alpha:6}",
        "traceId": "{hex:32}", "spanId": "{hex:16}",
    """,
    "toml": """
        name = "token-parser"
        checksum = "{hex:64}"
        hash = "sha256:{hex:64}"
        password = ""
        password = "$DB_PASSWORD"
        rev = "{hex:40}"
        token-file = "/run/secrets/token"
        secret = "env:APP_SECRET"
        tokenizers = "0.15.0"
        key = "primary"
        token_limit = 4096
        { file = "token_bucket-1.0-py3-none-any.whl", hash = "sha256:{hex:64}" },
    """,
    "ini": """
        password =
        password = %(DB_PASSWORD)s
        passwd_file = /etc/shop/passwd
        auth = token
        token_lifetime = 900
        ; password = <secret>
        password_encryption = scram-sha-256
        secret_file = secrets/key.txt
        token_cache = memory
        credential_process = /usr/local/bin/get-creds
        authentication = password
        pass = true
    """,
    "properties": """
        spring.datasource.password=${DB_PASSWORD}
        spring.datasource.password=${DB_PASSWORD:}
        password.required=Please enter your password
        password.label=Password
        label.password=Kennwort
        security.token.validity=1800
        login.password.invalid=Invalid user name or password
        jwt.token.issuer=https://auth.corp.net
        ssl.keystore.password=${KEYSTORE_PASSWORD}
        error.token.expired=The token has expired
        token.store=in-memory
        build.commit={hex:40}
        api.key.header=X-API-Key
        secret.provider=vault
        password.encoder=bcrypt
        forgot.password.title=Reset password
    """,
    "xml": """
        <password>${db.password}</password>
        <password></password>
        <string name="password">Password</string>
        <string name="forgot_password">Forgot password?</string>
        <input type="password" name="password" id="password" placeholder="Password"/>
        <passwordPolicy>strong</passwordPolicy>
        <property name="passwordEncoder" ref="bcryptEncoder"/>
        <add key="TokenLifetime" value="3600" />
        <add key="PublicKeyToken" value="{hex:16}" />
        <assemblyIdentity name="Newtonsoft.Json" publicKeyToken="{hex:16}" />
        <token>END_OF_FILE</token>
        <element name="token" type="xs:string"/>
        <bean id="tokenStore" class="org.corp.auth.InMemoryTokenStore"/>
        <ProjectGuid>{uuid}</ProjectGuid>
        <artifactId>password4j</artifactId>
        <secretRef name="db-credentials"/>
        <password>{DB_PASSWORD_FROM_VAULT}</password>
        <path d="M10 {digit:3} {digit:3}-{digit:2}z" fill="#{hex:6}"/>
        <goal>deploy</goal><serverId>nexus</serverId>
    """,
    "py": """
        password = os.environ["DB_PASSWORD"]
        password = getpass.getpass("Password: ")
        password = settings.DATABASE_PASSWORD
        password: str | None = None
        def reset_password(self, token: str, new_password: str) -> None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        password = config.get("db", "password")
        api_key = os.getenv("API_KEY")
        if not check_password(user.password, form.password.data):
        PASSWORD_RESET_TOKEN_SALT = "password-reset"
        raise ValueError("The password must have at least 12 characters")
        secret = secrets.token_urlsafe(32)
        token = lexer.next_token()
        TOKEN_PATTERN = r"[A-Za-z0-9_-]{{32,64}}"
        client = Client(api_key=api_key, secret=secret)
        password_field = "id_password"
        fields = ["username", "password", "token"]
        assert response.json()["token_type"] == "bearer"
        PASSWORD = "password"
        SECRET_KEY = "dev"
        parser.add_argument("--password", help="the password of the user")
        parser.add_argument("--token", default=None, metavar="TOKEN")
        password = "*" * len(password)
        hashed = "pbkdf2_sha256$260000${alnum:22}${base64:43}="
        GRAMMAR_TOKEN = "IDENTIFIER"
        COMMIT = "{hex:40}"
        assert digest == "{hex:64}"
        uuid.UUID("{uuid}")
        token = "".join(random.choices(string.ascii_letters, k=32))
        kwargs = {{"password": password, "token": token}}
        logger.info("password changed for %s", user)
        key = "users/%s/password" % user_id
        token = f"{{user.id}}.{{timestamp}}"
        self.password_input = driver.find_element(By.ID, "login-password")
        url = f"postgres://{{user}}:{{password}}@{{host}}/{{name}}"
        secret_name = "prod/shop/database"
        tokens = {{"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}}
        password = input("Enter the password: ")
        API_KEY_HEADER = "X-API-Key"
        password=password,
        token=self._token,
        PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
        test_password = "password123"
        EXAMPLE_TOKEN = "your-token-here"
        class TokenAuthentication(BaseAuthentication):
        credentials = service_account.Credentials.from_file("sa.json")
        fingerprint = "{hex:2}:{hex:2}:{hex:2}:{hex:2}:{hex:2}:{hex:2}:{hex:2}:{hex:2}"
    """,
    "go": """
        	password := os.Getenv("DB_PASSWORD")
        	token, err := jwt.Parse(raw, keyFunc)
        	Password string `json:"password" validate:"required"`
        	const tokenHeader = "X-Auth-Token"
        	if cfg.Password == "" {
        	return errors.New("password is required")
        	secret, err := client.Secrets(ns).Get(ctx, "db-credentials", opts)
        	fs.StringVar(&o.token, "token", "", "the token to use")
        	github.com/corp/shop v1.2.3 h1:{base64:43}=
        	Token: token.IDENT,
        	case token.ASSIGN, token.DEFINE:
        	secretName := fmt.Sprintf("%s-tls", name)
        	apiKey := r.Header.Get("X-API-Key")
        	passwordHash := "$2a$10${alnum:53}"
        	dsn := fmt.Sprintf("user=%s password=%s host=%s", u, p, h)
        	t.Setenv("API_KEY", "test")
        	digest := "sha256:{hex:64}"
        	TokenKind: "keyword",
        	password: cfg.password,
        	key := types.NamespacedName{{Name: "shop-secret", Namespace: ns}}
    """,
    "java": """
        String password = System.getenv("DB_PASSWORD");
        private String password;
        @Value("${db.password}") private String password;
        this.token = token;
        char[] password = console.readPassword("Password: ");
        public static final String TOKEN_PREFIX = "Bearer ";
        public static final String PASSWORD_PARAM = "password";
        throw new BadCredentialsException("Invalid password");
        String token = jwtProvider.createToken(user.getName(), roles);
        private static final long serialVersionUID = {digit:18}L;
        props.setProperty("password", password);
        if (password.equals("")) return false;
        assertEquals("password", field.getName());
        String secretKey = environment.getProperty("jwt.secret");
        config.setPasswordEncoder(new BCryptPasswordEncoder(12));
        @JsonProperty("access_token") String accessToken
        Token token = new Token(TokenType.IDENTIFIER, "foo", 1);
        log.debug("token refreshed for {{}}", user);
        conn = DriverManager.getConnection(url, user, password);
    """,
    "ts": """
        const password = process.env.DB_PASSWORD;
        password: string;
        password: z.string().min(8).max(128),
        token?: string | null;
        const token = localStorage.getItem('access_token');
        <input type="password" name="password" autocomplete="new-password" />
        const { password, ...rest } = user;
        headers: {{ Authorization: `Bearer ${token}` }},
        export const RESET_PASSWORD = 'auth/resetPassword';
        passwordLabel: 'Your password',
        errors.password = 'Password is required';
        const tokenKey = 'auth.token';
        this.form = fb.group({{ password: ['', Validators.required] }});
        expect(screen.getByLabelText('Password')).toBeVisible();
        const hash = '{hex:40}';
        const apiKey = config.get<string>('apiKey');
        if (password !== confirmPassword) {
        type Token = {{ type: 'Identifier'; value: string }};
        import {{ TokenService }} from './token.service';
        placeholder: 'Enter your password',
        const csrfToken = document.querySelector('meta[name="csrf-token"]').content;
        !function(e,t){{var n=t.token,r=e.password||"";t.secret=n;return{{pass:r,token:!0}}}}(a,b);
        .password-field { color: #{hex:6}; }
        secretOrKey: configService.get('JWT_SECRET'),
        const id = '{uuid}';
        [Token.Identifier]: 'identifier',
        password: 'password',
        token: 'test-token',
    """,
    "rb": """
        password: ENV["DB_PASSWORD"],
        password = ENV.fetch("DB_PASSWORD")
        validates :password, presence: true, length: {{ minimum: 12 }}
        <%= f.password_field :password, class: "form-control" %>
        password: <%= ENV['DB_PASSWORD'] %>
        token = SecureRandom.hex(32)
        filter_parameters += [:password, :token, :secret]
        has_secure_password
        expect(user.authenticate("wrong password")).to be_falsey
        secret_key_base: <%= ENV["SECRET_KEY_BASE"] %>
        t("devise.passwords.new.forgot_your_password")
        tag: "{hex:40}"
    """,
    "php": """
        'password' => env('DB_PASSWORD'),
        'password' => env('DB_PASSWORD', ''),
        $password = $_POST['password'];
        'password' => 'required|string|min:8|confirmed',
        $token = bin2hex(random_bytes(32));
        'password' => 'The provided password is incorrect.',
        'password_reset_tokens',
        $user->password = Hash::make($request->password);
        define('AUTH_KEY', 'put your unique phrase here');
        protected $hidden = ['password', 'remember_token'];
        'reset' => 'Your password has been reset.',
        "content-hash": "{hex:32}",
    """,
    "cs": """
        public string Password { get; set; }
        var password = Configuration["Db:Password"];
        [Required(ErrorMessage = "The password is required")]
        [DataType(DataType.Password)]
        var token = await tokenService.CreateAsync(user, ct);
        Password = model.Password,
        "PublicKeyToken={hex:16}"
        if (string.IsNullOrEmpty(password)) throw new ArgumentNullException(nameof(password));
        options.Password.RequiredLength = 12;
        var secret = Environment.GetEnvironmentVariable("APP_SECRET");
        const string TokenType = "Bearer";
        [Guid("{uuid}")]
        Tokens.Add(SyntaxKind.IdentifierToken);
    """,
    "sh": """
        PASSWORD="${PASSWORD:?set it}"
        PASSWORD=$(cat /run/secrets/password)
        read -rsp "Password: " password
        curl -H "Authorization: Bearer $TOKEN" https://api.corp.net
        curl -u "$USER:$PASSWORD" https://api.corp.net
        mysql -u root -p"$MYSQL_ROOT_PASSWORD" shop
        mysql -u root -p shop < dump.sql
        git checkout {hex:40}
        echo "{hex:64}  app.tar.gz" | sha256sum -c
        openssl rand -hex 32 > token.txt
        ./deploy --token "$TOKEN" --password-file secrets/db
        export API_KEY=$(vault kv get -field=key secret/shop)
        docker login -u "$USER" --password-stdin
        usage: deploy --token TOKEN --password PASSWORD
        kubectl create secret generic db --from-literal=password="$PASSWORD"
        token=$(jq -r .access_token <<< "$response")
        if [ -z "$API_KEY" ]; then echo "API_KEY is not set"; fi
        sed -i "s/PASSWORD=.*/PASSWORD=$NEW/" .env
        ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{base64:43} user@host
    """,
    "ps1": """
        $password = Read-Host -AsSecureString "Password"
        $token = $env:API_TOKEN
        $secure = ConvertTo-SecureString $password -AsPlainText -Force
        param([string]$Password, [string]$Token)
        Connect-Server -User $User -Password $Password
        $cred = Get-Credential
    """,
    "dockerfile": """
        ENV DB_PASSWORD=""
        ARG API_TOKEN
        ARG GIT_COMMIT=unknown
        FROM python:3.11@sha256:{hex:64}
        RUN --mount=type=secret,id=token cat /run/secrets/token
        ENV PASSWORD_FILE=/run/secrets/db
        RUN echo "{hex:64} *tool.tgz" | sha256sum -c -
        LABEL org.opencontainers.image.revision={hex:40}
        ENV TOKEN=$TOKEN
    """,
    "tf": """
        password = var.db_password
        password = random_password.db.result
        variable "db_password" {\\n  type      = string\\n  sensitive = true\\n}
        secret_id = aws_secretsmanager_secret.db.id
        token = data.vault_generic_secret.api.data["token"]
        name = "shop-db-password"
        kms_key_id = "arn:aws:kms:eu-west-1:{digit:12}:key/{uuid}"
        ami = "ami-{hex:17}"
        password_length = 32
        source = "git::https://git.corp.net/mod.git?ref={hex:40}"
        api_key = local.api_key
        "h1:{base64:43}=",
        "zh:{hex:64}",
    """,
    "sql": """
        ALTER TABLE users ADD COLUMN password_hash VARCHAR(255) NOT NULL;
        CREATE USER app IDENTIFIED BY :password;
        SELECT id, password, token FROM users WHERE token = $1;
        UPDATE users SET password = ? WHERE id = ?;
        CREATE ROLE app LOGIN PASSWORD NULL;
        INSERT INTO settings (name, value) VALUES ('password_min_length', '12');
        CREATE INDEX idx_tokens_token ON tokens (token);
        COMMENT ON COLUMN users.password IS 'bcrypt hash of the password';
        password CHAR(60) DEFAULT '' COMMENT 'hash',
    """,
    "md": """
        Set `DB_PASSWORD` to the password of the database.
        The password is required, and the token is optional.
        | password | string | The password of the user |
        | token | string | yes | An access token |
        curl -H "Authorization: Bearer <token>" https://api.corp.net
        export API_KEY=<your-api-key>
        postgres://user:password@localhost:5432/db
        Forgot your password? Follow the link to reset it.
        Password: your account's password
        ![build](https://img.corp.net/badge.svg?token=badge)
        Commit {hex:40} changes how tokens are parsed.
        The default password is `changeme`; change it at once.
        API key: see the settings page
        -----BEGIN PUBLIC KEY-----\\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE{base64:28}\\n{base64:60}\\n-----END PUBLIC KEY-----
        -----BEGIN RSA PRIVATE KEY-----\\n...\\n-----END RSA PRIVATE KEY-----
        password: ********
        The password is at least 12 characters long and has a digit.
        `token = "your-token"`
        Login with user name and password: see the wiki
    """,
    "log": """
        2026-03-02 10:11:12 INFO login failed for user admin: wrong password
        2026-03-02 10:11:12 DEBUG token expired, refreshing
        2026-03-02 10:11:12 INFO request id={uuid} took 12 ms
        2026-03-02 10:11:12 DEBUG Authorization: Bearer [REDACTED]
        2026-03-02 10:11:12 INFO password=****** host=db
        10.0.0.7 - - "GET /static/app.{hex:8}.js HTTP/1.1" 200 512
        10.0.0.7 - - "POST /password/reset HTTP/1.1" 204 0
        2026-03-02 10:11:12 INFO pulled image sha256:{hex:64}
        2026-03-02 10:11:12 WARN unexpected token '<' in JSON at position 0
        {{"level":"info","msg":"password changed","user":"{uuid}"}}
        --- PASS: TestTokenBucket/refill (0.00s)
        2026-03-02 10:11:12 INFO etag="{hex:32}" cache=hit
    """,
    "csv": """
        id,username,password_hash,created
        {digit:4},anna,$2b$12${alnum:53},2026-01-02
        {uuid},token refreshed,2026-01-02
        {digit:4},max,{hex:40},ok
    """,
    "css": """
        .password-strength-meter { width: 100%; }
        input[type="password"] { border: 1px solid #{hex:6}; }
        #token-list .secret { color: #{hex:3}; }
        background: url(data:image/png;base64,iVBORw0KGgo{base64:200});
        src: url(data:font/woff2;base64,d09GMgAB{base64:300}) format("woff2");
    """,
    "ipynb": """
        "source": ["token = os.environ['API_TOKEN']\\\\n"],
        "image/png": "iVBORw0KGgoAAAANSUhEUgAA{base64:240}",
        "id": "{hex:8}",
        "text": ["vocab size: 50257, eos token: 50256\\\\n"],
    """,
    "po": """
        msgid "Password"\\nmsgstr "Passwort"
        msgid "Enter your password"\\nmsgstr "Geben Sie Ihr Passwort ein"
        msgid "The token has expired."\\nmsgstr "Le jeton a expir."
    """,
}


def decoys() -> dict[str, tuple[str, ...]]:
    """Return the decoys by kind of file."""
    return {
        kind: tuple(
            line[8:].replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\") for line in table.splitlines() if line.strip()
        )
        for kind, table in _TABLE.items()
    }
