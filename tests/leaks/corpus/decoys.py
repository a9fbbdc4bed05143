"""What stands in real files beside secrets and looks like one: nothing in it opens anything.

Templates of ``vantage_secrets.leaks.examples``, by kind of file; ``\\n`` begins another line, two backslashes are one.
"""

from __future__ import annotations

from tests.leaks.corpus.code_decoys import CODE

_CONFIGURATION = {
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
        password: {{ .Values.externalDatabase.password | b64enc | quote }}
        {{- $password = randAlphaNum 10 }}
        passwordKey: postgres-password
        tokenReviewer: true
        password: string  # never logged
        secretRef: { name: shop-env-2 }
        token-audience: https://kubernetes.default.svc
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
        "minipass": "^7.0.3",
        "AWS::IAM::AccessKey": "{hex:16}",
        "private_key_id": "key-2024-01",
        "cancelToken": "axios-cancel",
        "password": "^(?=.*[A-Z])(?=.*\\d).{{12,}}$",
        "passwordResetSubject": "Reset your password for {{app}}",
        "secretsProvider": "awskms://alias/pulumi",
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
        <input type="hidden" name="authenticity_token" value="{base64:86}=="/>
        <meta name="csrf-token" content="{base64:43}="/>
        <label for="user_password">Password</label>
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
    "md": """
        Next page token: see the header of the answer
        `--token TOKEN` gives the token, `--password-file FILE` a file with the password
        The password must have 12 characters, an upper-case letter and a digit such as 7.
        Tokens are of the form `tok_<32 characters>`.
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
        -----BEGIN PUBLIC KEY-----\\nMFkwEwYHKoZIzj0{base64:49}\\n{base64:60}\\n-----END PUBLIC KEY-----
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
            line[8:].replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")
            for line in table.splitlines()
            if line.strip()
        )
        for kind, table in {**_CONFIGURATION, **CODE}.items()
    }
