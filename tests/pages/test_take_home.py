"""Try and Download: answers of every strategy on a photo, and models to take away."""

import io

import pytest

from tests.helpers import draw
from tests.pages import fakes
from tests.pages.conftest import Open, errors, is_fine, shown, unescaped
from tlcore.errors import NotFoundError
from tlcore.service import take_home
from tlcore.strategies import CORE, STRATEGIES


def photo() -> bytes:
    buffer = io.BytesIO()
    draw(0, 2, 0, 40).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("page", ["tryout", "download"])
def test_nothing_finished_is_said(open_page: Open, empty: fakes.Store, page: str) -> None:
    app = open_page(page)
    assert is_fine(app)
    assert "no trained models" in shown(app)


def test_every_strategy_answers_and_a_broken_photo_is_named(open_page: Open, full: fakes.Store) -> None:
    app = open_page("tryout", comparison=fakes.FINISHED)
    files = [("ant.png", photo(), "image/png"), ("torn.jpg", b"no picture", "image/jpeg")]
    app.file_uploader(key="photos").set_value(files).run()
    assert is_fine(app)
    answers = unescaped("".join(html.value for html in app.html))
    assert all(entry.short_label in answers for entry in [STRATEGIES[name] for name in CORE])
    assert answers.count("75.0 %") == len(CORE)
    assert "torn.jpg" in errors(app)[0]
    ((_, run_ids, num_photos),) = full.asked
    assert (len(run_ids), num_photos) == (len(CORE), 1)
    assert len(app.image) == 1


def test_a_model_that_is_gone_is_one_clear_line(
    open_page: Open, full: fakes.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(run_ids: object, images: object) -> None:
        raise NotFoundError("run f00 has no model: choose another")

    monkeypatch.setattr(take_home, "predict", gone)
    app = open_page("tryout", comparison=fakes.FINISHED)
    app.file_uploader(key="photos").set_value([("ant.png", photo(), "image/png")]).run()
    assert is_fine(app)
    assert "has no model" in errors(app)[0]


def test_the_best_seed_of_each_strategy_comes_first_by_validation_accuracy(open_page: Open, full: fakes.Store) -> None:
    app = open_page("download", comparison=fakes.FINISHED)
    assert is_fine(app)
    captions = [caption.value for caption in app.caption if caption.value.startswith("validation")]
    accuracies = [float(text.split()[1]) for text in captions]
    assert len(accuracies) == 5
    assert accuracies == sorted(accuracies, reverse=True)
    app.toggle(key="every").set_value(True).run()
    assert len(app.get("download_button")) == 15
