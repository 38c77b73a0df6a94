"""Grades one submission: from a hand-in and fixtures to a `Result`.

The order of things: the submission is copied, its steps are run in a process that sees inputs only,
and what came back is judged here, where the targets are.
"""

import hashlib
import math
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import __version__, checks, rubric, sandbox, score
from .checks.inference import checked_scores, checked_words
from .checks.verdict import Problem, Verdict, failure
from .corpus import UNK, Corpus
from .fixtures import FORWARD, FixtureError, Fixtures
from .result import Check, Result
from .run import Observation, Step, run
from .submission import Submission, SubmissionError, take

if TYPE_CHECKING:  # importing it brings torch in, which takes longer than the checks need
    from .referee import Referee

CHUNK = 64
GRADED = [
    Step("weights", "weights", seconds=120, needs=("language_model.build", "inference.import")),
    Step("prediction", "prediction", seconds=300, needs=("weights",)),
    Step("generation", "generation", (str(FORWARD),), seconds=300, needs=("weights",)),
]
TITLES = {"prediction": "Prediction of the next word", "generation": "Generation of text"}


def grade(
    source: Path,
    corpus: Corpus,
    fixtures: Fixtures,
    referee: "Referee",
    *,
    log: Path,
    given: Path | None = None,
    notice: str = "",
    rubric_path: Path = rubric.DEFAULT,
    on_step: Callable[[str], None] = lambda _: None,
) -> Result:
    """Grade a hand-in.

    Args:
        source: folder or archive.
        corpus: the corpus that the fixtures are drawn from.
        fixtures: inputs and targets.
        referee: scores generated text.
        log: file that takes what the submission prints.
        given: folder with the given files that a hand-in may leave out.
        notice: banner over the result.
        rubric_path: points and thresholds.
        on_step: called with the id of each step when it begins.

    Raises:
        Fault: no grade can be given: the rubric is broken, or the fixtures are of another corpus.
    """
    rules = rubric.load(corpus.name, rubric_path)
    if fixtures.corpus != corpus.digest:
        raise FixtureError(f"these fixtures are of another corpus than {corpus.name}")
    started = time.monotonic()
    verdicts: list[Verdict] = []
    metrics: dict[str, float] = {"uniform_nll": math.log(len(corpus.vocab))}
    earned: dict[str, float] = {}
    samples: list[dict[str, str]] = []
    with hand_in(source, given) as (submission, error):
        name, digest = source.resolve().name, ""
        if submission is None:
            verdicts.append(Verdict("submission.read", "the hand-in can be read", False, *error))
            seen = {}
        else:
            name, digest = submission.name, submission.digest
            seen = observe(submission, corpus, fixtures, log, on_step)
            verdicts += checks.judge(seen, submission.missing)
            verdicts.append(judge_weights(submission, corpus, seen["weights"]))
    ready = bool(seen) and seen["weights"].ok
    for problem, judge in (("prediction", judge_prediction), ("generation", judge_generation)):
        if not ready:
            reason = "not run: it needs the trained weights" if seen else "not run"
            verdicts.append(Verdict(problem, TITLES[problem], None, reason))
            continue
        verdict, points, found = judge(seen[problem], corpus, fixtures, referee, rules)
        verdicts.append(verdict)
        earned[problem] = points
        metrics.update(found)
    if fixtures.public and "generation_nll" in metrics:
        samples = examples(seen["generation"], corpus, fixtures)
    worth = {
        **rules.checks,
        "prediction": rules.prediction.max_points,
        "generation": rules.generation.max_points,
    }
    graded = tuple(
        Check(
            id=v.id,
            title=v.title,
            passed=v.passed,
            message=v.message,
            hint=v.hint,
            score=earned.get(v.id, worth.get(v.id, 0.0) if v.passed else 0.0),
            max_score=worth.get(v.id, 0.0),
            seconds=round(v.seconds, 3),
        )
        for v in verdicts
    )
    return Result(
        submission=name,
        submission_digest=digest,
        corpus=corpus.name,
        fixtures=fixtures.digest,
        rubric=rules.digest,
        # The sandbox that makes a grade official is still to come; until then all is practice.
        official=False,
        checks=graded,
        metrics={key: round(value, 4) for key, value in metrics.items()},
        scales={
            "prediction": [list(step) for step in rules.prediction.steps],
            "generation": [list(step) for step in rules.generation.steps],
        },
        samples=tuple(samples),
        notice=notice,
        timing={"total": round(time.monotonic() - started, 3)},
        environment=environment(referee),
    )


class hand_in:  # noqa: N801 - used as a function in a with statement
    """Copy a hand-in to a temporary folder for the length of a `with` block.

    Gives `(submission, None)`, or `(None, (message, hint))` where it cannot be read.
    """

    def __init__(self, source: Path, given: Path | None) -> None:
        self.source, self.given = source, given

    def __enter__(self) -> tuple[Submission | None, tuple[str, str] | None]:
        self.folder = Path(tempfile.mkdtemp(prefix="lm-kit-submission-"))
        try:
            return take(self.source, self.folder, self.given), None
        except SubmissionError as error:
            return None, (str(error), error.hint)

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def check(
    source: Path,
    *,
    log: Path,
    given: Path | None = None,
    on_step: Callable[[str], None] = lambda _: None,
) -> tuple[Check, ...]:
    """Make the checks of the four classes only: no corpus, no weights, no points."""
    with hand_in(source, given) as (submission, error):
        if submission is None:
            verdicts = [Verdict("submission.read", "the hand-in can be read", False, *error)]
        else:
            steps = checks.steps(submission.has("regularization"))
            seen = run(submission, steps, checks.arrays(), checks.settings(), log, on_step)
            verdicts = checks.judge(seen, submission.missing)
    return tuple(
        Check(v.id, v.title, v.passed, v.message, v.hint, seconds=round(v.seconds, 3))
        for v in verdicts
    )


def observe(
    submission: Submission,
    corpus: Corpus,
    fixtures: Fixtures,
    log: Path,
    on_step: Callable[[str], None],
) -> dict[str, Observation]:
    """Run all steps of a grading: the checks', and the graded ones where there are weights."""
    weights = submission.weights(corpus.name)
    steps = checks.steps(submission.has("regularization"))
    if {"language_model", "inference"} & set(submission.missing):
        weights = None
    steps += GRADED
    arrays = {
        **checks.arrays(),
        "prediction": fixtures.prediction,
        "generation": fixtures.generation,
    }
    settings = {
        **checks.settings(),
        "vocab_size": len(corpus.vocab),
        "weights": weights,
        "chunk": CHUNK,
    }
    return run(submission, steps, arrays, settings, log, on_step)


def judge_weights(submission: Submission, corpus: Corpus, seen: Observation) -> Verdict:
    """Say whether the trained weights load, and if not what is wrong with them."""
    title = "the trained weights load"
    stem = "checkpoint" if corpus.name == "wikitext2" else f"checkpoint.{corpus.name}"
    if seen.status == "not run":
        return Verdict("weights.load", title, None, "not run: it needs what failed above")
    if seen.ok:
        return Verdict("weights.load", title, True, "they do", seconds=seen.seconds)
    if submission.weights(corpus.name) is None and seen.error.get("type") == "FileNotFoundError":
        others = sorted(path.name for path in submission.root.glob("checkpoint*.*t*s"))
        has = f"; there is {', '.join(others)}" if others else ""
        return Verdict(
            "weights.load",
            title,
            False,
            f"there is no {stem}.safetensors in the hand-in{has}",
            f"train the model with `make train CORPUS={corpus.name}`, which writes it",
        )
    names = mismatch(seen)
    if names:
        return Verdict(
            "weights.load",
            title,
            False,
            f"{stem}.safetensors does not fit LanguageModel: {names}",
            "the class was changed after training, or built with other settings: train again, or "
            "save the settings that the model was built with (checkpoint.save does)",
        )
    problem = failure(seen)
    return Verdict("weights.load", title, False, str(problem), problem.hint, seen.seconds)


def mismatch(seen: Observation) -> str:
    """Name the first tensors that differ between file and model; "" where none is known."""
    file, model = seen.values.get("tensors"), seen.values.get("parameters")
    if not isinstance(file, dict) or not isinstance(model, dict):
        return ""
    wrong = [
        f"{name} is {file[name]} in the file and {model[name]} in the model"
        for name in file
        if name in model and file[name] != model[name]
    ]
    wrong += [f"{name} is only in the file" for name in file if name not in model]
    return "; ".join(wrong[:3])


def judge_prediction(
    seen: Observation, corpus: Corpus, fixtures: Fixtures, referee: "Referee", rules: rubric.Rubric
) -> tuple[Verdict, float, dict[str, float]]:
    """Score the next words; return the verdict, its points and the metrics."""
    targets, vocabulary = fixtures.next_word, len(corpus.vocab)
    steps = rules.prediction.steps
    try:
        if not seen.ok:
            raise failure(seen)
        nll = np.concatenate(
            [
                score.target_nll(
                    checked_scores(
                        seen.arrays.get(f"scores{i}"), len(targets[i : i + CHUNK]), vocabulary
                    ),
                    targets[i : i + CHUNK],
                )
                for i in range(0, len(targets), CHUNK)
            ]
        )
    except Problem as problem:
        return _lost("prediction", problem, seen), 0.0, {}
    mean = score.mean(nll)
    points = score.points(mean.value, steps)
    metrics = {
        "prediction_nll": mean.value,
        "prediction_nll_stderr": mean.stderr,
        "prediction_ppl": math.exp(min(mean.value, 100)),
        "referee_prediction_nll": fixtures.referee_nll,
    }
    message, hint = compared(mean.value, steps), ""
    uniform = math.log(vocabulary)
    if points < steps[0][1]:
        hint = "train longer, or better: ASSIGNMENT.md, part 5, says what each technique buys"
        if uniform - 1 <= mean.value <= uniform + 0.05:
            hint = (
                f"this is hardly better than guessing ({uniform:.2f}): either the model is "
                "untrained, or prediction returns probabilities where scores are wanted"
            )
        elif mean.value > uniform:
            hint = (
                f"this is worse than guessing ({uniform:.2f}): are the words in another order "
                "than the vocabulary's, or is this the score of another position?"
            )
    passed = points == steps[0][1]
    verdict = Verdict("prediction", TITLES["prediction"], passed, message, hint, seen.seconds)
    return verdict, points, metrics


def judge_generation(
    seen: Observation, corpus: Corpus, fixtures: Fixtures, referee: "Referee", rules: rubric.Rubric
) -> tuple[Verdict, float, dict[str, float]]:
    """Score generated words with the referee; return the verdict, its points and the metrics."""
    steps, bound = rules.generation.steps, rules.generation.max_degenerate
    try:
        if not seen.ok:
            raise failure(seen)
        prompts = fixtures.generation
        words = checked_words(seen.arrays.get("words"), len(prompts), FORWARD, len(corpus.vocab))
    except Problem as problem:
        return _lost("generation", problem, seen), 0.0, {}
    mean = score.mean(referee.word_nll(prompts, words).mean(axis=1))
    unknown = corpus.vocab.index(UNK) if UNK in corpus.vocab else None
    bad = float(score.degenerate(words, unknown).mean())
    metrics = {
        "generation_nll": mean.value,
        "generation_nll_stderr": mean.stderr,
        "generation_distinct_2": score.distinct_2(words),
        "generation_degenerate": bad,
        "human_generation_nll": float(referee.word_nll(prompts, fixtures.human).mean()),
    }
    if unknown is not None:
        metrics["generation_unk"] = float((words == unknown).mean())
    points = score.points(mean.value, steps)
    message, hint = compared(mean.value, steps), ""
    if bad > bound:
        points = 0.0
        message = (
            f"{bad:.0%} of the continuations are no text (at most two different words, or nearly "
            f"all {UNK}), where at most {bound:.0%} may be; {message}"
        )
        hint = (
            "is the new word fed back together with the hidden state? An undertrained model loops"
        )
    elif points < steps[0][1]:
        hint = (
            "greedy decoding (argmax at each step) suffices with a trained model. Where the checks "
            "of generation pass, train longer; where not, mend what they name first"
        )
    passed = points == steps[0][1]
    verdict = Verdict("generation", TITLES["generation"], passed, message, hint, seen.seconds)
    return verdict, points, metrics


def compared(nll: float, steps: tuple[tuple[float, float], ...]) -> str:
    """Say how far an NLL is from the one that earns full points."""
    best = steps[0][0]
    if nll <= best:
        return f"NLL {nll:.3f}, at most {best} as full points need"
    return f"NLL {nll:.3f}, which is {nll - best:.3f} above the {best} that full points need"


def _lost(problem: str, why: Problem, seen: Observation) -> Verdict:
    return Verdict(problem, TITLES[problem], False, str(why), why.hint, seen.seconds)


def examples(seen: Observation, corpus: Corpus, fixtures: Fixtures) -> list[dict[str, str]]:
    """Return a few prompts with what was generated and what stands there."""
    words = seen.arrays.get("words")
    if words is None or words.shape != fixtures.human.shape:
        return []
    return [
        {
            "prompt": corpus.words(fixtures.generation[i]),
            "generated": corpus.words(words[i].astype(np.int64)),
            "human": corpus.words(fixtures.human[i]),
        }
        for i in range(0, len(words), len(words) // 6)
    ]


def environment(referee: "Referee") -> dict[str, str]:
    """Return what a grade may depend on."""
    return {
        "kit": __version__,
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": np.__version__,
        "platform": f"{sys.platform} {platform.machine()}",
        "tier": sandbox.TIER,
        "referee": referee.digest,
        "grader": source_digest(),
    }


def source_digest() -> str:
    """SHA-256 over the grader's own source, so that a result says what made it."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()
