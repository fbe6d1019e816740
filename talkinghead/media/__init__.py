"""Video, audio and image files, in and out. No other package opens a media file."""
