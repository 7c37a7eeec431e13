from gatepost.simulator.world.rng import rng


def test_the_same_name_gives_the_same_lots() -> None:
    assert [rng("door", 1, 2).random() for _ in range(3)] == [rng("door", 1, 2).random()] * 3


def test_every_part_of_a_name_matters() -> None:
    drawn = {rng(*name).random() for name in (("a", 1, 2), ("a", 1, 3), ("a", 2, 2), ("b", 1, 2))}
    assert len(drawn) == 4
