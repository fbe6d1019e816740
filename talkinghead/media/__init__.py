"""Audio, video and image files: reading and writing. No other package opens a media file."""
