"""Files as they are found: by field, what each is read as, and what is said of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from gradstudy.models.tasks import TaskError, load_task

ROWS = 40
DRAWN = np.random.default_rng(0).normal(20, 4, (ROWS, 3)).round(2)
DAYS = [str(day) for day in np.datetime64("2021-01-01") + np.arange(ROWS)]


def lines_of(columns: Sequence[Sequence[object]], separator: str = ",") -> list[str]:
    return [separator.join(map(str, row)) for row in zip(*columns, strict=True)]


def comma(values: np.ndarray) -> list[str]:
    return [str(value).replace(".", ",") for value in values.tolist()]


def day(form: str, backwards: bool = False) -> list[str]:
    times = np.array(DAYS, dtype="datetime64[D]").astype(object)
    return [time.strftime(form) for time in (times[::-1] if backwards else times)]


FRENCH = str.maketrans(",.", "\u202f,")
A, B, C = DRAWN.T
WHOLE = [row for row in range(ROWS) if row % 7]
GAPPED = [str(value) if row % 7 else "" for row, value in enumerate(A.tolist())]
FILLED = [A[row if row % 7 else max(row - 1, 1)] for row in range(ROWS)]


@dataclass
class Table:
    """A file, and what is read of it.

    Attributes:
        text: of the file.
        values: of the columns that are read.
        said: what stands in the lines that say how it was read.
        options: that are given.
    """

    text: str | bytes
    values: Sequence[Sequence[float]]
    said: Sequence[str] = ()
    options: dict[str, object] | None = None


def table(lines: Sequence[str], values: Sequence[Sequence[float]], *said: str, **options: object) -> Table:
    return Table("\n".join(lines) + "\n", values, said, options)


SERIES = {
    "weather: German station, decimal comma, Latin-1": Table(
        "\n".join(["Datum;Temperatur (°C);Taupunkt", *lines_of([day("%d.%m.%Y"), comma(A), comma(B)], ";")]).encode(
            "latin-1"
        ),
        [A, B],
        ["semicolon, decimal comma", "text in Latin-1", "Datum (time)"],
    ),
    "weather: NOAA daily with T for traces": table(
        ["DATE,PRCP,TMAX", *lines_of([DAYS, ["T", *A.tolist()[1:]], B])],
        [[A[1], *A[1:]], B],
        "1 row with gaps filled forward",
        missing="T",
    ),
    "weather: METAR export with M": table(
        ["valid,tmpf,dwpf", *lines_of([DAYS, [*A.tolist()[:-1], "M"], B])],
        [[*A[:-1], A[-2]], B],
        "1 row with gaps",
        missing="M",
    ),
    "weather: preamble, units and a header in the middle": table(
        ["Station: Jena", "Height: 155 m", "", "time,T,p", "-,degC,hPa", *lines_of([DAYS, A, B])],
        [A, B],
        "2 header rows from line 4, names of the first",
    ),
    "weather: -9999 declared missing": table(
        ["time,T,p", *lines_of([DAYS, [A[0], -9999, *A[2:].tolist()], B])],
        [[A[0], A[0], *A[2:]], B],
        "1 row with gaps filled forward",
        missing="-9999",
    ),
    "weather: -999.9 not declared": table(
        ["time,T,p", *lines_of([DAYS, [*A[:-1].tolist(), -999.9], B])],
        [[*A[:-1], -999.9], B],
        "careful: 1 cell of T holds -999.9, far from all others: --task-option missing=-999.9 reads it as a gap",
    ),
    "weather: aligned with blanks, negative numbers": table(
        ["  year  temp   rain", *(f"  {1900 + i}  {-A[i]:6.2f} {B[i]:6.2f}" for i in range(ROWS))],
        [-A, B],
        "read as blanks, header on line 1",
        "year (only counts)",
    ),
    "stocks: newest first, dollars, volume with commas": table(
        [
            "Date,Close/Last,Volume",
            *lines_of([day("%m/%d/%Y", True), [f"${x}" for x in A], [f'"{int(x * 1e5):,}"' for x in B]]),
        ],
        [A[::-1], [int(x * 1e5) for x in B[::-1]]],
        "without currency signs and thousands separators",
        "turned around, as the newest came first",
    ),
    "stocks: investing.com with K, M and percent": table(
        [
            '"Date","Price","Vol.","Change %"',
            *lines_of(
                [
                    [f'"{x}"' for x in day("%b %d, %Y", True)],
                    [f'"{x}"' for x in A],
                    [f'"{x}M"' for x in B],
                    [f'"{x}%"' for x in C],
                ]
            ),
        ],
        [A[::-1], B[::-1] * 1e6, C[::-1]],
        "K, M and B",
        "percent signs",
        "Date (time)",
    ),
    "stocks: yfinance with three header rows": table(
        ["Price,Close,High", "Ticker,AAPL,AAPL", "Date,,", *lines_of([DAYS, A, B])],
        [A, B],
        "3 header rows from line 1, names of the first",
    ),
    "stocks: two tickers under the same names": table(
        ["Price,Close,Close", "Ticker,AAPL,MSFT", *lines_of([DAYS, A, B])],
        [A, B],
        "2 header rows from line 1, names of 2",
    ),
    "stocks: null for holidays": table(
        ["Date,Close", *lines_of([DAYS, [cell or "null" for cell in GAPPED]])], [FILLED], "6 rows with gaps"
    ),
    "stocks: losses in brackets, a sum below": table(
        ["Date,Profit", *lines_of([DAYS, [f"({x})" if i % 2 else x for i, x in enumerate(A)]]), "Total,812.11"],
        [[-x if i % 2 else x for i, x in enumerate(A)]],
        "without brackets",
        "1 row without a time at the end left out",
    ),
    "stocks: two series below one another": table(
        ["Date,Close", *lines_of([[*DAYS[:20], *DAYS[:20]], A])],
        [A],
        "careful: time goes back once, first at line 22",
    ),
    "stocks: Swiss thousands": table(
        ["Datum;Kurs", *lines_of([DAYS, [f"{1000 * x:,.2f}".replace(",", "'") for x in A]], ";")],
        [A * 1000],
        "thousands separators",
    ),
    "stocks: prices in EUR": table(
        ["Tag;Preis", *lines_of([DAYS, [f"{x} EUR" for x in comma(A)]], ";")],
        [A],
        "decimal comma",
        "currency signs",
    ),
    "electricity: French thousands and units": table(
        ["Jour\tConso", *lines_of([DAYS, [f"{1000 * x:,.1f} kWh".translate(FRENCH) for x in A]], "\t")],
        [A * 1000],
        "tab, decimal comma",
        "the unit kWh",
    ),
    "electricity: sep=; in the first line and a mark": Table(
        "\ufeffsep=;\r\n" + "\r\n".join(["Zeit;kW", *lines_of([DAYS, comma(A)], ";")]),
        [A],
        ["semicolon, decimal comma, header on line 2"],
    ),
    "electricity: trailing separators and a tail of them": table(
        ["Zeit;kW;;", *(f"{row};;" for row in lines_of([DAYS, comma(A)], ";")), ";;;", ";;;"],
        [A],
        "1 column of 2",
        "2 blank lines",
    ),
    "electricity: Spanish thousands with points": table(
        ["Fecha;MWh", *lines_of([DAYS, [f"{1000 * x:,.2f}".translate(str.maketrans(",.", ".,")) for x in A]], ";")],
        [A * 1000],
        "decimal comma",
    ),
    "electricity: ? in a row, dropped": table(
        ["Date;Time;kW;V", *lines_of([DAYS, ["00:00:00"] * ROWS, [cell or "?" for cell in GAPPED], B], ";")],
        [A[WHOLE], B[WHOLE]],
        "6 rows with gaps dropped",
        "Date (time), Time (time)",
        gaps="drop",
    ),
    "electricity: two columns of one name": table(
        ["t,load,load", *lines_of([DAYS, A, B])], [A, B], "2 columns of 3", columns="load,load.2"
    ),
    "electricity: a meter that stands still": table(
        ["t,load,off", *lines_of([DAYS, A, [0] * ROWS])], [A], "off (always 0)"
    ),
    "electricity: an hour of summer time is missing": table(
        ["t,load", *lines_of([[f"2021-03-28 {hour:02}:00" for hour in range(24) if hour != 2], A[:23]])],
        [A[:23]],
    ),
    "electricity: a week is missing": table(
        ["t,load", *lines_of([[*DAYS[:10], *DAYS[17:]], [*A[:10], *A[17:]]])],
        [[*A[:10], *A[17:]]],
        "careful: 1 gap in time, the longest of 8 days after 2021-01-10",
    ),
    "sensors: UTF-16 of a spreadsheet": Table(
        "\r\n".join(["Zeit\tWert", *lines_of([DAYS, comma(A)], "\t")]).encode("utf-16"), [A], ["tab, decimal comma"]
    ),
    "sensors: numbers as names (METR-LA)": table(
        [",773869,767541", *lines_of([[f"{each} 00:05:00" for each in DAYS], A, B])], [A, B], "header on line 1"
    ),
    "sensors: R's write.table": table(
        ['"temp" "hum"', *(f'"{i}" {a} {b}' for i, (a, b) in enumerate(zip(A, B, strict=True), 1))],
        [A, B],
        "blanks, header on line 1",
    ),
    "sensors: pipes around the cells": table(
        ["|time|temp|", *(f"|{row}|" for row in lines_of([DAYS, A], "|"))], [A], "pipe, header on line 1"
    ),
    "sensors: unix seconds and old Mac lines": Table(
        "\r".join(["ts,x", *lines_of([[1600000000 + 60 * i for i in range(ROWS)], A])]), [A], ["ts (only counts)"]
    ),
    "sensors: 20210131 for a day": table(
        ["day,x", *lines_of([day("%Y%m%d"), A])], [A], "day (time)"
    ),
    "sensors: the first half of a column is missing": table(
        ["t,x,y", *lines_of([DAYS, A, [""] * 25 + B[25:].tolist()])], [A], "y (62% missing)"
    ),
    "sensors: lines between quotes and blank lines": table(
        ["t,x,note", *(f'{t},{x},"all\nwell"' for t, x in zip(DAYS, A, strict=True)), "", ""],
        [A],
        "note (text)",
        "2 blank lines",
    ),
    "sensors: Fortran's exponents": table(
        [f"  {x:.2f}D+01   {y:.2f}D-01" for x, y in zip(A, B, strict=True)], [A * 10, B / 10], "blanks, no header"
    ),
    "sensors: rows that end early": table(
        ["t,x,y", *lines_of([DAYS[:-1], A[:-1], B[:-1]]), f"{DAYS[-1]},{A[-1]}"],
        [A, [*B[:-1], B[-2]]],
        "1 row with too few cells",
    ),
    "sensors: no header, decimal commas, one column": table(
        ["value", *comma(A)], [A], "one column, decimal comma"
    ),
    "logs: training, words and numbers": table(
        [f"step {10 * i} loss {x} lr {y}" for i, (x, y) in enumerate(zip(A, B, strict=True))],
        [A, B],
        "blanks, no header",
    ),
    "logs: files that were joined, header and all": table(
        [*(head := ["t,x", *lines_of([DAYS[:20], A[:20]])]), "t,x", *lines_of([DAYS[20:], A[20:]])],
        [A],
        "1 repeated header row",
    ),
    "logs: comments and a footer of prose": table(
        ["# made by logger", "t,x", *lines_of([DAYS, A]), "", "Source: the logger, with care"],
        [A],
        "1 line below the table",
    ),
    "logs: spreadsheet errors": table(
        ["t,x", *lines_of([DAYS, [cell or "#DIV/0!" for cell in GAPPED]])], [FILLED], "6 rows with gaps"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SERIES)
def test_a_table_of_people_is_read_as_they_mean_it(name: str, tmp_path: Path) -> None:
    case = SERIES[name]
    path = tmp_path / "table.csv"
    path.write_bytes(case.text if isinstance(case.text, bytes) else case.text.encode())
    data = load_task(f"series:{path}", window=4, horizon=1, standardize=False, **case.options or {})
    expected = np.array([list(map(float, column)) for column in case.values]).T
    np.testing.assert_allclose(data.source, expected, rtol=1e-6)
    for sentence in case.said:
        assert sentence in "\n".join(data.reading)
    assert sum(line.startswith("careful") for line in data.reading) == sum(
        said.startswith("careful") for said in case.said
    )


WORDS = [(f"one {word}", f"un {word}") for word in ("cat", "dog", "élan", "ox", "hen", "cow", "pig", "fox")]

PAIRS = {
    "text: Anki with a third column": (
        [f"{a}\t{b}\tCC-BY" for a, b in WORDS], "further columns of 8 lines left out", {}
    ),
    "text: CSV with a header": (
        ["English,French", *(f"{a},{b}" for a, b in WORDS)], "header, columns 'English' and 'French' of 2", {}
    ),
    "text: CSV with an index, columns named": (
        [",en,fr", *(f"{i},{a},{b}" for i, (a, b) in enumerate(WORDS))],
        "columns 'en' and 'fr' of 3",
        {"columns": "en,fr"},
    ),
    "text: CSV with quotes and no header": (
        [f'"{a}","{b}"' for a, b in WORDS], "no header", {"header": "no"}
    ),
    "text: semicolons": (["en;fr", *(f"{a};{b}" for a, b in WORDS)], "semicolon, header", {}),
    "text: bars of word alignment": ([f"{a} ||| {b}" for a, b in WORDS], "bars, columns 1 and 2 of 2", {}),
    "text: Tatoeba with numbers": (
        [f"{i}\t{a}\t{i + 9}\t{b}" for i, (a, b) in enumerate(WORDS)], "columns 2 and 4 of 4", {"columns": "2,4"}
    ),
    "text: a name above tabs": (["en\tfr", *(f"{a}\t{b}" for a, b in WORDS)], "tab", {"header": "yes"}),
    "text: sides that are empty": ([*(f"{a}\t{b}" for a, b in WORDS), "alone\t"], "tab", {}),
}  # fmt: skip


def pairs_of(task: str, **options: object) -> tuple[set[tuple[str, str]], str]:
    data = load_task(task, **options)
    numbers = range(len(data.source))
    return {("".join(data.source_symbols(i)), "".join(data.target_symbols(i))) for i in numbers}, "\n".join(
        data.reading
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize("name", PAIRS)
def test_pairs_of_people_are_read_as_they_mean_them(name: str, encoding: str, tmp_path: Path) -> None:
    lines, said, options = PAIRS[name]
    path = tmp_path / "pairs.txt"
    path.write_bytes("\r\n".join(lines).encode(encoding))
    pairs, reading = pairs_of(f"pairs:{path}", **options)
    assert pairs == set(WORDS)
    assert said in reading
    assert ("Latin-1" in reading) == (encoding == "latin-1")


def test_two_files_are_read_side_by_side(tmp_path: Path) -> None:
    for side, name in enumerate(("train.en", "train.fr")):
        (tmp_path / name).write_text("".join(f"{pair[side]}\n" for pair in WORDS))
    pairs, reading = pairs_of(f"pairs:{tmp_path}/train.en,{tmp_path}/train.fr")
    assert pairs == set(WORDS)
    assert reading.startswith("read as two files, line by line")
    with pytest.raises(TaskError, match=r"line 1: there is no tab .* give the task pairs:train.en,train.fr$"):
        load_task(f"pairs:{tmp_path}/train.en")
    with (tmp_path / "train.fr").open("a") as file:
        file.write("de trop\n")
    with pytest.raises(TaskError, match=r"train.en has 8 lines and .*train.fr 9: each line of one must be the pair"):
        load_task(f"pairs:{tmp_path}/train.en,{tmp_path}/train.fr")


@pytest.mark.parametrize("between", ["  ", " ", "\t"])
def test_a_lexicon_is_letters_and_the_symbols_after_them(between: str, tmp_path: Path) -> None:
    path = tmp_path / "speech.dict"
    words = ["CAT", "DOG", "COW", "CAT(2)"]
    path.write_text(";;; speech\n" + "".join(f"{word}{between}K AE{word[1]} T{i}\n" for i, word in enumerate(words)))
    data = load_task(f"pairs:{path}", format="lexicon")
    sources = ["".join(data.source_symbols(number)) for number in range(4)]
    assert sorted(sources) == ["CAT", "CAT", "COW", "DOG"]
    assert all(data.target_symbols(number)[0] == "K" for number in range(4))
    assert data.target_vocabulary[3:] == ("AEA", "AEO", "K", "T0", "T1", "T2", "T3")
    assert data.reading[0].startswith("read as a lexicon")


def test_what_is_said_of_a_file_and_changes_nothing_is_told(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(map(str, range(0, 60, 2))).replace("4", "5"))
    data = load_task(f"series:{path}", window=3, horizon=1, decimal="comma", missing="-99", gaps="drop")
    assert list(data.reading[1:]) == [
        "careful: missing=-99 changes nothing: there is no such cell",
        "careful: decimal=comma changes nothing: no number has a decimal sign",
        "careful: gaps=drop changes nothing: there are none",
    ]


def test_a_gap_that_is_named_in_another_spelling_is_found(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        "\n".join(["day;a", *(f"{day};{'-999,90' if day % 5 == 0 else day % 7},5"[:9] for day in range(40))])
    )
    said = load_task(f"series:{path}", window=3, horizon=1, missing="-999.9").reading
    assert any("8 rows with gaps" in line for line in said)
    assert not any("changes nothing" in line for line in said)


@pytest.mark.parametrize("missing", ["0%", "5k", "$0", "(5)"])
def test_a_gap_may_be_spelled_as_numbers_are(missing: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["a,b", *(f"{day % 7},{missing if day == 9 else day % 3}" for day in range(40))]))
    said = load_task(f"series:{path}", window=3, horizon=1, missing=missing).reading
    assert any("rows with gaps" in line or "row with gaps" in line for line in said)


def test_gaps_are_filled_as_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n,1\n2,4\n,9\n6,\n7,3\n1,8\n")
    columns = {
        "forward": ([2, 2, 2, 6, 7, 1], [1, 4, 9, 9, 3, 8]),
        "interpolate": ([2, 2, 4, 6, 7, 1], [1, 4, 9, 6, 3, 8]),
        "drop": ([2, 7, 1], [4, 3, 8]),
    }
    for gaps, expected in columns.items():
        data = load_task(f"series:{path}", window=1, horizon=1, standardize=False, gaps=gaps)
        np.testing.assert_array_equal(data.source, np.array(expected).T)
    with pytest.raises(TaskError, match=r", line 2: the cell of column 'a' is missing: gaps=forward, "):
        load_task(f"series:{path}", window=1, horizon=1, gaps="error")
