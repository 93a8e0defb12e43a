"""The similarity of answers: embeddings, their reduction, and measures."""

from interpreto_mllm.similarity.calls import SameCall
from interpreto_mllm.similarity.contextual import Contextual
from interpreto_mllm.similarity.embeddings import Embedding, External, Static
from interpreto_mllm.similarity.measures import Cosine, Euclidean, Measure, TokenMatch
from interpreto_mllm.similarity.response_similarity import ResponseSimilarity
from interpreto_mllm.similarity.texts import Bleu, ExactMatch, RougeL, TextMeasure, TfIdf
from interpreto_mllm.similarity.tf_idf import TfIdfCosine

__all__ = [
    "Bleu",
    "Contextual",
    "Cosine",
    "Embedding",
    "Euclidean",
    "ExactMatch",
    "External",
    "Measure",
    "ResponseSimilarity",
    "RougeL",
    "SameCall",
    "Static",
    "TextMeasure",
    "TfIdf",
    "TfIdfCosine",
    "TokenMatch",
]
