"""What stands in programs and looks like a secret; see ``decoys``."""

from __future__ import annotations

CODE = {
    "py": """
        password = random_string(20, string.ascii_letters)
        def load(key: Ed25519PrivateKey | X25519PrivateKey | None = None) -> bytes:
        user, passwd = userinfo.partition(":")[::2]
        password = base64.b16encode(random_bytes[8:])  # must be text
        MovedAttribute("HTTPPasswordMgr", "urllib2", "urllib.request")
        page_token = "CAUQAA{alnum:20}"
        token = "<|endoftext|>"
        PASSWORD_REGEX = r"^[A-Za-z0-9@#$%^&+=]{{8,}}$"
        data = {{"grant_type": "password", "username": user, "password": pw}}
        password_help_text = "At least 8 characters, one of them a digit."
        token_urlsafe = base64.urlsafe_b64encode(raw).rstrip(b"=")
        nobody = pwd.getpwnam("nobody")[2]
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
            password := base64.StdEncoding.EncodeToString(pwd[:])
            pwDone := make(chan struct{{}})
            generatePass: func(p *corev1.Pod) {{}},
            --- PASS: TestTokenBucket/ipv6+zone (0.00s)
            token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
            const passphrasePrompt = "Enter passphrase: "
            __m256i const data_key = _mm256_xor_si256 (data_vec, key_vec);
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
        boolean pass = verifyAggregates(resultStream, inputs, events);
        byte[] saltedPassword = formatter.saltedPassword(password, salt, iterations);
        private final Map<String, Token> tokens = new HashMap<>();
        String passwordParameter = "j_password";
        keyStore.load(stream, password.toCharArray());
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
        const { pass: n, fail: s } = partition(list, (e) => e.ok);
        const tokenRegex = /^[a-f0-9]{{64}}$/;
        password: Joi.string().pattern(/^[a-zA-Z0-9]{{3,30}}$/),
        this.apiKey = this.config.apiKey ?? '';
        data-testid="password-input"
        secretName: `${props.stage}-db-credentials`,
        const accessTokenKey = 'shop.accessToken.v2';
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
        'password' => ['required', 'confirmed', Password::min(12)],
        $setPasswordResp = $this->followingRedirects()->post('/register');
        'password_timeout' => 10800,
        'api_token_create' => 'Create API Token',
        'password' => 'Contraseña',
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
        password="$(openssl rand -base64 24)"
        PASSWORD=$(tr -dc A-Za-z0-9 < /dev/urandom | head -c 24)
        echo "password: (hidden)"
        --password-stdin < token.txt
        while getopts "u:p:t:" opt; do case $opt in p) PASSWORD=$OPTARG;; esac; done
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
    "css": """
        .password-strength-meter { width: 100%; }
        input[type="password"] { border: 1px solid #{hex:6}; }
        #token-list .secret { color: #{hex:3}; }
        background: url(data:image/png;base64,iVBORw0KGgo{base64:200});
        src: url(data:font/woff2;base64,d09GMgAB{base64:300}) format("woff2");
    """,
}
