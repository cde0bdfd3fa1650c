"""The site's own list of drivers, from site.yaml and from a CSV file."""

from pathlib import Path

import pytest

from controller.checking.drivers import MAX_LIST_BYTES, drivers, with_drivers
from controller.config import Config


def site(path: Path | None = None, *tokens: dict[str, object], groups: tuple[dict[str, object], ...] = ()) -> Config:
    authorization = {"tokens": list(tokens), "tokens_file": path, "groups": list(groups)}
    return Config.model_validate({"site": {"id": "yard"}, "grid": {"fuse_a": 63, "worst_other_load_a": 10}, "authorization": authorization})


def test_groups_are_named_once_and_every_driver_is_in_one_that_exists() -> None:
    tokens = ({"id_token": "aa", "group": "vans"}, {"id_token": "bb", "group": "vens"})
    found = list(drivers(site(None, *tokens, groups=({"id": "vans"}, {"id": "vans"}))))
    assert [one.where[1:] for one in found] == [("groups", 1, "id"), ("tokens", 1, "group")]
    assert "this site has vans" in found[1].message


def test_a_driver_of_an_unknown_group_in_the_file_may_charge_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "drivers.csv"
    path.write_text("id_token,group\nAA,vans\nBB,pool\nCC,pool\n", encoding="utf-8")
    config, problems = with_drivers(site(path, groups=({"id": "vans", "priority": 3},)))
    assert [(token.id_token, token.group) for token in config.authorization.tokens] == [("AA", "vans"), ("BB", None), ("CC", None)]
    assert ["'pool'" in problem.message for problem in problems] == [True]


def test_a_driver_twice_and_a_time_without_a_zone() -> None:
    found = list(drivers(site(None, {"id_token": "aa"}, {"id_token": "AA"}, {"id_token": "bb", "expires": "2027-01-01T00:00:00"})))
    assert [one.where[2:] for one in found] == [(1, "id_token"), (2, "expires")]
    assert list(drivers(site(None, {"id_token": "aa", "expires": "2027-01-01T00:00:00Z"}))) == []


def test_a_file_adds_drivers_and_the_site_file_wins(tmp_path: Path) -> None:
    path = tmp_path / "drivers.csv"
    path.write_text("\ufeffid_token,name,expires,priority\nAA,Ann,2027-01-01T00:00:00,3\n bb ,Bob,,\nCC,,,\n", encoding="utf-8")
    config, problems = with_drivers(site(path, {"id_token": "cc", "priority": 9}))
    assert problems == []
    by_id = {token.id_token: token for token in config.authorization.tokens}
    assert set(by_id) == {"cc", "AA", "bb"}
    assert by_id["AA"].priority == 3
    assert by_id["AA"].expires is not None
    assert by_id["AA"].expires.utcoffset() is not None
    assert by_id["cc"].priority == 9


def test_a_broken_line_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "drivers.csv"
    path.write_text("id_token,priority\nAA,12\n,1\nBB,1\n", encoding="utf-8")
    config, problems = with_drivers(site(path))
    assert [token.id_token for token in config.authorization.tokens] == ["BB"]
    assert ["line 2" in problems[0].message, "line 3" in problems[1].message] == [True, True]
    assert "priority" in problems[0].message


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"card,name\nAA,x\n", "columns"), (b"\xff\xfe", "UTF-8"), (b"", "columns"), (b"id_token\n" + b"A\n" * (MAX_LIST_BYTES // 2), "MiB")],
)
def test_a_file_that_is_no_list(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "drivers.csv"
    path.write_bytes(content)
    config, problems = with_drivers(site(path))
    assert config.authorization.tokens == ()
    assert words in problems[0].message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    config, problems = with_drivers(site(tmp_path / "gone.csv"))
    assert config.authorization.tokens == ()
    assert "cannot read" in problems[0].message
