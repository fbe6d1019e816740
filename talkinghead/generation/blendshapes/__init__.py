"""ARKit's 52 blendshapes: the map from and to the anchors' expression, and the files that hold their weights."""
