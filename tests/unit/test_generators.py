"""Facts about cities, the mathematics of the generators, and what `generate` writes."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from estimators._math.marginals import Moments, pinned, rank_mapped
from estimators.generators import _aipz, _efficiency, _geography, _gip, _structure
from estimators.generators._paths import Streams, autoregressive
from estimators.generators.gip import Gip
from framework.commands import generating
from framework.commands.line import main
from framework.data.sources import read, simulated
from framework.errors import DataError

ROOT = Path(__file__).parents[2]
DATA = ROOT / "specs" / "data"
TRUTH = {"generated": "Simulated."}
PANEL = {"path": "data/aipz_simulated.csv.gz"}


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def shipped():
    return read(PANEL, ROOT, ROOT / "specs").frame


# ------------------------------------------------------------------------------- facts


def test_the_treatment_of_paper_1_is_that_of_its_table_2() -> None:
    cities = _geography.cities()
    first = cities.first_years(_geography.pilot_zones())
    treated = (np.arange(2015, 2024) >= first[:, None]).astype(float)
    assert cities.count == 286
    assert [int((first == year).sum()) for year in (2019, 2020, 2021)] == [7, 6, 5]
    assert treated.sum() == 74
    assert f"{treated.mean():.4f}" == "0.0287"
    assert f"{treated.std(ddof=1):.4f}" == "0.1671"


def test_the_samples_of_the_papers_have_their_sizes() -> None:
    cities = _geography.cities()
    without = cities.count - int(cities.municipality.sum())
    assert (cities.count * 9, without * 9, cities.count * 13) == (2574, 2538, 3718)
    assert _geography.cities(since_2005=True).count == 281
    assert len(set(cities.names)) == 286
    assert int(cities.municipality.sum()) == 4
    assert int(cities.capital.sum()) == 26
    assert int(cities.sub_provincial.sum()) == 15


def test_borders_are_712_pairs_and_the_named_cities_have_none() -> None:
    borders = [r for r in rows("contiguity.csv") if r["kind"] == "border"]
    pairs = {frozenset((r["from_adcode"], r["to_adcode"])) for r in borders}
    assert len(borders) == len(pairs) == 712  # each pair once: symmetric by reading
    assert all(len(pair) == 2 for pair in pairs)
    names = {r["adcode"]: r["name_en"] for r in rows("cities.csv")}
    assert {code for pair in pairs for code in pair} <= set(names)
    alone = {n for code, n in names.items() if not any(code in p for p in pairs)}
    assert alone == {"Haikou", "Sanya", "Xining", "Urumqi", "Karamay"}


def test_every_uncertain_fact_says_so() -> None:
    for name in ("aipz.csv", "policies.csv"):
        assert all(r["confidence"].split()[0].strip(":") for r in rows(name))
    assert any("recalled" in r["confidence"] for r in rows("policies.csv"))


# ------------------------------------------------------------------- mathematics of it


@pytest.mark.parametrize("name", list(_aipz.MOMENTS))
def test_a_pinned_sample_has_the_four_moments_of_table_2(name: str) -> None:
    moments = Moments(*_aipz.MOMENTS[name])
    sample = pinned(2574, moments)
    found = (sample.mean(), sample.std(ddof=1), sample[0], sample[-1])
    # The table prints four decimals.
    assert np.allclose(found, _aipz.MOMENTS[name], atol=5e-5)
    assert (np.diff(sample) >= 0).all()


def test_impossible_moments_are_refused() -> None:
    with pytest.raises(ValueError, match="no distribution"):
        pinned(100, Moments(mean=0.5, sd=3.0, low=0.0, high=1.0))


def test_rank_mapping_keeps_the_order_and_extends_to_other_rows() -> None:
    latent = np.array([3.0, 1.0, 2.0, 1.5])
    window = np.array([True, True, True, False])
    mapped = rank_mapped(latent, window, np.array([10.0, 20.0, 30.0]))
    assert mapped.tolist() == [30.0, 10.0, 20.0, 15.0]


def test_streams_of_other_parts_do_not_move() -> None:
    streams = Streams(1, 0)
    before = streams.normal("a", 3)
    streams.normal("new part", 100)
    assert streams.normal("a", 3).tolist() == before.tolist()
    assert streams.normal("b", 3).tolist() != before.tolist()
    assert Streams(2, 0).normal("a", 3).tolist() != before.tolist()


def test_an_autoregressive_path_is_stationary() -> None:
    path = autoregressive(np.random.default_rng(0).standard_normal((4000, 12)), 0.7)
    # 4,000 draws: the sampling error of a variance is .022, of a correlation .011.
    assert np.allclose(path.var(axis=0), 1, atol=0.09)
    assert np.corrcoef(path[:, 10], path[:, 11])[0, 1] == pytest.approx(0.7, abs=0.05)


def test_city_loadings_make_the_regression_with_year_effects_exact() -> None:
    rng = np.random.default_rng(3)
    Z = rng.standard_normal((3, 40, 6)) + rng.standard_normal((3, 40, 1))
    W = rng.random((40, 40))
    np.fill_diagonal(W, 0)
    multiplier = np.linalg.inv(np.eye(40) - 0.4 * W / W.sum(axis=1, keepdims=True))
    systematic = multiplier @ np.tensordot([0.1, 0.2, -0.3], Z, axes=1)
    wanted = np.array([1.0, -2.0, 0.5])
    delta = _structure.city_loadings(Z, systematic, multiplier, wanted)
    alpha = _structure.residualised(rng.standard_normal(40), Z, multiplier)
    city = multiplier @ (Z.mean(axis=2).T @ delta + alpha)
    outcome = systematic + city[:, None]
    by_year = _structure.demeaned(Z, year=True)
    found = _structure.coefficients(_structure.demeaned(outcome, year=True), by_year)
    assert np.allclose(found, wanted, atol=1e-9)  # a linear system, solved


def test_inverted_production_has_the_scores_that_were_wanted() -> None:
    rng = np.random.default_rng(8)
    # Far beyond the frontier, just beyond, where the score jumps to 1, and deep inside.
    best = [1.5, 1.3, 1.2, 1.15, 1.1, 1.05, 1.02, 1.01]
    wanted = np.array([*best, 0.95, 0.9, 0.8, *np.linspace(0.05, 0.7, 7)])
    n = len(wanted)
    order = np.argsort(np.argsort(-wanted))
    sets = _efficiency.specialties(n)
    plan = _efficiency.Blueprint(
        goods=np.exp(0.1 * rng.standard_normal((n, 3))),
        volume=np.ones(n),
        mix=0.07 * rng.standard_normal((n, 7)),
        specialties=tuple(sets[k] for k in order),
    )
    made = _efficiency.invert(plan, wanted)
    assert np.abs(_efficiency.scores(made) - wanted).max() < _efficiency.EXACT


def test_specialties_differ_until_there_are_no_more() -> None:
    assert len(set(_efficiency.specialties(126))) == 126
    assert _efficiency.specialties(127)[-1] == _efficiency.specialties(1)[0]


def test_the_structure_index_rises_with_the_tertiary_share() -> None:
    tertiary = np.linspace(0.1, 0.85, 50)
    index = _aipz.structure_index(np.full(50, 0.1), tertiary)
    assert (np.diff(index) > 0).all()


# ---------------------------------------------------------------------- shipped panels


def test_the_shipped_panel_has_table_2(shipped) -> None:
    sample = shipped[shipped["year"] >= 2015]
    logs = {"eco": "gdp_pc", "fe": "loans_deposits", "op": "fdi"}
    for name, moments in _aipz.MOMENTS.items():
        values = np.log(sample[logs[name]]) if name in logs else sample[name]
        found = (values.mean(), values.std(), values.min(), values.max())
        assert np.allclose(found, moments, atol=5e-5), name  # four printed decimals
    assert (len(shipped), len(sample)) == (3718, 2574)
    assert set(shipped["origin"]) == {"simulated"}


def test_every_treated_row_is_large_and_well_connected(shipped) -> None:
    sample = shipped[shipped["year"] >= 2015]
    treated = sample[sample["ai"] == 1]
    assert len(treated) == 74
    assert (treated["scale"] == 1).all()
    assert set(sample["scale"]) == {0, 1}
    for indicator in ("broadband", "mobile", "telecom"):
        # Above the mean of each: above that of any index of them with weights >= 0.
        assert treated[indicator].min() > sample[indicator].mean()


def test_sector_shares_sum_to_one(shipped) -> None:
    shares = shipped[["primary", "secondary", "tertiary"]]
    # Three numbers of eight digits each.
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-7)
    assert shares.min().min() > 0


def test_the_score_of_the_shipped_inputs_and_outputs_is_the_outcome(shipped) -> None:
    columns = ["land", "labor", "capital", "energy"]
    goods = ["value_added", "income", "green_space"]
    year = shipped[shipped["year"] == 2019]
    units = _efficiency.Production(
        *(
            (year[names] / year[names].mean()).to_numpy()
            for names in (columns, goods, ["so2", "wastewater", "soot"])
        )
    )
    some = np.arange(0, 286, 12)  # a program per unit: a sample keeps this short
    efficient = np.flatnonzero(year["ulgue_simulated"].to_numpy() >= 1)[:3]
    gaps = []
    for unit in [*some, *efficient]:
        wanted = float(year["ulgue_simulated"].iloc[unit])
        plain = _efficiency.inefficiency(units.of([unit]), units).value
        others = units.of(np.delete(np.arange(286), unit))
        found = (
            plain
            if wanted < 1
            else _efficiency.super_efficiency(units.of([unit]), others)
        )
        # Where the inversion did not settle it may be this far off.
        assert found == pytest.approx(wanted, abs=_efficiency.TOLERATED)
        gaps.append(abs(found - wanted))
    # Eight digits are written, and a score is a sum of ratios of them.
    assert np.median(gaps) < 1e-6


SHIPPED = {
    "aipz_simulated": lambda: _aipz.panel_and_truth(111, clean=False, efficiency=False),
    "aipz_simulated_clean": lambda: _aipz.panel_and_truth(
        111, clean=True, efficiency=False
    ),
    "gip_simulated": lambda: _gip.panel_and_truth(281, heterogeneous=False),
    "gip_simulated_heterogeneous": lambda: _gip.panel_and_truth(
        281, heterogeneous=True
    ),
}


def test_every_simulated_file_is_made_by_a_test_below() -> None:
    names = {path.name.removesuffix(".csv.gz") for path in DATA.glob("*.csv.gz")}
    assert names == set(SHIPPED)
    for name in names:
        assert "simulated" in name
        assert (DATA / name).with_suffix(".truth.json").is_file()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_panel_is_what_the_generator_makes(name: str) -> None:
    made, truth = SHIPPED[name]()
    packed = (DATA / f"{name}.csv.gz").read_bytes()
    assert packed[4:8] == b"\0\0\0\0"  # the time stamp of a gzip file
    rows_ = gzip.decompress(packed).decode().splitlines()
    header = rows_[0].split(",")
    place = [header.index(column) for column in made]
    kept = [",".join(row.split(",")[k] for k in place) for row in rows_]
    again = generating.table(made, compressed=False).decode().splitlines()
    assert len(kept) == len(again)
    written = (DATA / f"{name}.truth.json").read_bytes()
    if kept == again and written == generating.document(truth):
        return  # the same bytes, as on the platform that the lock was made on
    there = read({"path": f"data/{name}.csv.gz"}, ROOT, ROOT / "specs").frame
    for column in made:
        if made[column].dtype.kind in "fi":
            # Eight digits are written; other builds of the libraries may differ by 1e-6.
            assert np.allclose(there[column], made[column], rtol=1e-6, atol=1e-9), (
                column
            )
        else:
            assert (there[column] == made[column]).all(), column
    alike(json.loads(written), json.loads(generating.document(truth)))


def alike(one, other) -> None:
    """Two truths are the same within 1e-6, as documents."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key, value in one.items():
            alike(value, other[key])
    elif isinstance(one, list):
        assert np.allclose(one, other, rtol=1e-6, atol=1e-9)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-6, abs=1e-9)
    else:
        assert one == other


def test_the_clean_panel_has_one_effect_and_nothing_else() -> None:
    frame = read(
        {"path": "data/aipz_simulated_clean.csv.gz"}, ROOT, ROOT / "specs"
    ).frame
    truth = json.loads(
        (DATA / "aipz_simulated_clean.truth.json").read_text(encoding="utf-8")
    )
    without = np.array(list(truth["outcome_without_zones"].values())).ravel()
    gain = frame["ulgue_simulated"].to_numpy() - without
    assert np.allclose(gain, 0.0638 * frame["ai"], atol=1e-7)  # eight digits each
    assert (truth["rho"], truth["estimands"]["mic2025"]) == (0, 0)
    for name in ("att", "direct", "total", "mean_effect"):
        assert truth["estimands"][name] == pytest.approx(0.0638)


def test_truth_agrees_with_itself(shipped) -> None:
    truth = json.loads((DATA / "aipz_simulated.truth.json").read_text(encoding="utf-8"))
    without = np.array(list(truth["outcome_without_zones"].values()))
    outcome = shipped["ulgue_simulated"].to_numpy().reshape(286, 13)
    treated = shipped["ai"].to_numpy().reshape(286, 13) == 1
    gain = outcome - without
    known = truth["estimands"]
    # Eight digits each.
    assert gain[treated].mean() == pytest.approx(known["att"], abs=1e-6)
    assert np.allclose(gain[:, :8], 0, atol=1e-7)  # before 2019 nobody has a zone
    assert (gain[~treated][outcome[~treated] > 0] > -1e-7).all()  # spillovers are gains
    mean = np.mean([truth["effects"][str(c)] for c in shipped["city"][shipped.ai == 1]])
    assert mean == pytest.approx(0.0498, abs=1e-6)
    assert known["direct"] + known["indirect"] == pytest.approx(known["total"])


# ------------------------------------------------------------------------- the command


def test_generate_writes_the_same_bytes_and_their_truth(tmp_path, capsys) -> None:
    files = [tmp_path / name / "g.csv.gz" for name in "ab"]
    for file in files:
        assert main(["generate", "gip", "--seed", "5", "--output", str(file)]) == 0
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert first[4:8] == b"\0\0\0\0"  # the time stamp of a gzip file
    header, row = gzip.decompress(first).decode().splitlines()[:2]
    assert "origin" in header.split(",")
    assert "simulated" in row.split(",")
    truth = json.loads((tmp_path / "a" / "g.truth.json").read_text(encoding="utf-8"))
    assert "imulated" in truth["generated"]
    assert truth["generated"] in capsys.readouterr().out
    said = simulated({"path": "a/g.csv.gz"}, tmp_path)
    assert said == truth["generated"]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ([], "gip_simulated"),
        (["--preset", "constant"], "gip_simulated"),
        (["--preset", "heterogeneous"], "gip_simulated_heterogeneous"),
        (["preset=heterogeneous"], "gip_simulated_heterogeneous"),
    ],
)
def test_the_usual_preset_has_the_plain_name(
    typed, name, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Gip, "generate", lambda *_: (pd.DataFrame({"a": [1]}), TRUTH))
    assert main(["generate", "gip", "--seed", "5", *typed]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.csv.gz",
        f"{name}.truth.json",
    }


def test_generate_does_not_replace_other_data(tmp_path, capsys) -> None:
    file = tmp_path / "g.csv"
    file.write_text("mine\n1\n")
    command = ["generate", "gip", "--seed", "5", "--output", str(file)]
    assert main(command) == 6
    assert "--force" in capsys.readouterr().err
    assert file.read_text() == "mine\n1\n"
    assert main([*command, "--force"]) == 0
    assert file.read_text().startswith("city,")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["gipp", "--seed", "1"], "gip"),
        (["gip", "--seed", "1", "--preset", "none"], "heterogeneous"),
        (["gip", "--seed", "1", "presett=constant"], "preset"),
        (["gip", "--seed", "1", "--output", "x.dta"], ".csv"),
        (["gip", "--seed", "1", "loud"], "OPTION=VALUE"),
        (["gip", "--seed", "-1"], "a whole number from 0, got -1"),
        (
            ["gip", "--seed", "1", "--preset", "constant", "preset=heterogeneous"],
            "given twice, constant and heterogeneous",
        ),
    ],
)
def test_generate_explains_what_is_wrong(typed, said, capsys) -> None:
    assert main(["generate", *typed]) == 2
    assert said in capsys.readouterr().err


def test_data_and_truth_are_replaced_together_or_not_at_all(tmp_path, capsys) -> None:
    truth = tmp_path / "mine.truth.json"
    truth.write_text("another", encoding="utf-8")
    typed = ["generate", "gip", "--seed", "1", "--output", str(tmp_path / "mine.csv")]
    assert main(typed) == 6
    assert "mine.truth.json exists and holds something else" in capsys.readouterr().err
    assert not (tmp_path / "mine.csv").exists()
    assert main([*typed, "--force"]) == 0
    assert json.loads(truth.read_text(encoding="utf-8"))["seed"] == 1


def test_what_cannot_be_written_is_refused_before_the_work(
    tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(
        Gip, "generate", lambda *_: pytest.fail("it worked for nothing")
    )
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "folder.csv").mkdir()
    for name in ("folder.csv", "file/x.csv"):
        path = str(tmp_path / name)
        assert main(["generate", "gip", "--seed", "1", "--output", path]) == 6
        assert "can't be written" in capsys.readouterr().err


def test_real_data_say_nothing_of_being_simulated(tmp_path) -> None:
    (tmp_path / "real.csv").write_text("a\n1\n")
    assert simulated({"path": "real.csv"}, tmp_path) is None
    assert simulated({"package": "causaldata", "dataset": "castle"}, tmp_path) is None
    (tmp_path / "real.truth.json").write_text("{}")
    with pytest.raises(DataError, match="does not say how"):
        simulated({"path": "real.csv"}, tmp_path)
