"""An ANCHOR and speech in, frames and video out."""
