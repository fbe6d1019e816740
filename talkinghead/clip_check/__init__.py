"""Whether a clip is fit to make an ANCHOR of: `measurements` measures it, `findings` judges what was measured."""
