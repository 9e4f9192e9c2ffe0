"""Tracks: geometry that cars and logs refer to, the built-in ones, and DeepRacer's `.npy` files."""

from libs.common.tracks.catalogue import built_in_names, load_built_in
from libs.common.tracks.reader import TrackFile, parse_npy, read_npy
from libs.common.tracks.track import Projection, Track

__all__ = [
    "Projection",
    "Track",
    "TrackFile",
    "built_in_names",
    "load_built_in",
    "parse_npy",
    "read_npy",
]
