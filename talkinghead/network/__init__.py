"""The face update network and its layers, one module each (patent: claims 2 and 3).

FaceUpdateNetwork = LocalImageGenerator + Compositor
LocalImageGenerator = LocalModeller, TextureMapGenerator, TextureRenderer, TextureDecoder
"""
