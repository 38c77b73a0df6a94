"""Grades one submission: from a hand-in and fixtures to a `Result`.

The order of things: the submission is copied, its steps are run in a process that sees inputs only,
and what came back is judged here, where the targets are.
"""

import hashlib
import math
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import __version__, checks, diagnosis, flags, hidden, rubric, sandbox, score
from .checks.inference import checked_scores, checked_words
from .checks.verdict import Problem, Verdict, failure
from .corpus import UNK, Corpus
from .files import temporary_folder
from .fixtures import FORWARD, FixtureError, Fixtures
from .flags import known
from .flags.known import Known
from .result import Check, Flag, Result
from .run import Observation, Step, run
from .submission import Submission, SubmissionError, take

if TYPE_CHECKING:  # importing it brings torch in, which takes longer than the checks need
    from .referee import Referee

CHUNK = 64
GRADED = [
    Step("weights", "weights", seconds=120, needs=("language_model.build", "inference.import")),
    Step("prediction", "prediction", seconds=300, needs=("weights",), inputs=("prediction",)),
    Step(
        "generation",
        "generation",
        (str(FORWARD),),
        seconds=300,
        needs=("weights",),
        inputs=("generation",),
    ),
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
    box: sandbox.Chosen | None = None,
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
        box: the sandbox; a plain process if None. The grade is official where the fixtures are
            hidden and this is strong enough.

    Raises:
        Fault: no grade can be given: the rubric is broken, the fixtures are of another corpus, or
            the worker cannot be started.
    """
    box = box or sandbox.practice()
    rules = rubric.load(corpus.name, rubric_path)
    if fixtures.corpus != corpus.digest:
        raise FixtureError(f"these fixtures are of another corpus than {corpus.name}")
    started = time.monotonic()
    verdicts: list[Verdict] = []
    metrics: dict[str, float] = {"uniform_nll": math.log(len(corpus.vocab))}
    earned: dict[str, float] = {}
    samples: list[dict[str, str]] = []
    raised: list[Flag] = []
    block = None if fixtures.public else known.draw(corpus, fixtures, referee)
    with hand_in(source, given) as (submission, error):
        name, digest = source.resolve().name, ""
        if submission is None:
            verdicts.append(Verdict("submission.read", "the hand-in can be read", False, *error))
            # So that it is graded out of as many points as the others.
            verdicts += [Verdict(id, id, None, "not run") for id in rules.checks]
            seen = {}
        else:
            name, digest = submission.name, submission.digest
            seen = observe(submission, corpus, fixtures, block, log, on_step, box)
            verdicts += checks.judge(seen, submission.missing)
            verdicts.append(judge_weights(submission, corpus, seen["weights"]))
        ready = bool(seen) and seen["weights"].ok
        for problem, judge in (("prediction", judge_prediction), ("generation", judge_generation)):
            if not ready:
                reason = "not run: it needs the trained weights" if seen else "not run"
                verdicts.append(Verdict(problem, TITLES[problem], None, reason))
                continue
            verdict, points, found, odd = judge(
                seen[problem], corpus, fixtures, referee, rules, block
            )
            if not (found or fixtures.public):
                verdict = hidden.veiled(verdict, seen[problem], submission.root)
            verdicts.append(verdict)
            earned[problem] = points
            metrics.update(found)
            raised += odd
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
        official=box.official and not fixtures.public,
        checks=graded,
        metrics={key: round(value, 4) for key, value in metrics.items()},
        scales={
            "prediction": [list(step) for step in rules.prediction.steps],
            "generation": [list(step) for step in rules.generation.steps],
        },
        flags=tuple(raised),
        samples=tuple(samples),
        notice=notice,
        timing={"total": round(time.monotonic() - started, 3)},
        environment=environment(referee, box),
    )


@contextmanager
def hand_in(
    source: Path, given: Path | None
) -> Iterator[tuple[Submission | None, tuple[str, str] | None]]:
    """Copy a hand-in to a temporary folder for the length of a `with` block.

    Gives `(submission, None)`, or `(None, (message, hint))` where it cannot be read.
    """
    with temporary_folder() as folder:
        copy = folder / "hand-in"
        copy.mkdir()
        try:
            taken = take(source, copy, given), None
        except SubmissionError as error:
            taken = None, (str(error), error.hint)
        yield taken


def check(
    source: Path,
    *,
    log: Path,
    given: Path | None = None,
    on_step: Callable[[str], None] = lambda _: None,
    box: sandbox.Chosen | None = None,
) -> tuple[Check, ...]:
    """Make the checks of the four classes only: no corpus, no weights, no points."""
    with hand_in(source, given) as (submission, error):
        if submission is None:
            verdicts = [Verdict("submission.read", "the hand-in can be read", False, *error)]
        else:
            steps = checks.steps(submission.has("regularization"))
            seen = run(submission, steps, checks.arrays(), checks.settings(), log, on_step, box)
            verdicts = checks.judge(seen, submission.missing)
    return tuple(
        Check(v.id, v.title, v.passed, v.message, v.hint, seconds=round(v.seconds, 3))
        for v in verdicts
    )


def observe(
    submission: Submission,
    corpus: Corpus,
    fixtures: Fixtures,
    block: Known | None,
    log: Path,
    on_step: Callable[[str], None],
    box: sandbox.Chosen,
) -> dict[str, Observation]:
    """Run all steps of a grading: the checks', and the graded ones where there are weights."""
    weights = submission.weights(corpus.name)
    steps = checks.steps(submission.has("regularization"))
    if {"language_model", "inference"} & set(submission.missing):
        weights = None
    steps += [replace(s, hidden=not fixtures.public and bool(s.inputs)) for s in GRADED]
    prefixes = fixtures.prediction
    arrays = {
        **checks.arrays(),
        "prediction": block.mixed(prefixes, block.prediction) if block else prefixes,
        "generation": fixtures.generation,
    }
    settings = {
        **checks.settings(),
        "vocab_size": len(corpus.vocab),
        "weights": weights,
        "chunk": CHUNK,
    }
    return run(submission, steps, arrays, settings, log, on_step, box)


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
    seen: Observation,
    corpus: Corpus,
    fixtures: Fixtures,
    referee: "Referee",
    rules: rubric.Rubric,
    block: Known | None = None,
) -> tuple[Verdict, float, dict[str, float], tuple[Flag, ...]]:
    """Score the next words; return the verdict, its points, the metrics and the flags."""
    # The word after the next one and the prefix's own last word are scored for the diagnosis.
    words = np.column_stack([fixtures.next_word, fixtures.after_next, fixtures.prediction[:, -1]])
    if block:
        words = block.mixed(words, np.column_stack([block.next_word] * 3))
    vocabulary = len(corpus.vocab)
    try:
        if not seen.ok:
            raise failure(seen)
        nll = np.concatenate(
            [
                score.target_nll(
                    checked_scores(
                        seen.arrays.get(f"scores{i}"), len(words[i : i + CHUNK]), vocabulary
                    ),
                    words[i : i + CHUNK],
                )
                for i in range(0, len(words), CHUNK)
            ]
        )
    except Problem as problem:
        return _lost("prediction", problem, seen), 0.0, {}, ()
    public = None
    if block:
        words, _ = block.apart(words)
        nll, public_nll = block.apart(nll)
        public = public_nll[:, 0], block.control
    points, metrics = mark_prediction(nll[:, 0], fixtures, rules)
    metrics = shown(metrics, fixtures)
    mean = score.Mean(metrics["prediction_nll"], metrics["prediction_nll_stderr"])
    steps = rules.prediction.steps
    message, hint = compared(mean, steps[0][0], fixtures) + luck(mean, steps), ""
    passed = points == rules.prediction.max_points
    if not passed:
        hint = diagnosis.of_prediction(nll, words, corpus, digits(fixtures)) or (
            "train longer, or better: ASSIGNMENT.md, part 5, says what each technique buys"
        )
    verdict = Verdict("prediction", TITLES["prediction"], passed, message, hint, seen.seconds)
    odd = flags.of_prediction(nll[:, 0], fixtures, corpus, public)
    return verdict, points, metrics, odd


def mark_prediction(
    nll: np.ndarray, fixtures: Fixtures, rules: rubric.Rubric
) -> tuple[float, dict[str, float]]:
    """Return the points and the metrics for the NLLs of the next words, float64 [rows].

    Points are those of what is shown; metrics are not rounded yet.
    """
    plain = score.mean(nll)
    mean = score.controlled(nll, fixtures.control, fixtures.control_mean)
    value = round(mean.value, digits(fixtures))
    metrics = {
        "prediction_nll": mean.value,
        "prediction_nll_stderr": mean.stderr,
        "prediction_nll_plain": plain.value,
        "prediction_nll_plain_stderr": plain.stderr,
        "prediction_ppl": math.exp(min(value, 100)),
        "referee_prediction_nll": fixtures.referee_nll,
    }
    return score.points(value, rules.prediction.steps), metrics


def judge_generation(
    seen: Observation,
    corpus: Corpus,
    fixtures: Fixtures,
    referee: "Referee",
    rules: rubric.Rubric,
    block: Known | None = None,
) -> tuple[Verdict, float, dict[str, float], tuple[Flag, ...]]:
    """Score generated words with the referee; return verdict, points, metrics and flags."""
    bound = rules.generation.max_degenerate
    try:
        if not seen.ok:
            raise failure(seen)
        prompts = fixtures.generation
        words = checked_words(seen.arrays.get("words"), len(prompts), FORWARD, len(corpus.vocab))
    except Problem as problem:
        return _lost("generation", problem, seen), 0.0, {}, ()
    points, metrics = mark_generation(words, corpus, fixtures, referee, rules)
    human_nll = referee.word_nll(prompts, fixtures.human)
    metrics["human_generation_nll"] = float(human_nll.mean())
    metrics = shown(metrics, fixtures)
    mean = score.Mean(metrics["generation_nll"], metrics["generation_nll_stderr"])
    steps = rules.generation.steps
    message, hint = compared(mean, steps[0][0], fixtures), ""
    passed = points == rules.generation.max_points
    bad = metrics["generation_degenerate"]
    if bad > bound:
        message = (
            f"{bad:.0%} of the continuations are no text (they go in a circle, at most half of "
            f"their word pairs being different, or are nearly all {UNK}), where at most "
            f"{bound:.0%} may be; {message}"
        )
        hint = (
            "is the new word fed back together with the hidden state? An undertrained model loops"
        )
    else:
        message += luck(mean, steps)
    if not passed and not hint:
        hint = (
            "greedy decoding (argmax at each step) suffices with a trained model. Where the checks "
            "of generation pass, train longer; where not, mend what they name first"
        )
    verdict = Verdict("generation", TITLES["generation"], passed, message, hint, seen.seconds)
    odd = flags.of_generation(words, human_nll, fixtures, corpus, bound)
    return verdict, points, metrics, odd


def mark_generation(
    words: np.ndarray,
    corpus: Corpus,
    fixtures: Fixtures,
    referee: "Referee",
    rules: rubric.Rubric,
) -> tuple[float, dict[str, float]]:
    """Return the points and the metrics for generated words, int64 [rows, forward].

    Points are those of what is shown; metrics are not rounded yet.
    Without a control variate, which would not pay here: rubric.md has the figures.
    """
    mean = score.mean(referee.word_nll(fixtures.generation, words).mean(axis=1))
    unknown = corpus.vocab.index(UNK) if UNK in corpus.vocab else None
    metrics = {
        "generation_nll": mean.value,
        "generation_nll_stderr": mean.stderr,
        "generation_distinct_2": score.distinct_2(words),
        "generation_degenerate": float(score.degenerate(words, unknown).mean()),
    }
    if unknown is not None:
        metrics["generation_unk"] = float((words == unknown).mean())
    told = shown(metrics, fixtures)
    if told["generation_degenerate"] > rules.generation.max_degenerate:
        return 0.0, metrics
    return score.points(told["generation_nll"], rules.generation.steps), metrics


def compared(mean: score.Mean, best: float, fixtures: Fixtures) -> str:
    """Say how far an NLL is from the one that earns full points."""
    places = min(3, digits(fixtures))
    if mean.value <= best:
        return f"NLL {mean.value:.{places}f}, at most {best} as full points need"
    return (
        f"NLL {mean.value:.{places}f}, which is {mean.value - best:.{places}f} above the {best} "
        "that full points need"
    )


def luck(mean: score.Mean, steps: tuple[tuple[float, float], ...]) -> str:
    """Say what the luck of the draw could decide; "" where no step is near."""
    reach = score.luck(mean, steps)
    if reach is None:
        return ""
    return (
        f". A step of the points is within two standard errors ({2 * mean.stderr:.2f}): another "
        f"draw of fixtures could give {reach[0]:.3g} to {reach[1]:.3g}"
    )


def digits(fixtures: Fixtures) -> int:
    """How many decimals of a figure are shown, and graded.

    Few where targets are hidden: over many attempts, more would give them away bit by bit.
    """
    return 4 if fixtures.public else 2


def shown(metrics: dict[str, float], fixtures: Fixtures) -> dict[str, float]:
    """Round metrics to the decimals that are shown."""
    return {name: round(value, digits(fixtures)) for name, value in metrics.items()}


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


def environment(referee: "Referee", box: sandbox.Chosen) -> dict[str, str]:
    """Return what a grade may depend on."""
    return {
        "kit": __version__,
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": np.__version__,
        "platform": f"{sys.platform} {platform.machine()}",
        **box.facts(),
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
