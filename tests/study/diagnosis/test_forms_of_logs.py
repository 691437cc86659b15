"""Forms of logs that are written down here: what each record is read as."""

import gzip
import json
import math
import tracemalloc
from pathlib import Path

import pytest

from gradstudy.study.diagnosis.diagnose import diagnose
from gradstudy.study.integrations.logs.columns import Columns, choose_columns
from gradstudy.study.integrations.logs.found_logs import find_logs
from gradstudy.study.integrations.logs.text_log import line_values

LOSSES = [4 / step + 0.5 for step in range(1, 41)] + [math.nan] * 2
BAD = 41


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding)
    return path


def table(heading: str, row: str, separator: str = "\n") -> str:
    rows = (row.format(step=step, loss=loss) for step, loss in enumerate(LOSSES, 1))
    return "\n".join(filter(None, (heading, separator.join(rows)))) + "\n"


RECORDS = [{"step": step, "loss": loss, "note": "x", "lr": 0.1} for step, loss in enumerate(LOSSES, 1)]
FORMS = {
    "commas.csv": table("step,loss", "{step},{loss}"),
    "semicolons.csv": table("global_step;train loss", "{step};{loss}"),
    "commas-in-numbers.csv": table("step;loss", "{step};{loss}").replace(".", ","),
    "tabs.tsv": table("iter\tnll\tname", "{step}\t{loss}\tx"),
    "blanks.txt": table("# step   loss", "  {step}     {loss}"),
    "quoted.csv": table('"Step","run-3 - train/loss","run-3 - train/loss__MIN","run-3 - train/loss__MAX"',
                        '"{step}","{loss}","{loss}","{loss}"'),
    "run-.-tag-loss_train.csv": table("Wall time,Step,Value", "1700000000.5,{step},{loss}"),
    "mlflow.csv": table("run_id,key,value,step,timestamp", "abc,loss,{loss},{step},1700000000000"),
    "metric": table("", "1700000000000 {loss} {step}").replace("metric", "loss"),
    "lines.jsonl": "warning: something\n".join(json.dumps(record) + "\n" for record in RECORDS[:1])
    + "".join(json.dumps(record) + "\nwarning: something\n" for record in RECORDS[1:]),
    "nested.jsonl": "".join(
        json.dumps({"step": each["step"], "train": {"loss": each["loss"], "n": 3}}) + "\n" for each in RECORDS
    ),
    "list.json": json.dumps(RECORDS),
    "list-indented.json": json.dumps(RECORDS, indent=4),
    "state.json": json.dumps({"epoch": 3, "log_history": RECORDS, "max_steps": 9}, indent=2),
    "state-in-a-line.json": json.dumps({"epoch": 3, "log_history": RECORDS}),
    "history.json": json.dumps({"loss": LOSSES, "val_loss": [1.0] * 42, "step": list(range(1, 43))}),
    "pandas.json": json.dumps(
        {"step": {str(n): n + 1 for n in range(42)}, "loss": {str(n): LOSSES[n] for n in range(42)}}
    ),
    "printed.log": table("Starting on cuda:0", "step {step} | loss {loss}"),
    "colours.log": table("", "\x1b[32m[INFO]\x1b[0m step: {step}, loss: \x1b[1m{loss}\x1b[0m"),
    "bars.log": table("", "{step}/42 [=====>...] - ETA: 0s - step: {step} - loss: {loss}", "\r"),
    "dictionaries.log": table("***** Running training *****", "{{'loss': '{loss}', 'step': {step}}}"),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in FORMS if name != "metric"])
def test_every_form_is_recognised_by_what_is_in_it(tmp_path: Path, name: str) -> None:
    (run,) = diagnose([written(tmp_path / name, FORMS[name])]).runs
    assert (run.judged.outcome, run.judged.first_bad, run.losses.seen) == ("diverged", BAD, len(LOSSES))


def test_a_metric_of_mlflow_alone_is_called_as_its_file(tmp_path: Path) -> None:
    (run,) = diagnose([written(tmp_path / "loss", FORMS["metric"])]).runs
    assert (run.judged.first_bad, run.columns.loss) == (BAD, "loss")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings_and_packed_files_are_read_as_they_are(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path / "log.csv", FORMS["commas.csv"], encoding)
    assert diagnose([path]).runs[0].judged.first_bad == BAD
    packed = tmp_path / "log.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert diagnose([packed]).runs[0].judged.first_bad == BAD


def test_a_log_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    for name in ("list.json", "state.json", "lines.jsonl"):
        text = FORMS[name]
        (run,) = diagnose([written(tmp_path / name, text[: int(len(text) * 0.7)])]).runs
        assert (run.judged.outcome, run.losses.seen > 20) == ("trained", True)


def test_a_long_list_is_read_in_pieces(tmp_path: Path) -> None:
    records = [{"step": step, "loss": 4 / step + 0.5, "text": "x" * (step % 97)} for step in range(1, 5000)]
    records.append({"step": 5000, "loss": math.nan})
    path = written(tmp_path / "trainer_state.json", json.dumps({"a": [1], "log_history": records, "b": 2}, indent=1))
    assert path.stat().st_size > 4 * (1 << 16)
    (run,) = diagnose([path]).runs
    assert (run.judged.first_bad, run.losses.seen) == (5000, 5000)


def test_memory_does_not_grow_with_a_log(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        lines = (f"{step},{4 / step + 0.5},1.0\n" for step in range(1, rows))
        path = written(tmp_path / "log.csv", "step,loss,grad_norm\n" + "".join(lines))
        tracemalloc.start()
        diagnose([path])
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    diagnose([written(tmp_path / "first.csv", FORMS["commas.csv"])])  # which imports what is needed
    short = peak(10_000)
    assert peak(30_000) < 1.3 * short


def test_several_runs_of_a_table_are_told_apart(tmp_path: Path) -> None:
    rows = "".join(f"{run},{step},{loss}\n" for step, loss in enumerate(LOSSES, 1) for run in ("a", "b"))
    runs = diagnose([written(tmp_path / "runs.csv", "run,step,loss\n" + rows)]).runs
    assert [(run.name[-1], run.judged.first_bad) for run in runs] == [("a", BAD), ("b", BAD)]


def test_the_last_checkpoint_of_a_folder_holds_all(tmp_path: Path) -> None:
    for steps in (20, 42):
        folder = tmp_path / f"checkpoint-{steps}"
        folder.mkdir()
        written(folder / "trainer_state.json", json.dumps({"log_history": RECORDS[:steps]}))
    assert [Path(log.name).parent.name for log in find_logs([tmp_path])] == ["checkpoint-42"]


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("loss 3.2", {"loss": 3.2}),
        ("Epoch 3/10, train loss: 2.5e-1, valid loss: .5", {"Epoch": 3, "train_loss": 0.25, "valid_loss": 0.5}),
        ("Epoch: [0][ 11/5005]\tLoss 6.9e+00 (7.0e+00)", {"Epoch": 0, "Loss": 6.9, "batch": 11}),
        ("epoch 3 | valid on 'valid' subset | loss 4.2", {"epoch": 3, "val_loss": 4.2}),
        ("16/16 ━━━━ 0s 5ms/step - loss: 0.30 - val_loss: nan", {"loss": 0.3, "val_loss": math.nan}),
        ("loss=inf gnorm=-inf, num_updates=100", {"loss": math.inf, "gnorm": -math.inf, "num_updates": 100}),
        ("batch 7, loss[loss=0.42, a_loss=0.4], tot_loss[loss=0.5]", {"batch": 7, "loss": 0.42, "a_loss": 0.4}),
        ("loss function: mse, version 1.2.3, 98.5% done", {}),
    ],
)  # fmt: skip
def test_a_line_is_read_by_the_words_before_its_numbers(line: str, values: dict[str, float]) -> None:
    read = line_values(line)
    assert {key: read.get(key) for key in values} == pytest.approx(values, nan_ok=True)
    assert not {"loss", "Loss"} & read.keys() - values.keys()


@pytest.mark.parametrize(
    ("seen", "read"),
    [
        ("epoch step train_loss_epoch train_loss_step val_loss", "train_loss_step val_loss - - step"),
        ("loss grad_norm learning_rate epoch step eval_loss", "loss eval_loss grad_norm learning_rate step"),
        ("_step train/loss val/loss train/global_step", "train/loss val/loss - - train/global_step"),
        ("grad_2.0_norm/a grad_2.0_norm_total lr-SGD train_loss step", "train_loss - grad_2.0_norm_total lr-SGD step"),
        ("loss_scale loss ppl gnorm lr num_updates", "loss - gnorm lr num_updates"),
        ("val_loss val_acc epoch", "val_loss - - - epoch"),
        ("simple_loss loss best_loss", "loss - - - -"),
    ],
)
def test_columns_are_recognised_by_their_names(seen: str, read: str) -> None:
    columns = choose_columns(dict.fromkeys(seen.split(), 10), {}, "log")
    assert isinstance(columns, Columns)
    chosen = (columns.loss, columns.validation, columns.norm, columns.rate, columns.step)
    assert [column or "-" for column in chosen] == read.split()
