"""Hostile hand-ins: reads `rows/`, writes each one, grades it in a world, judges what was found.

Covered: the honest hand-in that they start from, where hostile code goes, what counts as won. Not
covered: the worlds (`world.py`), what a grader looks for (`inside/scene.py`).
"""

import importlib.util
import json
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from autograder import corpus, fixtures, referee
from autograder.referee.model import one_thread
from autograder.rubric import tomllib
from tests.attacks import packed
from tests.attacks.world import FORKED, World, WorldError

HERE = Path(__file__).parent
SUBMISSION = HERE.parent / "submissions" / "base"
PROBLEMS = ("prediction", "generation")
MODULES = ("data_loader", "language_model", "trainer", "inference")
EPOCHS = 6


@dataclass(frozen=True)
class Attack:
    """A hostile hand-in: code that comes after that of the honest one's modules, and files.

    `line` is the one of the table of attacks that it belongs to. `wins` are how the findings begin
    that a plain process (T5) must have: without them the attack would prove nothing. Where a plain
    process stops it too, `held` says by what. `fails` are the problems that it earns nothing for,
    of the others it earns what the honest one does; where `either`, both are right. `build` is a
    function of packed.py, `folder` the hand-in's name, `seconds` are limits of steps, and `within`
    is how long the grader may take. After one that is `lasting` an honest hand-in is graded at
    once. By default attacks that win on T5 run on T1 in forks, those that are `sharp` in forks
    everywhere, on T1 in new processes and on T5 too, a `slow` one nowhere.
    """

    name: str
    line: str
    data_loader: str = ""
    language_model: str = ""
    trainer: str = ""
    inference: str = ""
    files: dict[str, str] = field(default_factory=dict)
    build: str = ""
    folder: str = ""
    wins: tuple[str, ...] = ()
    held: str = ""
    fails: tuple[str, ...] = ()
    either: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    within: float = 120.0
    lasting: bool = False
    sharp: bool = False
    slow: bool = False

    def quick(self, tier: str) -> bool:
        """Whether it is for the tests that always run."""
        if self.sharp:  # a new process and a fork of one tier are shut in by the same code
            return tier in ("T1", "T5") or tier.endswith(FORKED)
        return tier == "T1" + FORKED and not (self.slow or self.held)


HONEST = Attack("honest", "")


def load(folder: Path = HERE / "rows") -> list[Attack]:
    """Read all attacks; an unknown key is an error."""
    rows = []
    for path in sorted(folder.glob("*.toml")):
        rows += tomllib.loads(path.read_text(encoding="utf-8"))["attack"]
    return [Attack(**row) for row in rows]


def honest(folder: Path) -> None:
    """Write a hand-in with weights that earn a part of the points, so that more or fewer show."""
    shutil.copytree(SUBMISSION, folder)
    for path in (HERE / "base").glob("*.py"):
        shutil.copy(path, folder)
    data_loader, language_model, trainer = (
        imported(folder / f"{name}.py") for name in ("data_loader", "language_model", "trainer")
    )
    numbers = corpus.load("numbers")
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(0)
        model = language_model.LanguageModel(len(numbers.vocab))
        articles = numbers.train.articles()
        loader = list(data_loader.LanguageModelDataLoader(articles, 50, shuffle=False))
        training = trainer.LanguageModelTrainer(model, loader)
        for _ in range(EPOCHS):
            training.train()
    save_file(model.state_dict(), folder / packed.WEIGHTS)


def imported(path: Path) -> Any:
    """Import a file without leaving it in sys.modules."""
    spec = importlib.util.spec_from_file_location(f"honest_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hand_in(attack: Attack, fair: Path, folder: Path, told: dict[str, Any]) -> Path:
    """Write a hostile hand-in from the honest one, with what it is told of its victim."""
    shutil.copytree(fair, folder)
    for module in MODULES:
        if code := getattr(attack, module):
            with (folder / f"{module}.py").open("a", encoding="utf-8") as file:
                file.write("\n\n" + code)
    for name, text in attack.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "told.json").write_text(json.dumps(told))
    return folder


class Attacks:
    """Carries attacks out, tier by tier; a world is made when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        honest(folder / "honest")
        numbers = corpus.load("numbers")
        drawn = fixtures.draw(numbers, "test", secrets.token_hex(), referee.load("numbers"))
        fixtures.save(drawn, folder / "hidden")
        self.digest = drawn.digest
        self.worlds: dict[str, World] = {}
        self.honest: dict[str, Any] = {}
        self.count = 0

    def world(self, tier: str) -> World:
        """The tier's world, with the honest hand-in graded in it."""
        if tier not in self.worlds:
            self.count += 1
            desk = self.folder / f"{tier}-{self.count}"
            shutil.copytree(self.folder / "hidden", desk / "hidden")
            self.worlds[tier] = World(tier, desk, f"canary-{secrets.token_hex(16)}")
            self.honest[tier] = self.graded(HONEST, tier)
        return self.worlds[tier]

    def grade_honest(self, tier: str) -> dict[str, Any]:
        """Grade the honest hand-in, once more if it was graded before."""
        self.world(tier)
        return self.graded(HONEST, tier)

    def graded(self, attack: Attack, tier: str) -> dict[str, Any]:
        """Grade a hand-in; what the grader found. A grader that ends is a finding itself."""
        world = self.worlds[tier]
        name = self.write(attack, world)
        try:
            return world.grade(name, attack.seconds, attack.within)
        except WorldError as error:
            world.close()
            del self.worlds[tier]
            return {"status": None, "findings": [f"grader: {error}"], "result": None, "said": ""}

    def write(self, attack: Attack, world: World) -> str:
        """Write the hand-in into a world; return its name there."""
        self.count += 1
        folder = world.desk / "hand-ins" / f"{self.count}"
        folder.mkdir()
        path = folder / (attack.folder or "hand-in")
        if attack.build:
            made = getattr(packed, attack.build)(self.folder / "honest", folder)
        else:
            made = hand_in(attack, self.folder / "honest", path, world.told)
        world.give(folder)
        return str(made.relative_to(world.desk / "hand-ins"))

    def findings(self, attack: Attack, tier: str) -> list[str]:
        """Carry an attack out; all that it could do or that is not as it should be."""
        self.world(tier)
        seen = self.graded(attack, tier)
        found = [*seen["findings"], *self.judged(attack, tier, seen)]
        if attack.lasting and tier in self.worlds:
            after = self.graded(HONEST, tier)
            next_one = [*after["findings"], *self.judged(HONEST, tier, after)]
            found += [f"next: {finding}" for finding in next_one]
        if tier in self.worlds and any(f.startswith(("kit", "results", "grader")) for f in found):
            self.worlds.pop(tier).close()  # what comes next needs a grader that is whole
        return found

    def judged(self, attack: Attack, tier: str, seen: dict[str, Any]) -> list[str]:
        """What is wrong with the answer itself."""
        if seen["status"] is None:
            return []
        if seen["status"] != 0:
            return [f"grader: status {seen['status']}: {seen['said'][-500:]}"]
        return self.forged(seen["result"], tier) + self.scored(attack, tier, seen["result"])

    def scored(self, attack: Attack, tier: str, result: dict[str, Any]) -> list[str]:
        """Which points are not those that the attack ought to get."""
        found, earned, fair = [], scores(result), scores(self.honest[tier]["result"])
        for problem in PROBLEMS:
            right = {0.0 if problem in attack.fails else fair[problem]}
            right |= {0.0, fair[problem]} if attack.either else set()
            if earned[problem] not in right:
                kind = "score" if earned[problem] > fair[problem] else "loses"
                found.append(f"{kind}: {problem} {earned[problem]}, honest {fair[problem]}")
        return found

    def forged(self, result: dict[str, Any], tier: str) -> list[str]:
        """What in a result is not the grader's own."""
        fair = self.honest[tier]["result"]
        same = ("schema", "corpus", "fixtures", "rubric", "official", "max_score", "environment")
        found = [f"results: {key} is {result[key]}" for key in same if result[key] != fair[key]]
        if result["score"] != round(sum(scores(result).values()), 2):
            found.append("results: the score is not the sum of both problems")
        return found

    def close(self) -> None:
        """End all worlds."""
        for world in self.worlds.values():
            world.close()


def scores(result: dict[str, Any]) -> dict[str, float]:
    """Points by problem; 0 for one that is not there."""
    found = {check["id"]: check["score"] for check in result["checks"]}
    return {problem: found.get(problem, 0.0) for problem in PROBLEMS}


def unproved(attack: Attack, found: list[str]) -> list[str]:
    """What a plain process ought to have lost and did not, or lost and ought not to have."""
    if attack.held:
        return found
    return [
        f"not won: {want}" for want in attack.wins if not any(f.startswith(want) for f in found)
    ]
