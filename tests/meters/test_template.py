"""Register maps: every shipped one loads, and wrong ones are refused with a sentence (B43)."""

from pathlib import Path

import pytest

from meters.template import Block, TemplateError, find_template, load_all, load_template, merge

MAPS = Path(__file__).resolve().parents[2] / "config" / "meters"

GOOD = """\
name: Test meter
products:
  - {brand: Test, description: bench}
transport: tcp
function: 3
sign: import
current: signed
registers:
  i_l1: {address: 0, type: s32, scale: 0.001}
  p:    {address: 10, type: f32}
"""


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "meter.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TemplateError) as caught:
        load_template(path)
    return str(caught.value)


def test_every_shipped_map_loads_and_names_a_product() -> None:
    maps = load_all(MAPS)
    assert len(maps) >= 20
    assert all(template.products[0].brand for template in maps.values())


@pytest.mark.parametrize("name", sorted(path.stem for path in MAPS.glob("*.yaml")))
def test_a_plan_reads_every_register_within_the_device_s_limits(name: str) -> None:
    template = load_template(MAPS / f"{name}.yaml")
    plan = template.plan()
    assert all(any(block.covers(span) for block in plan) for span in template.spans)
    assert all(block.length <= template.max_regs for block in plan)
    assert len(plan) <= 4


def test_a_good_map_is_read() -> None:
    assert load_template(MAPS / "yardmaster_sim.yaml").plan() == (Block(0, 30),)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("address: 10", "address: 1"), "registers i_l1 and p overlap at address 1"),
        (("type: f32", "type: f16"), "meter.yaml:10: registers.p.type"),
        (("scale: 0.001", "scale: 0"), "meter.yaml:9: registers.i_l1.scale: scale 0 would make every reading 0"),
        (("scale: 0.001", "scale: .nan"), "registers.i_l1.scale"),
        (("sign: import\n", ""), "sign is missing"),
        (("sign: import", "sign: backwards"), "meter.yaml:6: sign"),
        (("current: signed\n", ""), "current is missing"),
        (("type: s32", "type: u32"), "current is signed but i_l1 has the type u32"),
        (("address: 10", "address: 70000"), "registers.p.address"),
        (("  p: ", "  power: "), "unknown quantity power"),
        (("  p: ", "  p_imp: "), "p_imp without its counterpart"),
        (("function: 3", "function: 16"), "meter.yaml:5: function"),
        (("function: 3", "fonction: 3"), "fonction is not a known key"),
        (("function: 3", "function: 3\nfunction: 4"), "meter.yaml:6: 'function' is given twice"),
        (("function: 3", "function: 3\nblocks:\n  - {address: 0, count: 5}"), "no block reads address 10"),
        (("function: 3", "function: 3\nmax_regs: 4\nblocks:\n  - {address: 0, count: 12}"), "more than max_regs 4"),
        (("function: 3", "function: &f 3\nport: *f"), "aliases are not allowed"),
        (("name: Test meter", "name: [Test"), "meter.yaml:2"),
        (("name: Test meter", "name: '\\x00'\n\tx: 1"), "meter.yaml"),
    ],
)
def test_what_cannot_be_right_is_refused_with_a_sentence(tmp_path: Path, change: tuple[str, str], expected: str) -> None:
    assert change[0] in GOOD
    assert expected in refused(tmp_path, GOOD.replace(*change))


@pytest.mark.parametrize("text", ["", "just text", "- a\n- b\n"])
def test_a_file_that_is_no_map_is_refused(tmp_path: Path, text: str) -> None:
    assert "key: value" in refused(tmp_path, text)


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.replace("function: 3", "function: 7"), encoding="utf-8")
    (tmp_path / "b.yaml").write_text(GOOD.replace("sign: import\n", "").replace("0.001", "0"), encoding="utf-8")
    with pytest.raises(TemplateError) as caught:
        load_all(tmp_path)
    assert len(caught.value.problems) == 3


def test_a_file_that_is_not_text_or_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "meter.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TemplateError, match="cannot be read"):
        load_template(path)
    path.write_text("#" * 70_000, encoding="utf-8")
    with pytest.raises(TemplateError, match="larger than"):
        load_template(path)


def test_an_unknown_map_names_the_known_ones() -> None:
    with pytest.raises(TemplateError, match="abb_b23"):
        find_template(MAPS, "no_such_meter")


def test_merging_keeps_to_the_limits() -> None:
    spans = (Block(0, 2), Block(2, 2), Block(30, 2), Block(100, 2))
    assert merge(spans, 120) == (Block(0, 32), Block(100, 2))
    assert merge(spans, 10) == (Block(0, 4), Block(30, 2), Block(100, 2))


def test_a_refused_block_is_cut_at_its_widest_hole_down_to_single_values() -> None:
    template = load_template(MAPS / "eastron_sdm630.yaml")
    first, second = template.split(Block(0, 76))
    assert (first, second) == (Block(0, 18), Block(52, 24))
    pieces, todo = [], [Block(0, 76)]
    while todo:
        block = todo.pop()
        parts = template.split(block)
        todo += [] if parts == (block,) else parts
        pieces += [block] if parts == (block,) else []
    assert sorted(pieces) == sorted(template.spans)


def test_currents_and_powers_are_essential_energy_is_not() -> None:
    template = load_template(MAPS / "abb_b23.yaml")
    energy, live = template.plan()
    assert not template.essential(energy)
    assert template.essential(live)
    assert load_template(MAPS / "byd_battery_box_hv.yaml").essential(Block(0x0500, 25))


def test_maps_without_currents_say_so() -> None:
    maps = load_all(MAPS)
    assert not maps["eastron_sdm72dm_v1"].measures_current
    assert maps["eastron_sdm630"].measures_current
