"""Formats of texts: plain, Markdown, subtitles (SubRip, WebVTT) and SSML, each read into passages."""
