"""Pairs and series from files: what is kept, how it is split, and how much memory it takes."""

import csv
import gzip
import random
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import plotly
import pytest
import torch

from gradstudy.models.tasks import TaskError, load_task, series
from gradstudy.models.tasks.batches import on_device
from gradstudy.models.tasks.files import text_file
from gradstudy.models.tasks.files.text_file import TextFile, file_digest

COUNTRIES = Path(__file__).parent / "data" / "iso3166.tab"
"""Country codes and names of the IANA time zone database (2026), which is in the public domain, as it is published."""


CPU = torch.device("cpu")
OTHER_WAYS = " (other ways: --task-option separator=, decimal=, header=, columns=, missing=, gaps=)"


def all_pairs(data, numbers):
    join = "".join if "char" in data.origin else " ".join
    return [(join(data.source_symbols(i)), join(data.target_symbols(i))) for i in numbers.tolist()]


def everything(data):
    return all_pairs(data, data.train), all_pairs(data, data.validation)


@pytest.fixture
def written(tmp_path):
    def write(text, name="file"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_tsv_from_elsewhere_works_at_once():
    data = load_task(f"pairs:{COUNTRIES}")
    text = COUNTRIES.read_text().splitlines()
    lines = [line.split("\t") for line in text if "\t" in line]  # the last line of its comment has a tab, too
    short = {(code, name) for code, name in lines if len(name) <= 40}
    train, validation = everything(data)
    assert len(train) + len(validation) == len(short) > 240
    assert set(train) | set(validation) == short
    assert len(validation) == round(0.1 * len(short))
    comments = sum(line.startswith("#") and "\t" not in line for line in text)
    letters = {letter for code, _ in short for letter in code}
    assert data.details == (
        f"{len(letters)} source symbols, {len({c for _, name in short for c in name})} target symbols; "
        f"longest 2 and {max(len(name) for _, name in short)}; {len(lines) + comments} lines read; "
        f"max_length 40 chosen; {comments} comments; {len(lines) - len(short)} longer than 40"
    )


def test_a_csv_from_elsewhere_works_at_once(written):
    stocks = Path(plotly.__file__).parent / "package_data" / "datasets" / "stocks.csv.gz"
    path = written(gzip.decompress(stocks.read_bytes()))
    data = load_task(f"series:{path}", window=10, horizon=3)
    frame = pd.read_csv(path).drop(columns="date")
    split = round(0.8 * len(frame))
    scaled = ((frame - frame[:split].mean()) / frame[:split].std(ddof=0)).to_numpy()
    batch = on_device(data, CPU).batch(torch.tensor([[0, 5]]))
    np.testing.assert_allclose(batch.source[0, :, 1], scaled[5:15], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(batch.target[0, :, 1], scaled[15:18], rtol=1e-4, atol=1e-5)
    assert data.details == (
        "105 rows, the first 84 to train on; columns GOOG, AAPL, AMZN, FB, NFLX and 1 more, scaled by the training rows"
    )
    assert data.reading == (f"read as comma, header on line 1; 6 columns of 7, left out: date (time){OTHER_WAYS}",)


def draw_lines(count, seed=0):
    generator = random.Random(seed)
    return [
        f"{''.join(generator.choices('abcdef', k=5))}\t{''.join(generator.choices('xyz', k=4))}" for _ in range(count)
    ]


@pytest.mark.parametrize("examples", [100_000, 300])
def test_pairs_and_split_do_not_depend_on_the_order_of_the_lines(written, examples):
    lines = draw_lines(3000)
    shuffled = random.Random(1).sample(lines, len(lines))
    first = load_task(f"pairs:{written(chr(10).join(lines), 'a')}", examples=examples)
    other = load_task(f"pairs:{written(chr(10).join(shuffled), 'b')}", examples=examples)
    assert everything(first) == everything(other)
    assert dict(first.dropped) == dict(other.dropped)
    assert np.array_equal(first.source, other.source)
    reseeded = load_task(f"pairs:{written(chr(10).join(lines), 'c')}", examples=examples, seed=1)
    assert set(everything(reseeded)[1]) != set(everything(first)[1])


def test_of_a_longer_file_examples_are_kept_and_all_is_accounted_for(written):
    lines = draw_lines(5000)
    data = load_task(f"pairs:{written(chr(10).join(lines))}", examples=400)
    kept = everything(data)[0] + everything(data)[1]
    assert 395 <= len(kept) <= 400
    assert len(set(kept)) == len(kept)
    assert {"\t".join(pair) for pair in kept} <= set(lines)
    assert len(kept) + sum(data.dropped.values()) == 5000


def test_all_targets_of_a_source_are_on_one_side_of_the_split(written):
    lines = [f"{word[:2]}{word[-1]}\t{word}" for word in (line.split("\t")[0] for line in draw_lines(2000))]
    train, validation = everything(load_task(f"pairs:{written(chr(10).join(lines))}"))
    sources = {source for source, _ in train}
    held_out = {source for source, _ in validation}
    assert not sources & held_out
    assert len(sources | held_out) == len({line.split("\t")[0] for line in lines})


def test_a_mark_crlf_blank_lines_and_the_last_line_end_change_nothing(written):
    lines = draw_lines(50)
    plain = load_task(f"pairs:{written(chr(10).join(lines), 'a')}")
    windows = "\ufeff" + "\r\n\r\n".join(lines) + "\r\n"
    other = load_task(f"pairs:{written(windows, 'b')}")
    assert everything(plain) == everything(other)
    assert other.dropped["blank lines"] == 49


def test_blocks_of_any_size_hold_the_same_lines(written, monkeypatch):
    text = "\ufeff" + "\r\n".join(f"ä{number}\tß{number}" for number in range(500)) + "\nlast"
    path = str(written(text))
    expected = [f"ä{number}\tß{number}" for number in range(500)] + ["last"]
    for size in (16, 17, 100, 1000, 1 << 22):
        monkeypatch.setattr(text_file, "BLOCK_BYTES", size)
        file = TextFile(path)
        assert [line for block in file.blocks() for line in block] == expected
        assert file.digest == file_digest(path)


def test_words_are_symbols_and_rare_ones_are_unknown(written):
    lines = [f"the  cat{number % 3} sat\tle chat rare{number}" for number in range(30)]
    data = load_task(f"pairs:{written(chr(10).join(lines))}", tokens="word", vocabulary=3)
    assert set(data.source_vocabulary) == {"<pad>", "the", "sat", "<unknown>"}
    assert set(data.target_vocabulary) == {"<pad>", "<begin>", "<end>", "le", "chat", "<unknown>"}
    assert data.target_symbols(0) == ["le", "chat", "<unknown>"]
    assert "30 target tokens rarer than the 3 symbols kept are <unknown>" in data.details


def test_a_length_limit_is_kept_to_and_counted(written):
    lines = [f"{'a' * number}\t{number}" for number in range(1, 121)]
    path = written("\n".join(lines))
    data = load_task(f"pairs:{path}", max_length=30)
    assert data.source_length.max() == 30
    assert data.dropped["longer than 30"] == 90
    chosen = load_task(f"pairs:{path}")
    assert chosen.dropped["longer than 115"] == 5  # 95% of 120 are 114; the next length is 115
    assert chosen.source_length.max() == 115


def test_symbols_are_stored_in_two_bytes():
    assert load_task(f"pairs:{COUNTRIES}").target.dtype == np.int16


def table(rows, columns=2, seed=0):
    return np.random.default_rng(seed).normal(5, 3, (rows, columns)).round(4)


def text_of(values, header=None, separator=","):
    lines = [separator.join(map(str, row)) for row in values]
    return "\n".join(([separator.join(header)] if header else []) + lines)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("header", [None, ("a", "b")])
@pytest.mark.parametrize("before", ["", "# made by hand, today\n"])
def test_series_are_read_with_any_separator_with_and_without_header(written, separator, header, before):
    values = table(60)
    data = load_task(f"series:{written(before + text_of(values, header, separator))}", standardize=False)
    np.testing.assert_array_equal(data.source, values.astype(np.float32))


@pytest.mark.parametrize("block", [64, 1000, 1 << 22])
@pytest.mark.parametrize("unusual", ["", "# a comment\n", "\n", '"1.5",2.5\n'])
def test_what_is_unusual_anywhere_changes_no_number(written, monkeypatch, unusual, block):
    monkeypatch.setattr(text_file, "BLOCK_BYTES", block)
    values, more = table(40), table(40, seed=1)
    path = written(f"{text_of(values)}\n{unusual}{text_of(more)}")
    between = [np.array([[1.5, 2.5]])] if "2.5" in unusual else []
    data = load_task(f"series:{path}", standardize=False)
    np.testing.assert_array_equal(data.source, np.concatenate([values, *between, more]).astype(np.float32))
    assert {"#": "; 1 comment", "\n": "; 1 blank line"}.get(unusual[:1], "") in data.reading[0]


@pytest.mark.parametrize("block", [16, 300, 1 << 22])
@pytest.mark.parametrize(("kind", "wrong"), [("pairs", "no tab"), ("series", "1,x")])
def test_the_line_of_an_error_is_right_wherever_blocks_end(written, monkeypatch, kind, wrong, block):
    monkeypatch.setattr(text_file, "BLOCK_BYTES", block)
    lines = [f"{number}\t{number}" if kind == "pairs" else f"{number},{number**2 % 7}" for number in range(100)]
    for place in (3, 57, 100):
        path = written("\r\n".join([*lines[: place - 1], wrong, *lines[place - 1 :]]))
        with pytest.raises(TaskError, match=rf"^{path}, line {place}: "):
            load_task(f"{kind}:{path}")
        text = "\n".join(["# \xe4", *lines[1 : place - 1], "caf"]).encode() + b"\xe9\n" + "\n".join(lines).encode()
        path = written(text)
        offset = text.index(b"\xe9")
        with pytest.raises(TaskError, match=rf"^{path}, line {place}: byte {offset} is 0xe9"):
            load_task(f"{kind}:{path}")


def test_forecasts_that_are_validated_lie_after_all_that_is_trained_on(written):
    values = table(200, 1)
    data = load_task(f"series:{written(text_of(values))}", window=12, horizon=4)
    assert (data.source_start[data.train] + 12 == data.target_start[data.train]).all()
    last_trained = int(data.target_start[data.train].max()) + 4
    assert last_trained == 160
    assert data.target_start[data.validation].min() == 160
    assert data.target_start[data.validation].max() + 4 == 200
    assert sorted(np.concatenate([data.train, data.validation]).tolist()) == list(range(145 + 37))


def test_scales_come_from_the_training_rows_only(written):
    values = table(100, 2)
    later = values.copy()
    later[80:] *= 100
    first, other = (load_task(f"series:{written(text_of(v), n)}") for v, n in ((values, "a"), (later, "b")))
    np.testing.assert_array_equal(first.source[:80], other.source[:80])
    np.testing.assert_allclose(first.source[:80].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(first.source[:80].std(0), 1, rtol=1e-6)


def test_columns_can_be_chosen_and_counters_and_dates_are_left_out(written):
    values = table(60, 2)
    rows = [(f"day {number}", 1900 + number, *row) for number, row in enumerate(values.tolist())]
    path = written(text_of(rows, ("day", "year", "x", "y")))
    data = load_task(f"series:{path}", standardize=False)
    np.testing.assert_array_equal(data.source, values.astype(np.float32))
    assert "2 columns of 4, left out: day (text), year (only counts)" in data.reading[0]
    chosen = load_task(f"series:{path}", columns="y, year", standardize=False)
    np.testing.assert_array_equal(chosen.source[:, 0], values[:, 1].astype(np.float32))
    assert chosen.source[0, 1] == 1900


def test_the_last_rows_of_a_longer_series_are_kept(written):
    values = table(25_000, 1)
    data = load_task(f"series:{written(text_of(values))}", rows=777, standardize=False)
    np.testing.assert_array_equal(data.source, values[-777:].astype(np.float32))
    assert "24,223 earlier rows dropped (rows)" in data.reading[0]


def test_sunspots_are_those_of_the_data_centre():
    data = load_task("sunspots", standardize=False)
    with (Path(series.__file__).parent / "sunspots.csv").open() as file:
        rows = list(csv.DictReader(file))
    years = [int(row["YEAR"]) for row in rows]
    assert (years[0], years[-1], len(years)) == (1700, 2008, 309)
    assert all(later == year + 1 for year, later in pairwise(years))
    # The maximum of 1957 and the minimum of 1913, as in every table of the sunspot number of version 1.
    values = dict(zip(years, data.source[:, 0].tolist(), strict=True))
    assert values[1957] == pytest.approx(190.2, abs=0.05)
    assert values[1913] == pytest.approx(1.4, abs=0.05)


@pytest.mark.parametrize("kind", ["pairs", "series"])
def test_memory_does_not_grow_with_the_file(written, monkeypatch, kind):
    monkeypatch.setattr(text_file, "BLOCK_BYTES", 1 << 13)
    if kind == "pairs":
        options = {"examples": 200}
        lines = [line.replace("\t", f"{'s' * 50}\t") for line in draw_lines(5000)]
    else:
        options = {"rows": 500}
        lines = text_of(table(5000, 4)).splitlines()
    load_task(f"{kind}:{written(chr(10).join(lines))}", **options)  # what is imported or cached is there
    peaks = []
    for times in (1, 8):
        # Other lines each time, or they would all be repeated.
        text = "\n".join(line.replace("\t", f"{number}\t") for number in range(times) for line in lines)
        path = written(text, str(times))
        del text
        tracemalloc.start()
        load_task(f"{kind}:{path}", **options)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    added = path.stat().st_size * 7 / 8
    assert peaks[1] - peaks[0] < 0.1 * added


def test_adding_sums_the_two_marked_numbers():
    data = load_task("adding", length=30, examples=200)
    batch = on_device(data, CPU).batch(torch.arange(200).view(1, -1))
    numbers, marks = batch.source[0].unbind(2)
    assert (marks[:15].sum(0) == 1).all()
    assert (marks[15:].sum(0) == 1).all()
    torch.testing.assert_close((numbers * marks).sum(0), batch.target[0, 0, :, 0])
    always_one = ((load_task("adding").target - 1) ** 2).mean().item()
    assert always_one == pytest.approx(1 / 6, rel=0.03)


def test_temporal_order_names_the_relevant_symbols_in_order():
    data = load_task("temporal_order", length=40, examples=300)
    seen = set()
    for number in range(300):
        symbols = data.source_symbols(number)
        relevant = [(place, symbol) for place, symbol in enumerate(symbols) if symbol in "XY"]
        (first, one), (second, two) = relevant
        assert data.target_vocabulary[data.target[number, 0]] == one + two
        assert 4 <= first <= 8
        assert 20 <= second <= 24
        assert (symbols[0], symbols[-1], len(symbols)) == ("E", "B", 40)
        seen.add(one + two)
    assert seen == {"XX", "XY", "YX", "YY"}


def test_regression_has_the_numbers_of_scikit_learn():
    """As printed by scikit-learn 1.9.1 for ``make_regression(1000, n_features=20, noise=0.1, random_state=1)``."""
    data = load_task("regression")
    np.testing.assert_allclose(data.source[0, :3], [0.5837266820746772, 0.7859363945705631, -0.17187155139636714])
    np.testing.assert_allclose(data.target[:3, 0], [283.4382653220036, 103.3649817932642, -182.49159203336475])
    assert data.source[777, 19].item() == pytest.approx(-0.8580791882131491)
    few = load_task("regression", examples=6, features=12, seed=3)
    expected = [-70.119804, -427.042282, 246.003647, -70.769877, 41.940705, -13.021838]
    np.testing.assert_allclose(few.target[:, 0], expected, rtol=1e-6)
    assert (few.train.tolist(), few.validation.tolist()) == ([0, 1, 2], [3, 4, 5])
