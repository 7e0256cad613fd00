"""The protocols: one function each, from encoders and clips to outcomes, in the order they are finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from i2md.errors import InputError
from i2md.evaluation.classify import Trained, train_finetuned, train_linear
from i2md.evaluation.knn import knn_predictions
from i2md.evaluation.label_subsets import Chosen, draw_few, draw_share
from i2md.evaluation.metrics import judge_predictions
from i2md.evaluation.outcome import Outcome, of_draws, of_one
from i2md.evaluation.probe_data import Subject
from i2md.evaluation.retrieval import retrieval_measures
from i2md.evaluation.settings import EvaluationSettings
from i2md.evaluation.sweep import choose_rate

Outcomes = Iterator[Outcome]


def knn(subject: Subject, settings: EvaluationSettings) -> Outcomes:
    """The vote of the k most similar training clips, by cosine, on the features of the evaluation crop."""
    for k in settings.knn.k:
        if k > len(subject.train):
            raise InputError(f"knn.k {k}: there are {len(subject.train)} training clips; ask for no more")
        found = knn_predictions(subject.train_features, subject.test_features, subject.train_labels, k)
        judged = judge_predictions(found, subject.test_labels, subject.classes)
        yield Outcome(knn_name(k), judged, {"k": k})


def retrieval(subject: Subject, settings: EvaluationSettings) -> Outcomes:
    """Training clips ranked by cosine: mean average precision and recall; top-1 is the nearest clip's class."""
    known = subject.train_features, subject.test_features, subject.train_labels
    measures = retrieval_measures(*known, subject.test_labels, settings.retrieval.recall)
    judged = judge_predictions(knn_predictions(*known), subject.test_labels, subject.classes, measures)
    yield Outcome("retrieval", judged, {})


def linear(subject: Subject, settings: EvaluationSettings) -> Outcomes:
    """One linear layer a stream on frozen features, at the published rate."""
    trained = train_linear(subject, settings.linear, settings.linear.learning_rate)
    yield of_one("linear", trained, {"learning_rate": settings.linear.learning_rate})


def linear_sweep(subject: Subject, settings: EvaluationSettings) -> Outcomes:
    """The linear protocol at the rate that does best on training clips, by cross-validation over their people."""
    rate, validation = choose_rate(subject, settings.linear)
    trained = train_linear(subject, settings.linear, rate)
    yield Outcome("linear-sweep", trained.judged, {"learning_rate": rate, "validation": validation})


def finetune(subject: Subject, settings: EvaluationSettings) -> Outcomes:
    """Encoder and linear layer trained together on all training labels."""
    yield of_one("finetune", train_finetuned(subject, subject.encoders, settings.finetune), {})


def supervised(subject: Subject, settings: EvaluationSettings) -> Outcomes:
    """Fine-tuning from the weights that the run began with: what the labels alone teach."""
    trained = train_finetuned(subject, subject.untrained(), settings.finetune, title="supervised")
    yield of_one("supervised", trained, {})


def semi(subject: Subject, settings: EvaluationSettings) -> Outcomes:
    """Fine-tuning on a share of the training labels, drawn several times."""
    names, labels = subject.train_names, subject.train_labels.cpu().numpy()
    for share in settings.semi.label_fractions:
        name = semi_name(share)

        def draw(number: int, share: float = share) -> Chosen:
            return draw_share(names, labels, share, settings.semi.balanced, subject.seed, number)

        def learn(chosen: Chosen, number: int, name: str = name) -> Trained:
            return train_finetuned(subject, subject.encoders, settings.finetune, chosen, number, name)

        told = {"share": share, "balanced": settings.semi.balanced}
        yield _drawn(name, subject, settings.semi.draws, draw, learn, told)


def few_shot(subject: Subject, settings: EvaluationSettings) -> Outcomes:
    """The linear protocol on a few clips of each class, drawn several times.

    Encoders stay frozen: they have millions of weights more than such clips could teach.
    """
    names, labels = subject.train_names, subject.train_labels.cpu().numpy()
    for few in settings.few_shot.labels:
        name = few_shot_name(few)

        def draw(number: int, few: int = few) -> Chosen:
            return draw_few(names, labels, few, subject.seed, number)

        def learn(chosen: Chosen, number: int, name: str = name) -> Trained:
            return train_linear(subject, settings.linear, settings.linear.learning_rate, chosen, number, name)

        yield _drawn(name, subject, settings.few_shot.draws, draw, learn, {"labels_a_class": few})


def _drawn(
    name: str,
    subject: Subject,
    draws: int,
    draw: Callable[[int], Chosen],
    learn: Callable[[Chosen, int], Trained],
    told: dict[str, Any],
) -> Outcome:
    chosen = [draw(number) for number in range(draws)]
    trained = [learn(clips, number) for number, clips in enumerate(chosen)]
    return of_draws(name, trained, [[subject.train_names[i] for i in clips] for clips in chosen], told)


def knn_name(k: int) -> str:
    """What the outcome of k neighbours is called."""
    return "knn" if k == 1 else f"knn-{k}"


def semi_name(share: float) -> str:
    """What the outcome of a share of the labels is called.

    >>> semi_name(0.05)
    'semi-0.05'
    """
    return f"semi-{share:g}"


def few_shot_name(few: int) -> str:
    """What the outcome of so many labels a class is called."""
    return f"few-shot-{few}"


def outcome_names(protocol: str, settings: EvaluationSettings) -> list[str]:
    """What all outcomes of a protocol are called: one, or one a number of neighbours or labels.

    >>> outcome_names("knn", EvaluationSettings()), outcome_names("linear", EvaluationSettings())
    (['knn'], ['linear'])
    """
    several = {
        "knn": [knn_name(k) for k in settings.knn.k],
        "semi": [semi_name(share) for share in settings.semi.label_fractions],
        "few-shot": [few_shot_name(few) for few in settings.few_shot.labels],
    }
    return several.get(protocol, [protocol])


PROTOCOLS: dict[str, Callable[[Subject, EvaluationSettings], Outcomes]] = {
    "knn": knn,
    "retrieval": retrieval,
    "linear": linear,
    "linear-sweep": linear_sweep,
    "finetune": finetune,
    "supervised": supervised,
    "semi": semi,
    "few-shot": few_shot,
}
