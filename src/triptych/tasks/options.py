"""Define the options of every task, in frozen dataclasses with types and bounds. No torch.

A recipe's table `task` holds them beside its name; `checking.check` builds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from annotated_types import Ge, Gt, Lt

from ..checking import TOKENS, Count, Note, NotNegative, Positive, Probability, Share, check
from .speech_options import TranscriptionOptions

Options = TypeVar("Options")

FILL_IN_LEAST = 8  # fewest tokens of a window that is filled in
Bigrams = Annotated[int, Ge(0), Note("0: off")]
OrOff = Annotated[float, Ge(0), Note("0: off")]
ShareOrOff = Annotated[float, Ge(0), Lt(1), Note("0: off")]
HeadLayer = Literal["normed", "feed_forward"] | None
Activation = Literal["tanh", "relu", "gelu", "gelu_tanh", "silu"]
ClassWeights = Literal["balanced"] | dict[str, Positive] | None
Strictly = Annotated[float, Gt(0), Lt(1)]


def read_options(kind: type[Options], values: Mapping[str, object]) -> Options:
    """Build a task's options. Raise UsageError for an unknown key or an invalid value."""
    return check(kind, values, "task", beside=("name",))


# Understanding ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ClassificationOptions:
    """Predict one label, several labels or a number for a text or for a pair of texts."""

    # "label": one of several; "labels": any number of several; "value": a number
    learn: Literal["label", "labels", "value"] = "label"
    pair: bool = False  # classify two texts together: text and text_pair
    # tokens read at once, begin and end included; a longer text is read in several windows, whose
    # outputs are averaged
    window: Annotated[int, Ge(16), TOKENS] = 384
    # tokens from the start of one window to the start of the next
    stride: Annotated[int, Ge(1), TOKENS] = 256
    # how states become one vector: "mean", "first", "max", "compare" for pairs (u, v, |u-v|, u*v)
    pooling: Literal["mean", "first", "max", "compare"] = "mean"
    shortcut: bool = False  # also use the mean of the token embeddings: helps with few texts
    # size of a table of hashed weights for pairs of tokens, say 65536: helps with few texts
    bigrams: Bigrams = 0
    hidden: bool = False  # a dense layer before the outputs
    # activation of that layer: "tanh" as in BERT, or that of another published classifier
    activation: Activation = "tanh"
    # a layer before the outputs: "normed" (ModernBERT) or "feed_forward" (BigBird). unset: none
    head_layer: HeadLayer = None
    dropout: ShareOrOff = 0.1  # dropout in the head; that of the model is set in the table `model`
    # probability that a token is left out of a training text, drawn anew in every epoch
    token_dropout: ShareOrOff = 0.0
    label_smoothing: ShareOrOff = 0.0  # label smoothing (Szegedy et al. 2016, section 7)
    # R-Drop: weight of the disagreement of two passes that differ in dropout (Liang et al. 2021)
    r_drop: OrOff = 0.0
    # the label whose F1 is the score, like "spam"; unset: accuracy, and the mean F1 over labels
    positive: str | None = None
    # how much the texts of a label count in the loss: "balanced", every label as much in all; or a
    # table label -> weight, in which a label that is not named has 1. unset: every text the same
    class_weights: ClassWeights = None
    # the label of texts that no other label fits, "oos" (out of scope); unset: a label like others
    out_of_scope: str | None = None
    # the share of the other validation texts that keep another label: more, and fewer are found
    in_scope_kept: Share = 0.98
    # fit a temperature (and for several labels thresholds) on the validation data after training;
    # with fewer than 50 texts nothing is fitted
    calibrate: bool = True

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for a pooling, stride or label that does not fit the other options."""
        if self.pooling == "compare" and not self.pair:
            yield (
                f"{table}.pooling = 'compare' needs two texts: set {table}.pair = true, or pool by "
                "'mean'."
            )
        if self.head_layer and (self.hidden or self.shortcut or self.pooling == "compare"):
            yield (
                f"{table}.head_layer is as wide as the model: leave out {table}.hidden and "
                f"{table}.shortcut, and pool by 'mean', 'first' or 'max'."
            )
        if self.stride > self.window - 2:
            yield (
                f"{table}.stride is {self.stride}; it must be at most {table}.window - 2 = "
                f"{self.window - 2}, or tokens between windows would not be read."
            )
        for key in ("positive", "out_of_scope"):
            if (given := getattr(self, key)) is not None and self.learn != "label":
                yield (
                    f"{table}.{key} is {given!r}; it must be a label, and {table}.learn must be "
                    "'label'."
                )
        if self.class_weights is not None and self.learn != "label":
            yield (
                f"{table}.class_weights weighs texts by their one label, and {table}.learn is "
                f"'{self.learn}'. Leave it out."
            )


@dataclass(frozen=True, kw_only=True)
class TaggingOptions:
    """Predict a tag for every word."""

    # scheme that is learnt and decoded, "bio", "bioes" or "plain"; answers are written in the
    # scheme of the data. unset: the scheme of the data
    scheme: Literal["bio", "bioes", "plain"] | None = None
    # "constrained": the best path without a broken span; "crf": a learnt chain (Lafferty et al.
    # 2001); "greedy": word by word
    decoding: Literal["constrained", "crf", "greedy"] = "constrained"
    # a word's state: that of its "first" piece (Devlin et al. 2018, section 5.3), or the "mean" of
    # its pieces
    pooling: Literal["first", "mean"] = "first"
    # what is tagged; "character" finds the words of a text without spaces
    unit: Literal["word", "character"] = "word"
    # how a raw text is split into words: "unicode", "characters" or "spaces"
    # (data/segmentation/words.py), or the folder of a run with unit = "character"
    words: str = "unicode"
    window: Annotated[int, Ge(8), TOKENS] = 256  # tokens read at once, begin and end included
    # tokens from the start of one window to the start of the next
    stride: Annotated[int, Ge(1), TOKENS] = 192
    label_smoothing: Probability = 0.0  # label smoothing, for constrained and greedy decoding
    dropout: Probability = 0.1  # dropout on word states before the last layer
    # probability that a training word is masked: its tag must be predicted from its neighbours
    word_dropout: Probability = 0.0
    # size of a table of hashed weights for pairs of neighbouring pieces, say 65536
    bigrams: Bigrams = 0
    # a layer before the outputs: "normed" (ModernBERT) or "feed_forward" (BigBird). unset: none
    head_layer: HeadLayer = None

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for a stride over the window, and for a CRF with smoothed labels."""
        if self.stride > self.window - 2:
            yield (
                f"{table}.window is {self.window} and {table}.stride is {self.stride}; a stride "
                f"must be at most window - 2 = {self.window - 2}."
            )
        if self.label_smoothing and self.decoding == "crf":
            yield (
                f"{table}.label_smoothing is for decoding 'constrained' and 'greedy'; a CRF learns "
                "whole paths. Leave it at 0."
            )


@dataclass(frozen=True, kw_only=True)
class ParsingOptions:
    """Predict a dependency tree, and a part of speech for every word."""

    # width of the layers that represent a word as a dependent or as a head (500 in the paper, with
    # 87 times the words)
    arc_width: Count = 256
    relation_width: Count = 128  # the same for relations (100 in the paper)
    # dropout on words and on those layers, as in the paper, section 3.1
    dropout: Probability = 0.33
    # probability that a training word is masked and must be parsed from its neighbours
    word_dropout: Probability = 0.0
    # weight of the parts of speech in the loss; arcs and relations have weight 1
    upos_weight: NotNegative = 1.0
    window: Annotated[int, Ge(8)] = 384  # pieces of a sentence that are read at once
    # pieces read of one word; a longer word keeps its beginning and its end
    word_pieces: Annotated[int, Ge(2)] = 32

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for a word that fits into no window."""
        if self.word_pieces > self.window - 2:
            yield (
                f"{table}.word_pieces is {self.word_pieces}; a word must fit into {table}.window - "
                f"2 = {self.window - 2}."
            )


@dataclass(frozen=True, kw_only=True)
class QuestionAnsweringOptions:
    """Answer a question with a span of its passage."""

    # tokens of question and passage together that are read at once
    window: Annotated[int, Ge(32), TOKENS] = 384
    # tokens of the passage that two windows share, so that an answer of at most this length is
    # whole in one of them
    stride: Annotated[int, Ge(0), TOKENS] = 128
    # tokens of a question; the rest is not read, and the prediction reports it
    longest_question: Annotated[int, Ge(1), TOKENS] = 64
    longest_answer: Annotated[int, Ge(1), TOKENS] = 48  # tokens of an answer
    # share of the windows without the answer that are learnt from, drawn anew in every epoch
    no_answer_windows: Share = 0.5
    # make each Chinese or Japanese character a token of its own, as in Chinese BERT, so that an
    # answer can begin anywhere
    characters: bool = False
    # mark passage tokens that are also in the question by their segment; needs model.segments = 5
    match_feature: bool = False
    # a layer before the outputs: "normed" (ModernBERT) or "feed_forward" (BigBird). unset: none
    head_layer: HeadLayer = None

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for a window without room for a passage."""
        if self.window < self.longest_question + self.stride + 4:
            yield (
                f"{table}.window is {self.window}; it must hold the longest question "
                f"({self.longest_question}), the stride ({self.stride}) and 4 tokens more. Give a "
                "larger window or a smaller stride."
            )


@dataclass(frozen=True, kw_only=True)
class MaskedWordsOptions:
    """Predict the masked tokens of a text."""

    # share of a window's tokens that is chosen (2018); large models gain from more (Wettig et al.
    # 2023)
    rate: Strictly = 0.15
    # choose all tokens of a word together, which is harder; in Chinese and Japanese each token is
    # chosen by itself
    whole_words: bool = False
    mask_share: Share = 0.8  # share of the chosen tokens that is replaced by the mask (2018)
    # share of the chosen tokens that is replaced by a random token, so that every token must be
    # checked (2018)
    random_share: Share = 0.1
    window: Annotated[int, Ge(8), TOKENS] = 128  # tokens read at once, begin and end not included
    # activation before the vocabulary projection, "gelu" as in BERT
    activation: Activation = "gelu"

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for shares whose sum is above 1."""
        if self.mask_share + self.random_share > 1 + 1e-9:
            yield (
                f"{table}.mask_share {self.mask_share} and {table}.random_share "
                f"{self.random_share} must be at most 1 together; the rest of the chosen tokens is "
                "kept."
            )


@dataclass(frozen=True, kw_only=True)
class EmbeddingOptions:
    """Map a text to a vector."""

    # "mean" of the states of all tokens, begin and end included; "first": the state of the begin
    # token
    pooling: Literal["mean", "first"] = "mean"
    normalize: bool = True  # scale to length 1, so that a scalar product is the cosine
    # tokens read at once, begin and end included; a longer text is read in several windows
    window: Annotated[int, Ge(3), TOKENS] = 256
    # tokens of a longer text that two windows share; a quarter of the window, if only that is given
    stride: Annotated[int, Ge(0), TOKENS] = 64

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for windows that would not advance."""
        if self.stride >= self.window - 2:
            yield (
                f"{table}.stride is {self.stride}; it must be a whole number from 0 to below "
                f"{table}.window - 2 = {self.window - 2}."
            )


# Writing ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class LanguageModellingOptions:
    """Predict the next token of plain text."""

    context: Annotated[int, Ge(2), TOKENS] = 256  # tokens that the model reads at once
    # apart: attention and positions begin anew with each text; together: a window may hold the end
    # of one text and the beginning of the next
    documents: Literal["apart", "together"] = "apart"
    label_smoothing: Probability = 0.0  # label smoothing (Szegedy et al. 2016, section 7); 0: off
    # share of windows learnt as prefix, suffix, middle (Bavarian et al. 2022: 0.5 does not harm
    # plain writing)
    fill_in_the_middle: Annotated[Share, Note("a share of windows, for example 0.5")] = 0.0

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for windows that cannot be filled in."""
        if self.fill_in_the_middle and (
            self.documents == "together" or self.context < 4 * FILL_IN_LEAST
        ):
            yield (
                f"{table}.fill_in_the_middle needs windows of one text each: set {table}.documents "
                f"= 'apart' and a {table}.context of at least {4 * FILL_IN_LEAST} tokens."
            )


@dataclass(frozen=True, kw_only=True)
class ChatOptions:
    """Write the next message of an assistant."""

    context: Annotated[int, Ge(16), TOKENS] = 256  # tokens that the model reads at once
    # "marks" or "text" (tasks/turns.py); unset: that of the run that training starts from, else
    # marks where its tokenizer can have them
    template: Literal["marks", "text"] | None = None
    # form of a system message, around {content}; replaces the template's
    system_form: str | None = None
    user_form: str | None = None  # the same for the user's turns
    # the same for the assistant's turns, with <end> right after {content}
    assistant_form: str | None = None
    label_smoothing: Probability = 0.0  # label smoothing (Szegedy et al. 2016, section 7); 0: off


@dataclass(frozen=True, kw_only=True)
class PreferenceOptions:
    """Prefer the better of two answers."""

    context: Annotated[int, Ge(16), TOKENS] = 256  # tokens that the model reads at once
    # how strongly the model is held to the reference (2023, section 6: 0.1; for summaries 0.5)
    beta: Positive = 0.1
    # run folder of the reference; unset: the run of model.start
    reference: str | None = None


# Sequence to sequence -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SequenceOptions:
    """Hold the options that every task shares that turns one sequence into another."""

    label_smoothing: Probability = 0.1  # label smoothing (Szegedy et al. 2016, section 7); 0: off
    # R-Drop: weight of the disagreement of two passes with different dropout (alpha of Liang et al.
    # 2021, who take 5 for translation)
    r_drop: OrOff = 0.0


@dataclass(frozen=True, kw_only=True)
class TranslationOptions(SequenceOptions):
    """Translate one language to one or several others."""

    # target language where none is named, of several
    default_target: Annotated[str, Note("a target language, like 'de'")] | None = None
    # also report `bleu_tokenized_lowercased`, the published scale of Multi30k (en, de, fr, cs)
    tokenized_bleu: bool = False


@dataclass(frozen=True, kw_only=True)
class LongSourceOptions(SequenceOptions):
    """Write a text from a longer one: summaries, questions, answers in words."""

    # tokens of a source, the end included; the rest is not read, and the prediction reports it
    longest_source: Annotated[int, Ge(8), TOKENS] = 512


@dataclass(frozen=True, kw_only=True)
class TextToTextOptions(LongSourceOptions):
    """Learn several tasks in one model."""

    # text: "TASK: " in words, which any model can read; tag: a token of its own
    prefix: Literal["text", "tag"] = "text"
    # task where none is named
    default_task: Annotated[str, Note("one of the data's tasks, like 'summarize'")] | None = None


@dataclass(frozen=True, kw_only=True)
class SpanCorruptionOptions:
    """Write runs of tokens that are masked."""

    rate: Strictly = 0.15  # share of a window's tokens that is masked (section 3.3.3)
    mean_span: Annotated[float, Ge(1)] = 3.0  # mean tokens of a masked run (section 3.3.4)
    window: Annotated[int, Ge(8), TOKENS] = 256  # tokens read at once
    # sentinels in the tokenizer; a model that starts from this run keeps them
    sentinels: Count = 32
    target: Literal["runs", "whole"] = "runs"  # what is written: the masked runs, or the whole text

    def most_spans(self, tokens: int) -> int:
        """Return the largest number of runs in a window of `tokens` tokens."""
        hidden = min(tokens - 1, max(1, int(self.rate * tokens) + 1))
        return max(1, int(hidden / self.mean_span) + 1)

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for windows with more masked runs than there are sentinels."""
        most = self.most_spans(self.window)
        if most > self.sentinels:
            yield (
                f"A window of {self.window} tokens can have {most} hidden runs, and "
                f"{table}.sentinels is {self.sentinels}. Give a smaller {table}.window, a larger "
                f"{table}.mean_span, or more sentinels."
            )


OPTIONS: dict[str, type] = {
    "translation": TranslationOptions,
    "transcription": TranscriptionOptions,
    "embedding": EmbeddingOptions,
    "classification": ClassificationOptions,
    "parsing": ParsingOptions,
    "question-answering": QuestionAnsweringOptions,
    "masked-words": MaskedWordsOptions,
    "tagging": TaggingOptions,
    "language-modelling": LanguageModellingOptions,
    "chat": ChatOptions,
    "preference": PreferenceOptions,
    "summarization": LongSourceOptions,
    "question-generation": LongSourceOptions,
    "generative-answering": LongSourceOptions,
    "text-to-text": TextToTextOptions,
    "span-corruption": SpanCorruptionOptions,
}
