"""The options of every task: one frozen dataclass each, types and bounds in its annotations.

A recipe's table `task` holds them beside the task's name. Imports no torch; `checking.check` builds
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from annotated_types import Ge, Gt, Lt

from ..checking import TOKENS, Count, Note, NotNegative, Positive, Probability, Share, check

Options = TypeVar("Options")

FILL_IN_LEAST = 8  # tokens of a window to fill in; fewer have no middle worth writing
Bigrams = Annotated[int, Ge(0), Note("0: off")]
OrOff = Annotated[float, Ge(0), Note("0: off")]
ShareOrOff = Annotated[float, Ge(0), Lt(1), Note("0: off")]
Strictly = Annotated[float, Gt(0), Lt(1)]


def read_options(kind: type[Options], values: Mapping[str, object]) -> Options:
    """Build a task's options. Raise UsageError for an unknown key or a value that cannot be."""
    return check(kind, values, "task", beside=("name",))


# Understanding ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ClassificationOptions:
    """One label, several labels or a number for a text or for a pair of texts."""

    # "label": one of several; "labels": any number of several; "value": a number
    learn: Literal["label", "labels", "value"] = "label"
    pair: bool = False  # two texts are judged together: text and text_pair
    # tokens read at once, begin and end included; a longer text is read in several windows, which
    # are merged
    window: Annotated[int, Ge(16), TOKENS] = 384
    # tokens from the start of one window to the start of the next
    stride: Annotated[int, Ge(1), TOKENS] = 256
    # of the states: "mean", "first", "max", or "compare" for pairs (u, v, |u - v|, u * v)
    pooling: Literal["mean", "first", "max", "compare"] = "mean"
    # the mean of the token table's rows beside the states: helps where texts are few
    shortcut: bool = False
    # so many hashed weights for pairs of neighbouring tokens beside the states, say 65536: helps
    # the same
    bigrams: Bigrams = 0
    hidden: bool = False  # a dense layer with tanh before the outputs
    dropout: ShareOrOff = 0.1  # in the head; the model's own stands in the table `model`
    # the probability that a token is left out of a training text, drawn anew in every epoch
    token_dropout: ShareOrOff = 0.0
    label_smoothing: ShareOrOff = 0.0  # Szegedy et al. 2016, section 7
    # agreement of two passes with different dropout: alpha of Liang et al. 2021
    r_drop: OrOff = 0.0
    # the label whose F1 is the score, like "spam"; without it the score is accuracy and F1 a mean
    # over labels
    positive: str | None = None
    # fit a temperature (and for several labels thresholds) on the development data after training
    calibrate: bool = True

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for a pooling, a stride or a label that does not fit the others."""
        if self.pooling == "compare" and not self.pair:
            yield (
                f"{table}.pooling = 'compare' needs two texts: set {table}.pair = true, or pool by "
                "'mean'."
            )
        if self.stride > self.window - 2:
            yield (
                f"{table}.stride is {self.stride}; over {table}.window - 2 = {self.window - 2} "
                "tokens would be passed over."
            )
        if self.positive is not None and self.learn != "label":
            yield (
                f"{table}.positive is {self.positive!r}; it must be a label, and {table}.learn "
                "must be 'label'."
            )


@dataclass(frozen=True, kw_only=True)
class TaggingOptions:
    """A tag for every word."""

    # "bio", "bioes" or "plain"; None: as the training data is written. bioes: learnt and decoded
    # so, written as the data
    scheme: Literal["bio", "bioes", "plain"] | None = None
    # the best path without a broken span; "crf": a learnt chain (Lafferty et al. 2001); "greedy":
    # word by word
    decoding: Literal["constrained", "crf", "greedy"] = "constrained"
    # a word's state: its first piece's (Devlin et al. 2018, section 5.3), or the "mean" of its
    # pieces
    pooling: Literal["first", "mean"] = "first"
    # or "character": the words of a text without spaces
    unit: Literal["word", "character"] = "word"
    # of raw text: "unicode", "characters" or "spaces" (data/segmentation/words.py), or the folder
    # of a run with unit = "character"
    words: str = "unicode"
    window: Annotated[int, Ge(8), TOKENS] = 256  # tokens read at once, begin and end included
    # tokens from the start of one window to the next
    stride: Annotated[int, Ge(1), TOKENS] = 192
    label_smoothing: Probability = 0.0  # of constrained and greedy
    dropout: Probability = 0.1  # of word states before the last layer
    # the probability that training hides a word, so that its neighbours must speak for it
    word_dropout: Probability = 0.0
    # so many hashed weights for pairs of neighbouring pieces beside the states, say 65536
    bigrams: Bigrams = 0

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for a stride over the window, and for a CRF with smoothed labels."""
        if self.stride > self.window - 2:
            yield (
                f"{table}.window is {self.window} and {table}.stride {self.stride}; a stride is at "
                f"most window - 2 = {self.window - 2}."
            )
        if self.label_smoothing and self.decoding == "crf":
            yield (
                f"{table}.label_smoothing is for decoding 'constrained' and 'greedy'; a CRF learns "
                "whole paths. Leave it at 0."
            )


@dataclass(frozen=True, kw_only=True)
class ParsingOptions:
    """A tree of dependencies and a part of speech for every word."""

    # of the layers that make a word a dependent or a head; 500 in the paper, for 87 times the words
    arc_width: Count = 256
    relation_width: Count = 128  # the same for relations; 100 in the paper
    dropout: Probability = 0.33  # on words and on those layers, as in the paper, section 3.1
    # the probability that training hides a word, so that its neighbours must speak for it
    word_dropout: Probability = 0.0
    # of the loss of parts of speech beside those of arcs and relations
    upos_weight: NotNegative = 1.0
    window: Annotated[int, Ge(8)] = 384  # pieces of a sentence that are read at once
    # of one word; of a longer one its beginning and its end are read
    word_pieces: Annotated[int, Ge(2)] = 32

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for a word that no window would hold."""
        if self.word_pieces > self.window - 2:
            yield (
                f"{table}.word_pieces is {self.word_pieces}; a word must fit into {table}.window - "
                f"2 = {self.window - 2}."
            )


@dataclass(frozen=True, kw_only=True)
class QuestionAnsweringOptions:
    """An answer as a span of its passage."""

    # tokens of question and passage together that are read at once
    window: Annotated[int, Ge(32), TOKENS] = 384
    # tokens of the passage that two windows share, so that an answer of up to so many stands whole
    # in one
    stride: Annotated[int, Ge(0), TOKENS] = 128
    # tokens; of a longer question the rest is not seen, and the prediction says so
    longest_question: Annotated[int, Ge(1), TOKENS] = 64
    longest_answer: Annotated[int, Ge(1), TOKENS] = 48  # tokens
    # the share of windows without the answer that are learnt from, drawn anew each epoch
    no_answer_windows: Share = 0.5
    # a Chinese or Japanese character is a token of its own, as in Chinese BERT: an answer can begin
    # anywhere
    characters: bool = False
    # passage tokens that also stand in the question are marked by their segment; needs
    # model.segments = 5
    match_feature: bool = False

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
    """Tokens of a text that are hidden and found again."""

    # the share of a window's tokens that is chosen (2018); more suits large models (Wettig et al.
    # 2023)
    rate: Strictly = 0.15
    # all tokens of a word are chosen together, which is harder; in Chinese and Japanese each token
    # by itself
    whole_words: bool = False
    mask_share: Share = 0.8  # of the chosen: replaced by the mask (2018)
    # of the chosen: replaced by any token, so that every place has to be doubted (2018)
    random_share: Share = 0.1
    window: Annotated[int, Ge(8), TOKENS] = 128  # tokens read at once, begin and end not counted

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for shares that are more than the whole."""
        if self.mask_share + self.random_share > 1 + 1e-9:
            yield (
                f"{table}.mask_share {self.mask_share} and {table}.random_share "
                f"{self.random_share} are more than 1 together; what is left of 1 stays as it is."
            )


@dataclass(frozen=True, kw_only=True)
class EmbeddingOptions:
    """A text as a vector."""

    # of the states of all tokens, begin and end too; or "first": the begin token's state
    pooling: Literal["mean", "first"] = "mean"
    normalize: bool = True  # to length 1, so that a scalar product is the cosine
    # tokens that are read at once, begin and end included; a longer text is read in several windows
    window: Annotated[int, Ge(3), TOKENS] = 256
    # tokens of a longer text that two windows share; where only the window is given, a quarter of
    # it
    stride: Annotated[int, Ge(0), TOKENS] = 64

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for windows that would not move on."""
        if self.stride >= self.window - 2:
            yield (
                f"{table}.stride is {self.stride}; it must be a whole number from 0 to below "
                f"{table}.window - 2 = {self.window - 2}."
            )


# Writing ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class LanguageModellingOptions:
    """The next token of plain text."""

    context: Annotated[int, Ge(2), TOKENS] = 256  # tokens that the model sees at once
    # apart: attention and positions begin anew with each text; together: windows run on over texts'
    # ends
    documents: Literal["apart", "together"] = "apart"
    label_smoothing: Probability = 0.0  # Szegedy et al. 2016, section 7; 0: off
    # the share of windows learnt as prefix, suffix, middle (Bavarian et al. 2022: 0.5 costs
    # nothing)
    fill_in_the_middle: Annotated[Share, Note("a share of windows, for example 0.5")] = 0.0

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for windows that cannot be filled in."""
        if self.fill_in_the_middle and (
            self.documents == "together" or self.context < 4 * FILL_IN_LEAST
        ):
            yield (
                f"{table}.fill_in_the_middle needs windows of one text each: {table}.documents = "
                f"'apart' and a {table}.context of at least {4 * FILL_IN_LEAST} tokens."
            )


@dataclass(frozen=True, kw_only=True)
class ChatOptions:
    """What an assistant says next."""

    context: Annotated[int, Ge(16), TOKENS] = 256  # tokens that the model sees at once
    # marks or text (turns.py); None: that of the run it starts from, else marks where its tokenizer
    # can have them
    template: Literal["marks", "text"] | None = None
    system_form: str | None = None  # a role's own form, around {content}
    user_form: str | None = None  # the same for the user's turns
    assistant_form: str | None = None  # with <end> right after {content}
    label_smoothing: Probability = 0.0  # Szegedy et al. 2016, section 7; 0: off


@dataclass(frozen=True, kw_only=True)
class PreferenceOptions:
    """Of two answers the better one."""

    context: Annotated[int, Ge(16), TOKENS] = 256  # tokens that the model sees at once
    # how dear it is to leave the reference (2023, section 6: 0.1, and 0.5 for summaries)
    beta: Positive = 0.1
    reference: str | None = None  # a run; None: the one that it starts from (model.start)


# Sequence to sequence -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SequenceOptions:
    """What every task shares that turns one sequence into another."""

    label_smoothing: Probability = 0.1  # Szegedy et al. 2016, section 7; 0: off
    # agreement of two passes with different dropout: alpha of Liang et al. 2021, who take 5 for
    # translation
    r_drop: OrOff = 0.0


@dataclass(frozen=True, kw_only=True)
class TranslationOptions(SequenceOptions):
    """One language to one or several others."""

    # of several target languages, the one meant where none is named
    default_target: Annotated[str, Note("a target language, like 'de'")] | None = None
    # report `bleu_tokenized_lowercased` too: Multi30k's published scale (en, de, fr, cs)
    tokenized_bleu: bool = False


@dataclass(frozen=True, kw_only=True)
class LongSourceOptions(SequenceOptions):
    """A text written from a longer one: summaries, questions, answers in words."""

    # tokens, the end included; of a longer source the rest is not seen, and the prediction says so
    longest_source: Annotated[int, Ge(8), TOKENS] = 512


@dataclass(frozen=True, kw_only=True)
class TextToTextOptions(LongSourceOptions):
    """Several tasks in one model."""

    # text: "TASK: " in words, which a model started from another run can read too; tag: a token of
    # its own
    prefix: Literal["text", "tag"] = "text"
    # the one meant where none is named
    default_task: Annotated[str, Note("one of the data's tasks, like 'summarize'")] | None = None


@dataclass(frozen=True, kw_only=True)
class SpanCorruptionOptions:
    """Runs of tokens that are hidden and written out."""

    rate: Strictly = 0.15  # the share of a window's tokens that is hidden (section 3.3.3)
    mean_span: Annotated[float, Ge(1)] = 3.0  # tokens of a hidden run, on average (section 3.3.4)
    window: Annotated[int, Ge(8), TOKENS] = 256  # tokens read at once
    # that the tokenizer holds; a model that starts from this one keeps them
    sentinels: Count = 32
    target: Literal["runs", "whole"] = "runs"  # what is written: the hidden runs, or the whole text

    def most_spans(self, tokens: int) -> int:
        """Return the most runs that a window of so many tokens can have."""
        hidden = min(tokens - 1, max(1, int(self.rate * tokens) + 1))
        return max(1, int(hidden / self.mean_span) + 1)

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for windows with more hidden runs than there are sentinels."""
        most = self.most_spans(self.window)
        if most > self.sentinels:
            yield (
                f"A window of {self.window} tokens can have {most} hidden runs, and "
                f"{table}.sentinels is {self.sentinels}. Give a smaller {table}.window, a larger "
                f"{table}.mean_span, or more sentinels."
            )


OPTIONS: dict[str, type] = {
    "translation": TranslationOptions,
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
