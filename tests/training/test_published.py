import pytest

from training.published import OurFigure, Published, Table, compare, load

TABLE = Table(
    title="Adding, MSE",
    data=("numbers",),
    metric="mse",
    better="lower",
    split="test",
    note="Mind the units.",
    rows=(
        Published(model="RNN", value=0.177, seen="S", source="A 2018"),
        Published(model="GRU", value=5.3e-5, seen="T", source="B 2018"),
    ),
)


def own(metric: str = "mse", data: tuple[str, ...] = ("numbers, train",), value: float = 0.1) -> OurFigure:
    return OurFigure("ours", data, metric, "dev", value, deviation=0.02)


def test_ours_stands_among_the_published_ones_by_its_value() -> None:
    lines = list(compare([own()], [TABLE]))
    assert lines[:2] == ["Adding, MSE (lower is better)", "  Mind the units."]
    assert [line.split()[0] for line in lines[2:4]] == ["0.0001", "*"]
    assert "0.1000  ours, dev, ± 0.0200 over seeds" in lines[3]
    assert "RNN, test: A 2018 [S]" in lines[4]


def test_where_higher_is_better_the_highest_comes_first() -> None:
    lines = list(compare([own(value=0.9)], [TABLE.model_copy(update={"better": "higher", "note": ""})]))
    assert lines[1].startswith("*")


@pytest.mark.parametrize("stranger", [own(metric="mae"), own(data=("other numbers",))])
def test_other_figures_and_other_data_do_not_belong(stranger: OurFigure) -> None:
    assert list(compare([stranger], [TABLE])) == []


def test_every_published_row_has_a_source_and_is_none_from_memory() -> None:
    tables = load()
    assert len({(table.data, table.metric) for table in tables}) == len(tables)
    for table in tables:
        assert {row.seen for row in table.rows} <= {"S", "T"}
        assert all(row.source and row.model for row in table.rows)


def test_where_published_music_models_predict_otherwise_is_said() -> None:
    notes = [table.note for table in load() if table.metric == "nats_per_frame"]
    assert len(notes) == 2
    assert all("88 keys of a frame" in note and "independent" in note for note in notes)


def test_the_lead_over_published_recurrent_networks_is_told_in_the_right_direction() -> None:
    by_title = {table.title: table for table in load()}
    assert by_title["Music, Nottingham, nats per frame"].better == "lower"
    assert by_title["Sentiment, SST-2, accuracy"].better == "higher"
