"""No attack takes anything on T1 to T3, and each would where nothing is in its way.

Every attack is graded by the real command, in new processes as `make grade` starts them and in
forks as the grading of a class does. By default each that wins without a sandbox runs on T1 in
forks, and a few that try much everywhere; `make test-all` runs all of them everywhere.
`python -m tests.attacks` prints a table.
"""

from __future__ import annotations

import pytest

from tests.attacks import world
from tests.attacks.attack import Attack, Attacks, load, scores, unproved
from tests.attacks.world import FORKED

ATTACKS = load()
OFFICIAL = ("T1", "T2", "T3", *(tier + FORKED for tier in ("T1", "T2", "T3")))
LINES = {
    "read a fixture by path",
    "/proc/<parent>",
    "inherited descriptor; secret in the environment",
    "stack frames, gc.get_objects, monkeypatching",
    "sys.exit(0), os._exit, atexit, __del__, threads",
    "forged last line on stdout, forged results.json",
    "symlink, hardlink, FIFO, device, setuid file as output",
    "pickle in weights, .npy or notebook outputs",
    "archive: traversal, absolute names, links, bombs, members, twins",
    "NaN, infinities, denormals, wrong dtype, wrong shape",
    "tensor subclass with a lying __eq__, __array__ that changes",
    "memory; fork bomb; CPU spin; floods",
    "daemon that edits the next submission; leftovers",
    "network: TCP, UDP, unix sockets, DNS",
    "modules named json.py, numpy.py, torch.py, sitecustomize.py",
    "terminal escapes, bidi characters, HTML, Markdown images",
    "hand-in changed while it is graded",
    "hidden inputs leaked through stdout",
}


def cases(tiers: tuple[str, ...]) -> list:
    """Each attack on each tier; what may wait is marked slow."""
    return [
        pytest.param(
            attack,
            tier,
            id=f"{tier} {attack.name}",
            marks=marks(attack, tier),
        )
        for tier in tiers
        for attack in ATTACKS
    ]


def marks(attack: Attack, tier: str) -> list:
    return [] if attack.quick(tier) else [pytest.mark.slow]


@pytest.fixture(scope="session")
def attacks(tmp_path_factory):
    if problem := world.missing():
        pytest.skip(problem)
    made = Attacks(tmp_path_factory.mktemp("attacks"))
    yield made
    made.close()


def test_every_line_of_the_table_of_attacks_has_one():
    assert len(ATTACKS) >= 45
    assert {attack.line for attack in ATTACKS} == LINES
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.name for attack in ATTACKS])
def test_an_attack_says_what_it_wins_without_a_sandbox_or_what_stops_it_there(attack):
    assert bool(attack.wins) != bool(attack.held)


@pytest.mark.parametrize("tier", OFFICIAL)
def test_an_honest_hand_in_gets_an_official_grade_and_leaves_nothing(attacks, tier):
    seen = attacks.grade_honest(tier)
    assert seen["status"] == 0, seen["said"]
    assert seen["findings"] == []
    assert seen["result"]["official"] is True
    facts = seen["result"]["environment"]
    assert facts["tier"] == tier.removesuffix(FORKED)
    assert ("fork" in facts["worker"]) == tier.endswith(FORKED)
    assert seen["result"]["fixtures"] == attacks.digest
    assert all(0 < points < 50 for points in scores(seen["result"]).values())


@pytest.mark.parametrize(("attack", "tier"), cases(OFFICIAL))
def test_an_attack_takes_nothing(attack, tier, attacks):
    assert attacks.findings(attack, tier) == []


@pytest.mark.parametrize(("attack", "tier"), cases(("T5",)))
def test_an_attack_wins_without_a_sandbox_or_is_held_by_a_first_line(attack, tier, attacks):
    found = attacks.findings(attack, tier)
    assert unproved(attack, found) == [], found


def test_a_score_that_is_too_high_and_one_that_is_too_low_are_findings(attacks):
    attacks.world("T1")
    fair = attacks.honest["T1"]["result"]
    more = {**fair, "checks": [{**check, "score": 50.0} for check in fair["checks"]]}
    less = {**fair, "checks": [{**check, "score": 0.0} for check in fair["checks"]]}
    attack = Attack("a", "b")
    assert [f.split(":")[0] for f in attacks.scored(attack, "T1", more)] == ["score", "score"]
    assert [f.split(":")[0] for f in attacks.scored(attack, "T1", less)] == ["loses", "loses"]
    assert attacks.scored(attack, "T1", fair) == []
    assert attacks.forged({**fair, "official": False}, "T1") == ["results: official is False"]
