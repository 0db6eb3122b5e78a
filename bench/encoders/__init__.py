"""Encoders: raw pictures, texts and sounds -> features, as plug-ins; and tables of items -> bundles."""

from bench.encoders.catalogue import create_encoder, encoder_cards, encoders
from bench.encoders.contract import Encoder, EncoderCard, Features, Kind, NoSettings, Sound, required
from bench.encoders.extraction import (
    Extracted,
    Options,
    Wanted,
    extract,
    read_card,
    summary_lines,
)
from bench.encoders.reading import read_picture, read_sound
from bench.encoders.table import Rows, Table, read_rows, read_table
