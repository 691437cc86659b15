"""What is wrong with a user's file is said with the place and what to do, through the parser that studies use."""

import gzip
import os
from pathlib import Path

import pytest

from gradstudy.models.tasks import TaskError, load_task


def refusal(task: str, path: Path, **options: object) -> str:
    with pytest.raises(TaskError) as error:
        load_task(f"{task}:{path}", **options)
    return str(error.value).replace(str(path), "FILE")


BROKEN_PAIRS = {
    "no tab": (b"a\tb\nab cd\n", "FILE, line 2: there is no tab between source and target in 'ab cd'"),
    "spaces for tabs": (b"one    1\n", "FILE, line 1: there is no tab between source and target in 'one    1'"),
    "a long line is shortened": (
        b"x" * 99,
        f"FILE, line 1: there is no tab between source and target in '{'x' * 40}...'",
    ),
    "three columns": (
        b"a\tb\na\tb\tc\n",
        "FILE, line 2: there are 2 tabs in 'a\\tb\\tc': a pair is a source, one tab and a target "
        "(cut -f1,2 takes two columns)",
    ),
    "empty source": (b"a\tb\n\tb\n", "FILE, line 2: the source is empty"),
    "empty target": (b"a\tb\n\nc\t \n", "FILE, line 3: the target is empty"),
    "both empty": (b"a\tb\n\t\n", "FILE, line 2: source and target are empty"),
    "Latin-1": (
        b"a\tb\ncaf\xe9\tcoffee\n",
        "FILE, line 2: byte 7 is 0xe9, which is not UTF-8: save the file as UTF-8",
    ),
    "Latin-1 after a byte order mark": (
        b"\xef\xbb\xbfa\tb\ncaf\xe9\tcoffee\n",
        "FILE, line 2: byte 10 is 0xe9, which is not UTF-8: save the file as UTF-8",
    ),
    "cut inside a character": (
        "a\tb\nc\té".encode()[:-1],
        "FILE, line 2: byte 6 is 0xc3, which is not UTF-8: save the file as UTF-8",
    ),
    "NUL": (b"a\tb\nc\td\0\n", "FILE, line 2: byte 7 is NUL: the file is not text, or UTF-16 without its mark"),
    "old Mac": (b"a\tb\rc\td\r", "FILE, line 1: it has a carriage return inside: lines must end with LF or CRLF"),
    "empty": (b"", "FILE is empty"),
    "only a byte order mark": (b"\xef\xbb\xbf", "FILE is empty"),
    "blank lines only": (b"\n \n\n", "FILE: there is no pair in it, in 3 lines"),
    "comments only": (b"# source target\n", "FILE: there is no pair in it, in 1 lines"),
    "one pair": (b"a\tb\n", "FILE: at least 2 pairs with different sources are needed, but there is one source only"),
    "one source": (
        b"a\tb\na\tc\na\td\n",
        "FILE: at least 2 pairs with different sources are needed, but there is one source only",
    ),
    "all too long": (
        b"x" * 300 + b"\ty\n" + b"x" * 250 + b"\ty\n",
        "FILE: all pairs are longer than 200 symbols a side; the shortest has 250: give a larger max_length",
    ),
    "one endless line": (b"x" * (9 << 20), "FILE, line 1: it is longer than 4 MiB: is this a text file?"),
}

BROKEN_SERIES = {
    "empty cell": (
        b"a,b\n1,2\n3,\n",
        "FILE, line 3: the cell of column 'b' is empty: fill the gaps, or leave the column out with columns=NAME,NAME",
    ),
    "empty cell in the first row": (
        b"a,b\n1,\n3,4\n",
        "FILE, line 2: the cell of column 'b' is empty: fill the gaps, or leave the column out with columns=NAME,NAME",
    ),
    "NaN": (
        b"a,b\n1,2\n\nnan,4\n",
        "FILE, line 4: the cell of column 'a' is nan, a missing value: fill the gaps, or leave the column out with "
        "columns=NAME,NAME",
    ),
    "NA": (
        b"1,2\n3,NA\n",
        "FILE, line 2: the cell of column '2' is 'NA', a missing value: fill the gaps, or leave the column out with "
        "columns=NAME,NAME",
    ),
    "infinite": (
        b"a\n1\n-inf\n",
        "FILE, line 3: the cell of column 'a' is -inf, which float32 cannot hold: fill the gaps, or leave the column "
        "out with columns=NAME,NAME",
    ),
    "too large for float32": (
        b"a\n1\n1e39\n",
        "FILE, line 3: the cell of column 'a' is 1e+39, which float32 cannot hold: fill the gaps, or leave the column "
        "out with columns=NAME,NAME",
    ),
    "text": (
        b"a,b\n1,2\n3,high\n",
        "FILE, line 3: the cell of column 'b' is 'high', which is not a number: each row must hold numbers",
    ),
    "decimal comma": (
        b"a;b\n1;2\n1,5;2\n",
        "FILE, line 3: the cell of column 'a' is '1,5', which is not a number: numbers have a decimal point and no "
        "other signs",
    ),
    "a second header": (
        b"a\n1\n2\na\n",
        "FILE, line 4: the cell of column 'a' is 'a', which is not a number: each row must hold numbers",
    ),
    "too many cells": (b"a,b\n1,2\n1,2,3\n", "FILE, line 3: it has 3 cells where the lines before have 2"),
    "too few cells": (b"a,b\n1,2\n1\n", "FILE, line 3: it has 1 cells where the lines before have 2"),
    "a header of another width": (b"a,b\n1,2,3\n", "FILE, line 2: it has 3 cells where the lines before have 2"),
    "two columns of one name": (b"a,b,a\n1,2,3\n", "FILE, line 1: two columns have the name 'a'"),
    "header only": (b"a,b\n", "FILE has a header and no rows"),
    "no numbers": (b"day,mood\nmonday,fair\n", "FILE has no column of numbers: line 2 is monday, fair"),
    "only a counter": (
        b"year\n" + b"".join(b"%d\n" % year for year in range(1900, 2000)),
        "FILE: column 'year' only counts the rows: to use it, give columns=NAME",
    ),
    "constant": (
        b"a,b\n" + b"".join(b"7,%d\n" % (number**2) for number in range(99)),
        "FILE: column 'a' is 7 in all 79 rows to train on, so there is nothing to "
        "forecast: leave it out with columns=NAME,NAME",
    ),
    "too short": (
        b"a\n1\n5\n2\n",
        "FILE has 3 rows, 2 of them to train on, which is too few for a window of 20 and a horizon of 5: shorten "
        "them, or give more rows",
    ),
    "Latin-1": (
        b"temp \xb0C\n1\n2\n",
        "FILE, line 1: byte 5 is 0xb0, which is not UTF-8: save the file as UTF-8",
    ),
    "UTF-16": ("a\n1\n".encode("utf-16"), "FILE is UTF-16 text: save it as UTF-8"),
    "UTF-16 without a mark": (
        "a\n1\n".encode("utf-16-le"),
        "FILE, line 1: byte 1 is NUL: the file is not text, or UTF-16 without its mark",
    ),
    "gzip": (gzip.compress(b"a\n1\n"), "FILE is compressed by gzip: unpack it first"),
    "spreadsheet": (b"PK\x03\x04....", "FILE is a zip archive or a spreadsheet: save it as text"),
    "Parquet": (b"PAR1....", "FILE is a Parquet file: save it as text"),
    "an open quote": (
        b'a\n1\n"2\n' + b"3\n" * 70_000,
        "FILE, line 3: it is not CSV: field larger than field limit (131072)",
    ),
    "a quote that never ends": (b'a\n1\n"2\n3\n', "FILE, line 3: it is not CSV: unexpected end of data"),
    "a number over two lines": (
        b'a\n1\n"2\n3"\n',
        "FILE, line 3: the cell of column 'a' is '2\\n3', which is not a number: each row must hold numbers",
    ),
    "empty": (b"", "FILE is empty"),
    "blank": (b"\n\n", "FILE has no rows"),
}


@pytest.mark.parametrize("name", BROKEN_PAIRS)
def test_a_broken_file_of_pairs_gets_a_sentence(name: str, tmp_path: Path) -> None:
    content, sentence = BROKEN_PAIRS[name]
    path = tmp_path / "pairs.tsv"
    path.write_bytes(content)
    assert refusal("pairs", path) == sentence


@pytest.mark.parametrize("name", BROKEN_SERIES)
def test_a_broken_file_of_a_series_gets_a_sentence(name: str, tmp_path: Path) -> None:
    content, sentence = BROKEN_SERIES[name]
    path = tmp_path / "series.csv"
    path.write_bytes(content)
    assert refusal("series", path) == sentence


@pytest.mark.parametrize("task", ["pairs", "series"])
def test_a_file_that_cannot_be_read_gets_a_sentence(task: str, tmp_path: Path) -> None:
    assert refusal(task, tmp_path) == "FILE is a directory, not a text file"
    missing = refusal(task, tmp_path / "none.txt")
    assert missing.startswith("there is no file FILE on ")
    assert missing.endswith(": every machine that works on the study needs it there")
    (tmp_path / "file").write_text("a\tb\n")
    assert refusal(task, tmp_path / "file" / "inside") == "FILE cannot be read: Not a directory"
    os.mkfifo(tmp_path / "pipe")
    assert refusal(task, tmp_path / "pipe") == "FILE is no regular file, not a text file"
    assert refusal(task, tmp_path / ("x" * 300)) == "FILE cannot be read: File name too long"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_must_not_be_read_gets_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "secret.tsv"
    path.write_text("a\tb\n")
    path.chmod(0)
    assert refusal("pairs", path) == "FILE cannot be read: Permission denied"


@pytest.mark.parametrize(
    ("task", "options", "sentence"),
    [
        ("pairs", {"tokens": "bytes"}, "task 'pairs': tokens must be char or word, but got 'bytes'"),
        ("pairs", {"window": 3},
         "task 'pairs' has no option 'window': it takes tokens, max_length, vocabulary, examples, seed"),
        ("series", {"standardize": "maybe"}, "task 'series': standardize must be true or false, but got 'maybe'"),
        ("series", {"horizon": 0}, "task 'series': horizon must be a whole number from 1 to 10000, but got 0"),
        ("series", {"columns": "a,"}, "task 'series': columns must be names with commas between them, but got 'a,'"),
        ("series", {"columns": "b"}, "FILE has no column 'b': its columns are a, c"),
    ],
)  # fmt: skip
def test_an_option_that_does_not_fit_gets_a_sentence(
    task: str, options: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_text("a,c\n1,2\n")
    assert refusal(task, path, **options) == sentence


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        ("pairs", "task 'pairs' needs a file: pairs:FILE"),
        ("series:", "task 'series' needs a file: series:FILE"),
        ("copy:x.tsv", "task 'copy' reads no file, but got 'copy:x.tsv'"),
    ],
)
def test_a_file_is_given_where_one_is_read(task: str, sentence: str) -> None:
    with pytest.raises(TaskError) as error:
        load_task(task)
    assert str(error.value) == sentence
