"""The fast PuLP objects are PuLP objects: files, CBC and values work; and the arrays beside them say the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pulp
import pytest

from optimizer.columns import AT_LEAST, AT_MOST, EQUAL, Column, Program, Row, Terms


def small() -> Program:
    """min 2 a + 3 b with a + b >= 4, a <= 3, a - b = 1 and a free c <= 9."""
    program = Program()
    program.add([2.0, 3.0, 0.0])
    a, b, c = program.columns
    program.row(Terms({a: 1.0, b: 1.0}), AT_LEAST)
    program.row(Terms({a: 1.0, b: -1.0}), EQUAL)
    program.row(Terms({c: 1.0}), AT_MOST)
    sheet = program.sheet()
    sheet.high[:] = (3.0, np.inf, np.inf)
    sheet.low[2] = -np.inf
    sheet.right[:] = (4.0, 1.0, 9.0)
    program.take(sheet)
    return program


class TestAsPulp:
    def test_cbc_solves_it(self) -> None:
        program = small()
        program.lp.solve(pulp.PULP_CBC_CMD(msg=False, _skip_v4_deprecation=True))
        assert pulp.LpStatus[program.lp.status] == "Optimal"
        assert [column.varValue for column in program.columns[:2]] == [2.5, 1.5]
        assert pulp.value(program.lp.objective) == pytest.approx(9.5)
        assert program.rows[0].value() == pytest.approx(0.0)
        assert program.rows[0].pi == pytest.approx(2.5)
        assert program.lp.valid(1e-6)

    def test_files_of_it_can_be_read(self, tmp_path: Path) -> None:
        program = small()
        program.lp.writeLP(str(tmp_path / "small.lp"))
        text = (tmp_path / "small.lp").read_text()
        assert "r0000000: x0000000 + x0000001 >= 4" in text
        assert "x0000000 <= 3" in text
        assert "x0000002 free" in text or "-inf" in text
        program.lp.writeMPS(str(tmp_path / "small.mps"))
        _, again = pulp.LpProblem.fromMPS(str(tmp_path / "small.mps"))
        again.solve(pulp.PULP_CBC_CMD(msg=False, _skip_v4_deprecation=True))
        assert pulp.value(again.objective) == pytest.approx(9.5)

    def test_pulps_sorting_by_name_does_not_move_columns(self) -> None:
        program = Program()
        program.add([1.0] * 12)
        program.take(program.sheet())
        assert [column.index for column in program.lp.variables()] == list(range(12))

    def test_arithmetic_makes_ordinary_expressions(self) -> None:
        a, b = small().columns[:2]
        row = 2 * a + b - 1 <= 4
        assert (type(row), row.constant, row[a]) == (pulp.LpConstraint, -5, 2)
        assert (a.isFree(), a.name, a.bounds(0, 1), a.upBound) == (False, "x0000000", None, 1)
        assert isinstance(a, pulp.LpVariable)
        assert isinstance(small().rows[0], pulp.LpConstraint)

    def test_hashing_is_by_identity(self) -> None:
        columns = [Column(1), Column(1)]
        assert len(dict.fromkeys(columns, 0.0)) == 2
        assert repr(Row(3, Terms({columns[0]: 1.5}), AT_MOST)) == "1.5*x0000001 + 0.0 <= 0"


class TestNumbers:
    def test_only_what_differs_is_written(self) -> None:
        program = small()
        sheet = program.sheet()
        sheet.high[0], sheet.cost[1], sheet.right[1] = 2.0, 5.0, 1.5
        changes = program.take(sheet)
        assert (changes.columns.tolist(), changes.costs.tolist(), changes.rows.tolist()) == ([0], [1], [1])
        assert (program.columns[0].upBound, program.lp.objective[program.columns[1]], program.rows[1].constant) == (2.0, 5.0, -1.5)
        again = program.take(program.sheet())
        assert again.columns.size == again.costs.size == again.rows.size == 0

    def test_what_is_added_is_told_with_its_entries_in_old_rows(self) -> None:
        program = small()
        start = program.add([4.0])
        program.enter(0, start, 0.5)
        new = program.row(Terms({program.columns[start]: 1.0}), AT_MOST)
        program.enter(new, 0, 1.0)
        changes = program.take(program.sheet())
        assert (changes.first_column, changes.first_row) == (3, 3)
        assert (changes.columns.tolist(), changes.rows.tolist()) == ([3], [3])
        assert changes.entries == ((0, 3, 0.5),)
        assert program.rows[0].expr[program.columns[3]] == 0.5

    def test_a_cost_that_falls_to_nothing_is_written(self) -> None:
        program = small()
        sheet = program.sheet()
        sheet.cost[0] = 0.0
        program.take(sheet)
        assert program.lp.objective[program.columns[0]] == 0.0
