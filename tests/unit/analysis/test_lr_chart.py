"""The plot of a learning-rate finder: where its marks are."""

import math

from tests.findings import FOUND, RATES
from tlcore.analysis.charts import lr_chart


def test_marks_lie_on_the_curve_and_at_the_recipe() -> None:
    figure = lr_chart(FOUND)
    named = {trace.name: trace for trace in figure.data}
    (valley,) = [trace for name, trace in named.items() if name.startswith("valley")]
    assert "(suggestion)" in valley.name
    assert (valley.x[0], valley.y[0]) == (FOUND.valley, FOUND.smoothed[RATES.index(FOUND.valley)])
    assert named["each batch"].y == FOUND.losses
    assert figure.layout.xaxis.type == "log"
    assert figure.layout.shapes[0].x0 == FOUND.recipe_rate
    assert figure.layout.annotations[0].x == math.log10(FOUND.recipe_rate)
    assert "Staged fine-tuning on resnet18" in figure.layout.title.text


def test_the_note_says_what_the_suggestion_is_worth() -> None:
    def note(**changed: object) -> str:
        return lr_chart(FOUND.model_copy(update=changed)).layout.title.subtitle.text

    assert "lies where the loss falls" in note()
    assert "little more than a guess" in note(caution="it is noise")
    assert "none is suggested" in note(suggestion=None, valley=None, steepest=None)


def test_a_diverging_loss_does_not_hide_the_valley() -> None:
    wild = FOUND.model_copy(update={"smoothed": (*FOUND.smoothed[:-1], 500.0)})
    assert lr_chart(wild).layout.yaxis.range[1] < 5


def test_without_a_suggestion_only_the_recipe_is_marked() -> None:
    bare = lr_chart(FOUND.model_copy(update={"suggestion": None, "valley": None, "steepest": None}), dark=True)
    assert [trace.name for trace in bare.data] == ["each batch", "smoothed"]
