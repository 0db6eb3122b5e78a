"""Search with stored models: a row, a text or a picture against a gallery, exactly or through an index."""

from bench.searching.features import read_features, write_embeddings
from bench.searching.searcher import Found, Hit, Searcher, search
