"""What the observations of the graded steps are worth: verdicts, points, metrics and flags.

Covered: the weights, prediction of the next word, generation of text. Not covered: the checks of
the classes (`checks/`), the arithmetic (`score.py`), running anything.
"""

import math

import numpy as np

from . import diagnosis, flags, rubric, score
from .checks.inference import checked_scores, checked_words
from .checks.verdict import Problem, Verdict, failure
from .corpus import UNK
from .exam import Exam
from .fixtures import FORWARD, Fixtures
from .result import Flag
from .run import Observation
from .submission import Submission

CHUNK = 64
TITLES = {"prediction": "Prediction of the next word", "generation": "Generation of text"}


def judge_weights(submission: Submission, corpus: str, seen: Observation) -> Verdict:
    """Say whether the trained weights load, and if not what is wrong with them."""
    title = "the trained weights load"
    stem = "checkpoint" if corpus == "wikitext2" else f"checkpoint.{corpus}"
    if seen.status == "not run":
        return Verdict("weights.load", title, None, "not run: it needs what failed above")
    if seen.ok:
        return Verdict("weights.load", title, True, "they do", seconds=seen.seconds)
    if submission.weights(corpus) is None and seen.error.get("type") == "FileNotFoundError":
        others = sorted(path.name for path in submission.root.glob("checkpoint*.*t*s"))
        has = f"; there is {', '.join(others)}" if others else ""
        return Verdict(
            "weights.load",
            title,
            False,
            f"there is no {stem}.safetensors in the hand-in{has}",
            f"train the model with `make train CORPUS={corpus}`, which writes it",
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
    seen: Observation, exam: Exam
) -> tuple[Verdict, float, dict[str, float], tuple[Flag, ...]]:
    """Score the next words; return the verdict, its points, the metrics and the flags."""
    corpus, fixtures, rules, block = exam.corpus, exam.fixtures, exam.rules, exam.known
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
    seen: Observation, exam: Exam
) -> tuple[Verdict, float, dict[str, float], tuple[Flag, ...]]:
    """Score generated words with the referee; return verdict, points, metrics and flags."""
    corpus, fixtures, rules = exam.corpus, exam.fixtures, exam.rules
    bound = rules.generation.max_degenerate
    try:
        if not seen.ok:
            raise failure(seen)
        prompts = fixtures.generation
        words = checked_words(seen.arrays.get("words"), len(prompts), FORWARD, len(corpus.vocab))
    except Problem as problem:
        return _lost("generation", problem, seen), 0.0, {}, ()
    points, metrics = mark_generation(words, exam)
    metrics["human_generation_nll"] = float(exam.human_nll.mean())
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
    odd = flags.of_generation(words, exam.human_nll, fixtures, corpus, bound)
    return verdict, points, metrics, odd


def mark_generation(words: np.ndarray, exam: Exam) -> tuple[float, dict[str, float]]:
    """Return the points and the metrics for generated words, int64 [rows, forward].

    Points are those of what is shown; metrics are not rounded yet.
    Without a control variate, which would not pay here: rubric.md has the figures.
    """
    vocabulary, fixtures, rules = exam.corpus.vocab, exam.fixtures, exam.rules
    mean = score.mean(exam.referee.word_nll(fixtures.generation, words).mean(axis=1))
    unknown = vocabulary.index(UNK) if UNK in vocabulary else None
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
