"""The GPU's table is printed on a CPU, small, the way that a GPU goes: so that it can be printed where there is one."""

import pytest
import torch

from tests.benchmarks import gpu as table


def test_every_line_of_the_table_is_there_and_what_no_time_is_holds():
    rows = {what: (here, wanted) for what, here, wanted in table.rows_of(torch.device("cpu"), small=True)}
    exact = {what: figures for what, figures in rows.items() if not what.endswith(", s")}
    assert len(rows) == 12
    assert exact.pop("waits while a stack is prepared") == ("6", "few")  # and one more for what a reader must know
    apart, bound = exact.pop("largest difference from the CPU's scores")
    assert float(apart) <= float(bound)
    assert len(exact) == 5
    assert all(here == wanted for here, wanted in exact.values()), exact


def test_it_is_printed(capsys):
    table.main(["--device", "cpu", "--small"])
    assert "waits in the grid, views ready" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_without_a_device_it_says_so(capsys):
    with pytest.raises(SystemExit) as stopped:
        table.main([])
    assert stopped.value.code == 2
    assert "there is no CUDA device here" in capsys.readouterr().err


def test_a_device_keeps_the_table_but_for_its_times(gpu):
    rows = table.rows_of(gpu, small=True)
    assert len(rows) == 12
    for what, here, wanted in rows:
        assert what.endswith(", s") or wanted in ("few", "2e-6") or here == wanted, what
