"""Runs: the queue, live progress, cancelling, logs."""

from dataclasses import replace

import pytest
import streamlit as st

from pages.shared.choose import comparison_name
from pages.shared.words import NBSP
from tests.pages import fakes
from tests.pages.conftest import Open, errors, is_fine, shown, unescaped
from tlcore.service import comparisons


def test_an_empty_store_shows_an_empty_queue(open_page: Open, empty: fakes.Store) -> None:
    app = open_page("runs")
    assert is_fine(app)
    assert "nothing runs, nothing waits" in shown(app)


def test_what_runs_is_shown_with_progress_and_the_time_left(open_page: Open, full: fakes.Store) -> None:
    app = open_page("runs", comparison=fakes.RUNNING)
    assert is_fine(app)
    bars = unescaped(" ".join(html.value for html in app.html))
    assert "training, epoch 3 of 6" in bars
    assert "40 % · 1 min 15 s left" in bars
    assert "8 of 10 runs finished · about" in str(app.get("progress")[0].proto.text)
    assert len(app.get("plotly_chart")) == 1
    assert "validation accuracy 0.91" in app.code[0].value


def test_the_log_follows_the_run_that_is_under_way_until_another_is_chosen(
    open_page: Open, full: fakes.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparisons, "log_tail", lambda run_id: f"log of {run_id}")
    found = full.examples[fakes.RUNNING]
    runs = list(found.record.runs)
    under_way = [i for i, run in enumerate(runs) if run.status in ("RUNNING", "SCHEDULED")]
    app = open_page("runs", comparison=fakes.RUNNING)
    running = next(i for i in under_way if runs[i].status == "RUNNING")
    assert app.code[0].value == f"log of {runs[running].run_id}"
    (following,) = set(under_way) - {running}
    runs[running] = runs[running].model_copy(update={"status": "FAILED"})
    runs[following] = runs[following].model_copy(update={"status": "RUNNING"})
    record = found.record.model_copy(update={"runs": tuple(runs)})
    full.examples[fakes.RUNNING] = replace(found, record=record)
    st.cache_data.clear()  # what is kept for two seconds
    app.run()
    assert app.code[0].value == f"log of {runs[following].run_id}"
    app.selectbox(key="log_of").select(runs[0].run_id).run()
    assert app.code[0].value == f"log of {runs[0].run_id}"


def test_one_run_or_all_can_be_cancelled(open_page: Open, full: fakes.Store) -> None:
    app = open_page("runs", comparison=fakes.RUNNING)
    running = next(run for run in full.record(fakes.RUNNING).runs if run.status == "RUNNING")
    app.button(key=f"cancel_{running.run_id}").click().run()
    app.button(key="cancel_all").click().run()
    assert is_fine(app)
    assert full.asked == [("cancel_run", running.run_id), ("cancel", fakes.RUNNING)]


def test_a_comparison_that_has_ended_offers_nothing_to_cancel(open_page: Open, full: fakes.Store) -> None:
    app = open_page("runs", comparison=fakes.FINISHED)
    assert is_fine(app)
    assert not [button for button in app.button if str(button.key).startswith("cancel")]


def test_what_runs_elsewhere_can_be_watched_from_here(open_page: Open, full: fakes.Store) -> None:
    app = open_page("runs", comparison=fakes.FINISHED)
    assert [button.key for button in app.button if "Watch" in button.label] == [f"watch_{fakes.RUNNING}"]
    app.button(key=f"watch_{fakes.RUNNING}").click().run()
    assert is_fine(app)
    assert app.query_params["comparison"] == fakes.RUNNING
    assert not [button for button in app.button if "Watch" in button.label]
    assert [button for button in app.button if button.key == "cancel_all"]


def test_a_failed_run_tells_its_error(open_page: Open, full: fakes.Store) -> None:
    app = open_page("runs", comparison=fakes.BROKEN)
    assert is_fine(app)
    assert "the loss became nan at step 12: lower the learning rate" in errors(app)[0]
    runs = full.record(fakes.BROKEN).runs
    finished, failed = (sum(run.status == status for run in runs) for status in ("FINISHED", "FAILED"))
    assert f"{finished} of {len(runs)} runs finished, {failed} failed" in shown(app)
    table = next(frame.value for frame in app.dataframe if "Took" in frame.value)
    took = dict(zip(table["Run id"], table["Took"], strict=True))
    assert took[next(run.run_id for run in runs if run.status == "FAILED")] == f"45{NBSP}s"
    assert table["Images per second"].dropna().tolist() == [40.0] * finished


def test_a_failed_run_can_be_tried_again(open_page: Open, full: fakes.Store) -> None:
    app = open_page("runs", comparison=fakes.BROKEN)
    (failed,) = [run for run in full.record(fakes.BROKEN).runs if run.status == "FAILED"]
    buttons = [button for button in app.button if str(button.key).startswith("retry_")]
    assert [button.key for button in buttons] == [f"retry_{failed.run_id}"]
    buttons[0].click().run()
    assert is_fine(app)
    assert ("retry_runs", [failed.run_id]) in full.asked


def test_a_few_of_many_stopped_runs_can_be_tried_again_alone_and_all_at_once(
    open_page: Open, full: fakes.Store
) -> None:
    stopped = {(name, seed): "KILLED" for name in ("fine_tuning", "from_scratch") for seed in range(4)}
    found = fakes.example(strategies=("fine_tuning", "from_scratch"), seeds=tuple(range(4)), status=stopped)
    full.examples[fakes.BROKEN] = fakes.renamed(found, fakes.BROKEN, status="KILLED")
    app = open_page("runs", comparison=fakes.BROKEN)
    buttons = [button for button in app.button if str(button.key).startswith("retry_")]
    runs = [run.run_id for run in full.record(fakes.BROKEN).runs]
    assert [button.key for button in buttons] == ["retry_all", *(f"retry_{run_id}" for run_id in runs[:6])]
    assert buttons[0].label == "Try all 8 again"
    buttons[0].click().run()
    assert is_fine(app)
    assert ("retry_runs", runs) in full.asked


def test_what_finished_or_was_recorded_elsewhere_cannot_be_tried_again(
    open_page: Open, full: fakes.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def buttons(comparison: str) -> list[str]:
        app = open_page("runs", comparison=comparison)
        return [button.label for button in app.button if str(button.key).startswith("retry_")]

    assert not buttons(fakes.FINISHED)
    monkeypatch.setattr(comparisons, "jobs_of", lambda comparison_id: [])
    assert not buttons(fakes.BROKEN), "the queue of another machine has its runs"
    finished = [fakes.job_of(run).model_copy(update={"status": "FINISHED"}) for run in full.record(fakes.BROKEN).runs]
    monkeypatch.setattr(comparisons, "jobs_of", lambda comparison_id: finished)
    assert not buttons(fakes.BROKEN), "it finished, but its files cannot be read"


def test_an_unknown_comparison_is_one_clear_line(open_page: Open, full: fakes.Store) -> None:
    app = open_page("runs", comparison="0" * 32)
    assert is_fine(app)
    assert "There is no comparison" in errors(app)[0]


def test_compare_leads_from_a_broken_comparison_to_where_its_runs_are_tried_again(
    open_page: Open, full: fakes.Store
) -> None:
    links = [link.proto.label for link in open_page("compare", comparison=fakes.BROKEN).get("page_link")]
    assert "Try these runs again" in links
    whole = [link.proto.label for link in open_page("compare", comparison=fakes.FINISHED).get("page_link")]
    assert "Try these runs again" not in whole


def test_comparisons_are_told_apart_by_what_a_phone_shows_of_their_names(open_page: Open, full: fakes.Store) -> None:
    found = comparisons.list_comparisons()[0]
    later = found.model_copy(update={"created_ms": found.created_ms + 60_000})
    assert comparison_name(found)[:18] != comparison_name(later)[:18]
