# SPDX-License-Identifier: Apache-2.0
"""World i is the same, bit for bit, whatever the number of worlds, the threads, and its neighbours' states and
parameters; forward and in reverse.
"""

from collections.abc import Iterator, Sequence

import pytest

import simenv
from simenv._threads import get_num_threads
from tests.zoo.play import gradients, leaves_of, same, weights, world
from tests.zoo.scenes import each

SEED = 5


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = get_num_threads()
    yield
    simenv.set_num_threads(before)


def result(name: str, seeds: Sequence[int]) -> dict:
    """Every field after every control step, and the gradient with respect to every leaf."""
    made = world(name, len(seeds))
    start, leaves = leaves_of(made, seeds)
    states, slopes = gradients(made, start, leaves, weights(name))
    assert any(float(slope.abs().max()) > 0 for slope in slopes.values())
    found = {f"step {t}: {field}": value for t, state in enumerate(states) for field, value in state.items()}
    return found | {f"gradient of {leaf}": value for leaf, value in slopes.items()}


def compare(name: str, batches: Sequence[tuple[int, list[int]]]) -> None:
    simenv.set_num_threads(1)
    alone = result(name, [SEED])
    for threads, seeds in batches:
        simenv.set_num_threads(threads)
        row, together = seeds.index(SEED), result(name, seeds)
        assert together.keys() == alone.keys()
        wrong = [key for key in alone if not same(alone[key][0], together[key][row])]
        assert wrong == [], f"world {row} of {len(seeds)} with {threads} threads"


@pytest.mark.parametrize("name", each())
def test_a_world_depends_on_itself_alone(name: str) -> None:
    compare(name, [(2, [1, SEED, 3]), (1, [0, SEED])])


@pytest.mark.slow
@pytest.mark.parametrize("name", each())
def test_a_world_depends_on_itself_alone_in_more_batches(name: str) -> None:
    compare(name, [(2, [SEED]), (2, [SEED, 7]), (1, [3, 2, SEED]), (2, [0, 1, 2, SEED, 3]), (1, [SEED, 9, 8, 7, 6])])
