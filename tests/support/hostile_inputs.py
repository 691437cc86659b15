"""Inputs that nobody should give: each ends in a sentence, without a traceback, a password or a change of any file.

``SECRET`` and its parts appear in no output. Of servers none answers.
"""

from itertools import product

SECRET = "Tr0ub4dor"
PARTS = (SECRET, "Xyzzy9", "Plugh7")
"""Pieces of passwords as they are written below, where they hold letters that a URL wants escaped."""

_SERVER = ("postgresql", "mysql", "mariadb")
_PASSWORDS = (
    f"{SECRET}@Xyzzy9", f"{SECRET}:Xyzzy9", f"{SECRET}/Xyzzy9", f"{SECRET}?Xyzzy9", f"{SECRET}#Xyzzy9",
    f"{SECRET}@Xyzzy9:Plugh7", f"{SECRET}@Xyzzy9/Plugh7", f"{SECRET}@Xyzzy9?Plugh7", f"{SECRET}@Xyzzy9?a=Plugh7",
    f"{SECRET}@@Xyzzy9", f"{SECRET}%40Xyzzy9", f"{SECRET}%ZZXyzzy9", f"{SECRET}[Xyzzy9", f"{SECRET}]Xyzzy9",
    f"{SECRET}€Xyzzy9", f"{SECRET} Xyzzy9", f"{SECRET}\\Xyzzy9", f"@{SECRET}", f":{SECRET}", f"{SECRET}@[Xyzzy9",
)  # fmt: skip

URLS = (
    *(f"{server}://anna:{password}@127.0.0.1:1/d" for server, password in product(_SERVER[:2], _PASSWORDS)),
    *(
        f"{server}://anna:{SECRET}@{rest}"
        for server, rest in product(
            _SERVER,
            (
                "127.0.0.1:port/d", "127.0.0.1:99999/d", "127.0.0.1:0/d", "127.0.0.1:-1/d", "127.0.0.1:1.5/d",
                "127.0.0.1:1:1/d", "127.0.0.1:１/d", "[::1/d", "[::1]:x/d", f"{'h' * 64}:1/d", f"{'h' * 300}:1/d",
                "a..b:1/d", "127.0.0.1:1/d?foo=bar", "127.0.0.1:1/d?sslmod=x", "127.0.0.1:1/d?connect_timeout=abc",
                "127.0.0.1:1/d?=x", "127.0.0.1:1/d?autocommit=true", "127.0.0.1:1/d?cursorclass=x",
                "127.0.0.1:1/d?local_infile=1", "127.0.0.1:1/d?conv=1", "127.0.0.1:1/d?init_command=DROP",
                "127.0.0.1:1/d?host=a:b", "127.0.0.1:1/d?host=a&host=b:c",
            ),
        )
    ),
    *(
        f"{driver}://anna:{SECRET}@127.0.0.1:1/d"
        for driver in (
            "postgresql+asyncpg", "postgresql+psycopg_async", "postgresql+psycopg2", "postgresql+pg8000",
            "postgresql+nosuch", "mysql+aiomysql", "mysql+asyncmy", "mysql+mysqldb", "mysql+nosuch", "mariadb+nosuch",
            "oracle", "mssql", "mssql+pyodbc", "nosuch", "sqlite", "sqlite+aiosqlite", "sqlite+pysqlcipher", "http",
            "postgres", "POSTGRESQL", "+", "postgresql+", "+psycopg",
        )
    ),
    f"postgresql:/anna:{SECRET}@h/d", f"postgresql:anna:{SECRET}@h/d", f"postgresql//anna:{SECRET}@h/d",
    f"://anna:{SECRET}@h/d", f"anna:{SECRET}@h/d", f"postgresql ://anna:{SECRET}@h/d",
    f"postgresql://127.0.0.1:1/d?user=anna@h&password={SECRET}", f"postgresql://127.0.0.1:1/d?sslpassword={SECRET}&x=1",
    f"postgresql://anna/b:{SECRET}@h/d", f"postgresql://anna:{SECRET}@h\n/d", f"postgresql://anna:{SECRET}@h/d\x1b[31m",
    f"mysql://127.0.0.1:1/d?passwd={SECRET}", f"mysql://127.0.0.1:1/d?password={SECRET}&nosuch=1",
    "", " ", ":", "/", "://", "sqlite", "sqlite:", "sqlite:/x.db", "sqlite:x.db", "sqlite://", "sqlite:///",
    "sqlite:///:memory:", "sqlite://x.db", "sqlite:///x.db?timeout=abc", "sqlite:///x.db?timeout=3",
    "sqlite:///x.db?check_same_thread=maybe", "sqlite:///x.db?uri=true", "sqlite:///x.db?mode=memory",
    "sqlite:///file:x.db?uri=true", "sqlite:///file:x.db", "sqlite:///x.db?isolation_level=nosuch",
    "sqlite:///a\x00b.db", "sqlite:///a%00b.db", "sqlite:///a\nb.db", "sqlite:///a%0Ab.db", "sqlite:///a\x1b[31mb.db",
    "sqlite:///a\udcffb.db", f"sqlite:///{'n' * 300}.db", f"sqlite:///{'n' * 5000}.db", f"sqlite:///{'n/' * 2100}x.db",
    "sqlite:////dev/null", "sqlite:////dev/zero", "sqlite:////dev/full", "sqlite:////dev/stdin", "sqlite:///.",
    "sqlite:///..", "sqlite:////", "sqlite:////proc/self/status", "sqlite:///no/folder.db", "sqlite:///notes.txt/x.db",
    "sqlite:///notes.txt", "sqlite:///pipe", "sqlite:///loop", "sqlite:///empty.zip", "gradstudy.db", "./gradstudy.db",
)  # fmt: skip
"""Database URLs; none of them can be used."""

TOML = (
    b"\x00", b"\xff\xfe", b"trials = ", b"[", b"[[space]]", b"a = 1\na = 2", b"trials = 'many'", b"trials = -1",
    b"trials = 1e400", b"trials = nan", b"trials = inf", b"trials = []", b"trials = {}", b"steps = 0",
    b"steps = 99999999999999999999999", b"task = 3", b"task = ''", b"task = '\\u0000'", b"task = 'nosuch'",
    b"task = 'pairs:/dev/null'", b"task = 'series:/nosuch'", b"task = 'series:\\u0000'", b"task = 'pairs:.'",
    b"name = ''", b"name = '../x'", b"name = 'a\\u001b[31m'", b"name = 3", b"space = 3", b"[space]\nlearning_rate = -3",
    b"[space]\nlearning_rate = [1, 0]", b"[space]\nlearning_rate = [nan, 1]", b"[space]\nlearning_rate = ['a', 'b']",
    b"[space]\ncells = 'lstm'", b"[space]\ncells = []", b"[space]\nstrategies = ['nosuch']",
    b"[space.thresholds]\nnorm = [0, 0]", b"[space.factors]\nnosuch = [1, 2]", b"[space.factors]\nhidden_size = []",
    b"[model]\nhidden_size = 'x'", b"[model]\nhidden_size = -3", b"[model]\nlayers = 0", b"[model]\ndropout = 2",
    b"storage = 'postgresql://anna:Tr0ub4dor@Xyzzy9@h/d'", b"task = 'postgresql://anna:Tr0ub4dor@h/d'",
    b"name = 'postgresql://anna:Tr0ub4dor@h/d'", b"sampler = 'postgresql://anna:Tr0ub4dor@h/d'",
    b"[task_options]\nmax_length = 'x'", b"[task_options]\nnosuch = 1", b"task_options = 3", b"preset = 'nosuch'",
    b"seed = 'x'", b"seed = 1979-05-27", b"guard = 'perhaps'", b"divergence = 3", b"[divergence]\nversion = 99",
    b"[divergence]\nnosuch = 1", b"optimizer = 'lion'", b"precision = 'float8'", b"file_digest = 'x'\ntask = 'nosuch'",
    b"x = " + b"[" * 5000, b"a." * 3000 + b"b = 1", b"\xef\xbb\xbftrials = 'x'",
)  # fmt: skip
"""Spec files; none of them makes a study."""

COMMANDS = (
    "status postgresql://anna:Tr0ub4dor@Xyzzy9@h/d", "status s postgresql://anna:Tr0ub4dor@h/d",
    "launch postgresql://anna:Tr0ub4dor@h/d", "report postgresql://anna:Tr0ub4dor@h/d",
    "query postgresql://a:Tr0ub4dor@h/d",
    "--storage postgresql://anna:Tr0ub4dor@h/d status", "status --storag postgresql://anna:Tr0ub4dor@h/d",
    "status --storage", "status --nosuch=postgresql://anna:Tr0ub4dor@h/d", "nosuch postgresql://anna:Tr0ub4dor@h/d",
    "postgresql://anna:Tr0ub4dor@h/d", "work --slots postgresql://anna:Tr0ub4dor@h/d", "delete", "replay s",
    "replay s x", "replay s -1", "replay s 1e3", "replay s 99999999999999999999", "launch a/b", "launch ..",
    "launch .toml",
    "launch nosuch.toml", "launch s --trials 0", "launch s --trials x", "launch s --lr 1", "launch s --lr nan:1",
    "launch s --lr inf:inf", "launch s --lr 1e400:1", "launch s --steps -1", "launch s --seeds 0",
    "launch s --hidden 0",
    "launch s --vary x", "launch s --vary =", "launch s --threshold norm=nan:1", "launch s --frontier-width nan",
    "launch s --task-option x", "launch s --task nosuch", "launch s --task pairs:", "launch s --task series:\x1b[31m",
    "launch s --task pairs:/dev/null", "launch s --task pairs:/", "launch s --workers 0", "launch s --workers x",
    "launch s --slots 0", "launch s --slots x", "launch s --slots ²", "launch s --threads 0", "launch s --threads x",
    "launch s --device nosuch", "launch s --device cuda:99", "launch s --gpus x", "launch s --preset nosuch",
    "work s --slots -1", "work s --slots 1.5", "work --device nosuch", "work s --optuna-proxy x",
    "work s --optuna-proxy a:99999999", "serve --port 99999", "serve --port x", "serve --host 0.0.0.0",
    "serve --password-file nosuch", "serve --proxy x", "dashboard --port -1", "dashboard --host nosuch.invalid",
    "dashboard --password-file .", "query --timeout x SELECT", "query --timeout -1 SELECT",
    "query --timeout inf SELECT",
    "query --timeout nan SELECT", "query --timeout 1e9 SELECT", "query --format nosuch SELECT",
    "report s --format nosuch",
    "report a b c", "report nosuch", "report s --output x", "confirm nosuch", "probe nosuch --task nosuch",
    "delete nosuch --yes", "status nosuch", "status \x1b[31m", "status \udcff",
)  # fmt: skip
"""Command lines, of one blank between words; none of them does anything."""

SQL = (
    "", " ", ";", "--", "SELEC", "SELECT", "SELECT 1; SELECT 2", "SELECT 1; DROP TABLE trials", "DROP TABLE trials",
    "DELETE FROM trials", "DELETE FROM trials RETURNING trial_id", "UPDATE studies SET study_name = 'x'",
    "INSERT INTO studies DEFAULT VALUES", "REPLACE INTO studies (study_id) VALUES (1)", "CREATE TABLE x (i)",
    "CREATE TEMP TABLE x (i)", "ALTER TABLE trials ADD COLUMN x", "VACUUM", "VACUUM INTO 'made.db'", "REINDEX",
    "ANALYZE",
    "ATTACH 'made.db' AS x", "DETACH x", "PRAGMA user_version = 7", "PRAGMA journal_mode = DELETE; SELECT 1",
    "PRAGMA writable_schema = ON", "BEGIN", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "COMMIT", "ROLLBACK", "SAVEPOINT x",
    "SELECT load_extension('x')", "SELECT writefile('made', 'x')", "SELECT readfile('/etc/passwd')", "SELECT edit('x')",
    "SELECT nosuch FROM trials", "SELECT * FROM nosuch", "SELECT nosuch()", "SELECT ?", "SELECT :x", "SELECT 1 +",
    "SELECT '\udcff'", "WITH x AS (SELECT 1) DELETE FROM trials", "EXPLAIN", "SELECT * FROM pragma_nosuch",
    "CREATE VIRTUAL TABLE x USING fts5(a)", "SELECT fts3_tokenizer('x', x'00')", "(((((", "\x1b[31m",
    "SELECT abs(-9223372036854775808)",
)  # fmt: skip
"""Statements that an SQLite file does not answer."""
