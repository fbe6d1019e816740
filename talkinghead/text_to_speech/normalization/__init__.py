"""Text normalization: what is written as digits and signs becomes words, by language, in front of every engine.

English and Chinese are spelled out whole. Engines of other languages read numbers by themselves (espeak-ng does); for
them only unusual forms of characters become usual ones.
"""
