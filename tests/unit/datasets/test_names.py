"""Names that files get in a dataset."""

from tlcore.datasets.names import UniquePaths


def test_equal_names_get_numbers_and_are_not_looked_for_from_the_start():
    """20,000 files of one name: each must go on from the last number, or this alone takes a minute."""
    paths = UniquePaths()
    found = [paths.take(["cats", "image.png" if i % 2 else "IMAGE.png"]) for i in range(20_000)]
    assert len({path.casefold() for path in found}) == 20_000
    assert found[:3] == ["cats/IMAGE.png", "cats/image~2.png", "cats/IMAGE~3.png"]
    assert paths.take(["cats", "image~2.png"]) == "cats/image~2~2.png"
