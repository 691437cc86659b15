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


OTHERS = ": give two files as pairs:SOURCES,TARGETS, or a lexicon with --task-option format=lexicon"

BROKEN_PAIRS = {
    "no tab": (b"a\tb\nab cd\n", f"FILE, line 2: there is no tab between source and target in 'ab cd'{OTHERS}"),
    "spaces for tabs": (
        b"one    1\n",
        "FILE, line 1: there is no tab between source and target in 'one    1': a word and its symbols with blanks "
        "between are read with --task-option format=lexicon",
    ),
    "JSON": (
        b'{"en": "a", "fr": "b"}\n',
        'FILE, line 1: there is no tab between source and target in \'{"en": "a", "fr": "b"}\': JSON and XML are '
        "not read; write each pair as source, tab, target",
    ),
    "a row of CSV with more cells": (
        b"en,fr\n" + b"a,b\n" * 40 + b"a,b,c\n",
        "FILE, line 42: it has 3 cells where the lines before have 2: texts that hold the separator need quotes",
    ),
    "a long line is shortened": (
        b"x" * 99,
        f"FILE, line 1: there is no tab between source and target in '{'x' * 40}...'{OTHERS}",
    ),
    "empty sides only": (b"a\t\n\tb\n\t\n", "FILE: there is no pair in it, in 3 lines"),
    "no Latin-1 letters": (
        "привет\tмир\n".encode("cp1251"),
        "FILE, line 1: byte 0 is 0xef, which is not UTF-8: save the file as UTF-8",
    ),
    "Latin-1 after UTF-8": (
        "a\tß\n".encode() * 9 + b"caf\xe9\tcoffee\n",
        "FILE, line 10: byte 48 is 0xe9, which is not UTF-8: save the file as UTF-8",
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

OTHER_SIGN = ": where another sign stands between the cells, give separator=NAME"

BROKEN_SERIES = {
    "infinite": (
        b"a\n1\n-inf\n",
        "FILE, line 3: the cell of column 'a' is '-inf', which is not a number: --task-option missing=-inf reads it "
        "as a gap",
    ),
    "too large for float32": (
        b"a\n1\n1e39\n",
        "FILE, line 3: the cell of column 'a' is 1e39, which float32 cannot hold: --task-option missing=1e39 reads it "
        "as a gap",
    ),
    "words where numbers are": (
        b"a,b\n1,2\n3,T\n4,5\n6,no rain\n7,8\n",
        "FILE, line 3: the cell of column 'b' is 'T', which is not a number: --task-option 'missing=T,no rain' reads "
        "it as a gap, columns=NAME,NAME takes other columns",
    ),
    "decimal comma after whole numbers": (
        b"a;b\n" + b"1;2.5\n" * 9 + b"1,25;2\n",
        "FILE, line 11: the cell of column 'a' is '1,25', which is not a number: --task-option decimal=comma reads it",
    ),
    "text between rows": (
        b"a,b\n1,2\nsecond part\n3,4\n5,6\n",
        "FILE, line 3: it has 1 cell where the lines before have 2: what is no row of the table must stand above or "
        "below it, or begin with #",
    ),
    "too many cells": (
        b"a,b\n1,2\n3,4\n1,2,3\n",
        "FILE, line 4: it has 3 cells where the lines before have 2: cells that hold the separator need quotes",
    ),
    "decimal commas between commas": (
        b"day,value\n2001-01-01,1,5\n2001-01-02,2,5\n",
        "FILE, line 1: it has 2 names where the rows have 3 cells: header=0 reads it without names; a decimal comma "
        "cannot be told from a separating one, so save such numbers with semicolons between",
    ),
    "JSON": (
        b'{"a": 1}\n{"a": 2}\n',
        "FILE is JSON or XML, not a table: write its numbers as CSV, a row a line",
    ),
    "header only": (b"a,b\n", "FILE has a header and no rows"),
    "no numbers": (b"day,mood\nmonday,fair\n", "FILE has no column of numbers; line 2 is monday, fair" + OTHER_SIGN),
    "only a counter": (
        b"year\n" + b"".join(b"%d\n" % year for year in range(1900, 2000)),
        "FILE: column 'year' only counts the rows: to use it, give columns=NAME",
    ),
    "constant": (
        b"a\n" + b"7\n" * 99,
        "FILE: column 'a' is 7 in all 79 rows to train on, so there is nothing to forecast: leave it out with "
        "columns=NAME,NAME",
    ),
    "too short": (
        b"a\n1\n5\n2\n",
        "FILE has 3 rows, 2 of them to train on, which is too few for a window of 20 and a horizon of 5: shorten "
        "them, or give more rows",
    ),
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
         "task 'pairs' has no option 'window': it takes tokens, max_length, vocabulary, examples, seed, "
         "format, columns, header"),
        ("series", {"standardize": "maybe"}, "task 'series': standardize must be true or false, but got 'maybe'"),
        ("series", {"horizon": 0}, "task 'series': horizon must be a whole number from 1 to 10000, but got 0"),
        ("series", {"columns": "a,"}, "task 'series': columns must be names with commas between them, but got 'a,'"),
        ("series", {"columns": "b"}, "FILE has no column 'b': its columns are a, c"),
        ("series", {"decimal": "dot"}, "task 'series': decimal must be auto or point or comma, but got 'dot'"),
        ("series", {"header": -1}, "task 'series': header must be auto, 0 or the number of a line, but got -1"),
        ("series", {"header": 9}, "FILE: header=9 is given, but no row begins on line 9"),
        ("series", {"separator": "pipe"}, "FILE: separator=pipe is given, but its rows have none: line 1 is 'a,c'"),
        ("series", {"format": "lexicon"},
         "task 'series' has no option 'format': it takes window, horizon, standardize, columns, rows, separator, "
         "decimal, header, missing, gaps"),
        ("pairs", {"columns": "1,3"}, "FILE has no column '3': its columns are a, c"),
        ("pairs", {"columns": "a"}, "FILE: columns must be those of source and target, but got a"),
        ("pairs", {"format": "lexicon", "columns": "1,2"}, "FILE: columns=1,2 has no meaning for lexicon"),
        ("pairs", {"format": "lexicon", "header": "yes"}, "FILE: header=yes has no meaning for lexicon"),
        ("pairs", {"format": "lexicon", "tokens": "word"},
         "FILE: tokens=word has no meaning for a lexicon, whose sources are letters"),
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
